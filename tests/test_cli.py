"""The command line: what it writes, what it says, and how it exits."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from faster_coco_eval import COCO
from PIL import Image

import yolact
from test_predictor import photograph, small_network
from yolact import checkpoint
from yolact.cli import VERBS, main
from yolact.images import read_image
from yolact.results_folder import ResultsFolder


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    return str(checkpoint.save(tmp_path_factory.mktemp("weights") / "small.safetensors", small_network()))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photograph(0, (60, 80))).save(folder / "turned.jpg", exif=exif)
    Image.fromarray(photograph(1)).save(folder / "a.jpg")
    Image.fromarray(photograph(2)).convert("RGBA").save(folder / "a.png")
    Image.fromarray(photograph(3)).convert("L").save(folder / "gray.png")
    Image.fromarray(photograph(4)).convert("P").save(folder / "palette.gif")
    Image.fromarray(photograph(5)).convert("CMYK").save(folder / "print.tif")
    Image.fromarray(photograph(6)[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    return folder


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as exited:
        main([str(argument) for argument in arguments])
    assert isinstance(exited.value.code, int)
    return exited.value.code


def test_predict_a_folder(photos: Path, weights: str, tmp_path: Path, capsys):
    out = tmp_path / "out"
    assert run("predict", photos, "--out", out, "--weights", weights, "--top-k", "5", "--cutouts") == 0
    printed = capsys.readouterr()
    assert len(printed.out.strip().splitlines()) == 1
    assert "7 photographs" in printed.out
    pictures = {path.name: read_image(path).shape for path in out.iterdir() if path.suffix in (".jpg", ".png")}
    assert len(pictures) == 7
    assert pictures["turned.jpg"] == (80, 60, 3)  # upright
    assert len(list((out / "cutouts").iterdir())) == 35
    images = json.loads((out / "images.json").read_text())
    records = json.loads((out / "predictions.json").read_text())
    assert len(records) == 35
    truth = COCO({**images, "annotations": []})
    assert len(truth.loadRes(records).getAnnIds()) == 35


def test_options_reach_the_predictor(photos: Path, weights: str, tmp_path: Path):
    out = tmp_path / "out"
    options = ("--classes", "dog", "--nms", "cross-class", "--image-size", "64", "128", "--no-pictures")
    options += ("--score-threshold", "0", "--batch-size", "3", "--device", "cpu")
    assert run("predict", photos / "a.jpg", photos / "gray.png", "--out", out, "--weights", weights, *options) == 0
    records = json.loads((out / "predictions.json").read_text())
    assert {record["category_id"] for record in records} == {18}
    assert not list(out.glob("*.jpg"))


def test_corrupt_files_are_skipped_and_reported(photos: Path, weights: str, tmp_path: Path, capsys):
    (photos / "broken.jpg").write_bytes((photos / "a.jpg").read_bytes()[:300])
    (photos / "nothing.png").touch()
    (photos / "gone.jpg").symlink_to(photos / "missing.jpg")
    assert run("predict", photos, "--out", tmp_path / "out", "--weights", weights, "--top-k", "2") == 1
    printed = capsys.readouterr()
    assert "broken.jpg" in printed.err
    assert "nothing.png" in printed.err
    assert "gone.jpg" in printed.err
    assert "7 photographs" in printed.out
    assert "3 skipped" in printed.out
    assert (tmp_path / "out" / "predictions.json").is_file()


def test_a_second_run_says_what_it_replaced(photos: Path, weights: str, tmp_path: Path, capsys):
    arguments = ("predict", photos / "a.jpg", "--out", tmp_path / "out", "--weights", weights)
    run(*arguments)
    assert "replaced" not in capsys.readouterr().out
    run(*arguments)
    assert "3 files of an earlier run replaced" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("predict",), "nothing to predict on"),
        (("predict", "{tmp}/nowhere.jpg"), "nowhere.jpg does not exist"),
        (("predict", "{tmp}/empty"), "no photographs in the folder"),
        (("predict", "{photos}", "--weights", "yolact-resnet5"), "did you mean yolact-resnet50"),
        (("predict", "{photos}", "--weights", "{tmp}/wrong.pth"), "wrong.pth"),
        (("predict", "{photos}", "--weights", "{tmp}/missing.safetensors"), "missing.safetensors"),
        (("predict", "{photos}", "--weights", "{weights}", "--device", "cuda:99"), "cuda:99"),
        (("predict", "{photos}", "--weights", "{weights}", "--classes", "cow"), "cow"),
        (("predict", "{photos}", "--weights", "{weights}", "--score-threshold", "2"), "score_threshold"),
        (("predict", "{photos}", "--weights", "{weights}", "--out", "{photos}"), "choose another folder"),
        (("predict", "{photos}", "--weights", "{weights}", "--out", "{photos}/a.jpg"), "a.jpg"),
        (("train",), "no data set"),
        (("train", "--resume", "{tmp}", "--epochs", "5"), "give nothing else"),
        (("train", "{tmp}/data.yaml", "--preset", "yolact-resnet49"), "yolact-resnet50"),
        (("train", "{tmp}/data.yaml", "--epochs", "1"), "data.yaml does not exist"),
        (("evaluate", "{tmp}/data.yaml", "--weights", "{weights}"), "data.yaml does not exist"),
        (("convert", "{tmp}/wrong.pth"), "wrong.pth"),
    ],
)
def test_each_mistake_gives_one_line(arguments, part, photos: Path, weights: str, tmp_path: Path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.pth").write_bytes(b"not a checkpoint")
    filled = [argument.format(tmp=tmp_path, photos=photos, weights=weights) for argument in arguments]
    if arguments[0] == "predict" and "--out" not in arguments:
        filled += ["--out", str(tmp_path / "out")]
    before = {path: path.read_bytes() for path in photos.iterdir()}
    assert run(*filled) == 2
    printed = capsys.readouterr()
    assert len(printed.err.strip().splitlines()) == 1
    assert printed.err.startswith("yolact: ")
    assert part in printed.err
    assert printed.out == ""
    assert {path: path.read_bytes() for path in photos.iterdir()} == before


def test_without_a_verb_all_verbs_are_named(capsys):
    with pytest.raises(SystemExit) as ending:
        main([])
    assert ending.value.code == 2
    said = capsys.readouterr().err
    assert all(verb in said for verb in VERBS)
    assert "yolact --help" in said


def test_the_version_is_what_reports_need(capsys):
    with pytest.raises(SystemExit) as ending:
        main(["--version"])
    assert ending.value.code == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"yolact {yolact.__version__} (torch {torch.__version__.split('+')[0]}")
    assert "Python 3." in line


def test_a_missing_extra_gives_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    monkeypatch.setitem(sys.modules, "lightning", None)
    assert run("train", tmp_path / "data.yaml") == 2
    assert "pip install 'yolact[train]'" in capsys.readouterr().err


def test_the_home_of_nobody_is_one_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["predict", "~nobody-here/photo.jpg"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "yolact: a path begins with ~ and the name of no user of this machine; write it in full\n"
    )


def test_interrupting_is_quiet(monkeypatch: pytest.MonkeyPatch, photos: Path, tmp_path: Path, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("yolact.predictor.load", interrupt)
    assert run("predict", photos, "--out", tmp_path / "out") == 130
    assert capsys.readouterr().err == "yolact: interrupted\n"


def test_finished_pictures_are_described_after_an_interruption(
    monkeypatch: pytest.MonkeyPatch, photos: Path, weights: str, tmp_path: Path, capsys
):
    add = ResultsFolder.add

    def interrupt_the_third(self: ResultsFolder, path: Path, *rest) -> None:
        if len(list(self.out.iterdir())) == 2:
            raise KeyboardInterrupt
        add(self, path, *rest)

    monkeypatch.setattr(ResultsFolder, "add", interrupt_the_third)
    assert run("predict", photos, "--out", tmp_path / "out", "--weights", weights) == 130
    assert capsys.readouterr().err == "yolact: interrupted\n"
    images = json.loads((tmp_path / "out" / "images.json").read_text())["images"]
    assert len(images) == 2
    assert all((tmp_path / "out" / image["picture"]).is_file() for image in images)


def test_a_log_has_no_progress_bar(photos: Path, weights: str, tmp_path: Path, capsys):
    assert run("predict", photos, "--out", tmp_path / "out", "--weights", weights, "--top-k", "1") == 0
    assert capsys.readouterr().err == ""


def test_nobody_reads_what_is_printed():
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "yolact", "predict", "--help"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (141, "")


@pytest.mark.parametrize("message", ["CUDA out of memory. Tried to", "DefaultCPUAllocator: can't allocate memory: you"])
def test_too_little_memory_gives_one_line(monkeypatch: pytest.MonkeyPatch, photos: Path, capsys, message: str):
    def fail(*_, **__):
        raise RuntimeError(message)

    monkeypatch.setattr("yolact.predictor.load", fail)
    assert run("predict", photos) == 2
    assert capsys.readouterr().err.startswith("yolact: out of memory; try")


def test_help_is_quick_and_needs_no_torch():
    script = "import sys; sys.argv = ['yolact', {!r}, '--help']; from yolact.cli import main\n"
    script += "try: main()\nfinally: assert 'torch' not in sys.modules and 'cv2' not in sys.modules"
    for verb in ("predict", "train", "evaluate", "convert", "data"):
        start = time.perf_counter()
        result = subprocess.run([sys.executable, "-c", script.format(verb)], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert "usage: yolact" in result.stdout
        assert time.perf_counter() - start < 5  # 0.4 s on an idle machine


def test_the_package_is_imported_quickly():
    script = "import yolact, sys; assert 'torch' not in sys.modules; dir(yolact); print(yolact.__version__)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    script = "import yolact; [getattr(yolact, name) for name in yolact.__all__]; yolact.nothing"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "module 'yolact' has no attribute 'nothing'" in result.stderr
