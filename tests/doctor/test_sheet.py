"""The files of a check: whole, without anything from outside, and safe whatever names the data have."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from synthetic import write_dataset
from yolact.data.source import DataConfig
from yolact.doctor import check
from yolact.doctor.page import Section
from yolact.doctor.pictures import SIDE, Picture
from yolact.doctor.sheet import contact_sheet, write_sheet
from yolact.presets import yolact_resnet18

HOSTILE = "<script>alert('x')</script>\"&amp;\ud800\x1b[2J"
FILE = "<img src=x onerror='y'>.png"
EMPTY_TAGS = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """What a browser makes of a page: its tags and attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    data_yaml = write_dataset(tmp_path / "data", images=3, size=(60, 80), classes=(HOSTILE, "box"))
    folder = data_yaml.parent
    (folder / "train" / "train001.png").rename(folder / "train" / FILE)
    (folder / "val" / "val001.png").write_bytes((folder / "train" / FILE).read_bytes())
    file = folder / "instances_train.json"
    content = json.loads(file.read_text())
    content["images"][0]["file_name"] = FILE
    content["annotations"][0]["bbox"][2] += 5
    content["annotations"].append(content["annotations"][2] | {"id": 77})
    file.write_text(json.dumps(content))
    good = (folder / "train" / "train003.png").read_bytes()
    (folder / "train" / "train003.png").write_bytes(good[: len(good) // 2])
    return data_yaml


def test_hostile_names_are_only_text(hostile: Path, tmp_path: Path):
    model = yolact_resnet18(image_size=(96, 96))
    report = check(DataConfig.read(hostile), model, f"{HOSTILE}\udcff.yaml", progress=False)
    files = write_sheet(report, tmp_path / "out", samples=4, examples=2)
    assert [file.name for file in files] == ["report.json", "sheet.html", "sheet.png"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["report.json", "sheet.html", "sheet.png"]
    page = Page(files[1].read_text(encoding="utf-8"))
    assert page.open == []
    names = {tag for tag, _ in page.tags}
    assert "script" not in names
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        if tag == "img":
            assert str(attributes["src"]).startswith("data:image/jpeg;base64,")
            assert attributes["alt"]
    assert HOSTILE.replace("\ud800\x1b", "??") in page.text
    assert FILE in page.text
    assert "http" not in files[1].read_text(encoding="utf-8")
    assert "\x1b" not in report.table()
    report.table().encode()
    assert "prefers-color-scheme: dark" in page.text


def test_every_kind_with_a_place_is_shown(hostile: Path, tmp_path: Path):
    report = check(DataConfig.read(hostile), yolact_resnet18(image_size=(96, 96)), progress=False)
    files = write_sheet(report, tmp_path / "out", samples=4, examples=2)
    page = Page(files[1].read_text(encoding="utf-8"))
    for part in ("cannot be decoded", "photograph in both", "annotated twice", "box misses its mask"):
        assert sum(part in finding.kind for finding in report.findings) == 1
        assert page.text.count(part) == 2  # in the list, and over its pictures
    found = json.loads(files[0].read_text())
    assert {finding["kind"] for finding in found["findings"]} == {finding.kind for finding in report.findings}
    with Image.open(files[2]) as sheet:
        assert sheet.width > 1000


def test_the_same_seed_draws_the_same_photographs(hostile: Path, tmp_path: Path):
    report = check(DataConfig.read(hostile), yolact_resnet18(image_size=(96, 96)), progress=False)
    pages = [write_sheet(report, tmp_path / name, 3, 1, seed)[1].read_bytes() for name, seed in (("a", 0), ("b", 0))]
    assert pages[0] == pages[1]
    others = [write_sheet(report, tmp_path / "c", 3, 1, seed)[1].read_bytes() for seed in range(1, 5)]
    assert any(page != pages[0] for page in others)


def test_nothing_to_show(hostile: Path, tmp_path: Path):
    report = check(DataConfig.read(hostile), yolact_resnet18(image_size=(96, 96)), progress=False)
    files = write_sheet(report, tmp_path / "out", samples=0, examples=0)
    assert "<img" not in files[1].read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written(hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    report = check(DataConfig.read(hostile), yolact_resnet18(image_size=(96, 96)), progress=False)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match=r"cannot write .*report.json .*No space left.*; choose another place"):
        write_sheet(report, tmp_path / "out", samples=1)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_box_that_reaches_out_without_end(tmp_path: Path):
    data_yaml = write_dataset(tmp_path / "data", images=2, size=(60, 80))
    file = data_yaml.parent / "instances_train.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["bbox"] = [5, 5, 1e308, 10**308]
    file.write_text(json.dumps(content))
    report = check(DataConfig.read(data_yaml), yolact_resnet18(image_size=(96, 96)), progress=False)
    assert any("different places" in finding.kind for finding in report.findings)
    with Image.open(write_sheet(report, tmp_path / "out", samples=0)[2]) as sheet:
        assert sheet.width > 1000


def test_a_sheet_that_would_get_too_high(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yolact.doctor.sheet.HIGHEST", 500)
    square = Picture(Image.new("RGB", (SIDE, SIDE)), "red")
    sections = [Section("first", "9 of 9", "error", 9 * [square]), Section("second", "4 of 4", "note", 4 * [square])]
    assert 500 < contact_sheet(sections).height < 500 + SIDE + 200
    whole = contact_sheet(sections[1:]).height
    monkeypatch.setattr("yolact.doctor.sheet.HIGHEST", 30_000)
    assert contact_sheet(sections[1:]).height == whole
    assert contact_sheet(sections).height > 4 * SIDE
