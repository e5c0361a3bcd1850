"""Killed, terminated, interrupted, without room or on a disk that became read-only, at many moments of each verb.

What was complete stays; what bears its final name is whole; an ordinary end tidies up; and the same command, given
again, ends as if nothing had happened.
"""

import json
import re
import shutil
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from nursery import UNABLE, Nursery
from PIL import Image

from clips import write_clip
from graphs import crowded, photograph
from synthetic import write_dataset
from yolact import checkpoint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks processes, and reads what Python tells auditors")

CODES = {"SIGKILL": {-9}, "SIGTERM": {143}, "SIGINT": {130}, "ENOSPC": {2}, "EROFS": {2}}
TIDY = ("SIGTERM", "SIGINT", "ENOSPC")
"""After these nothing hidden is left. On a disk that has become read-only nothing can be removed."""


@dataclass(frozen=True)
class Verb:
    arguments: tuple[str, ...]
    again: tuple[str, ...] = ()
    """What is added to go on."""


TRAINING = (
    *("--preset", "yolact-mobilenetv4", "--image-size", "64", "64", "--epochs", "1", "--batch-size", "2"),
    *("--workers", "0", "--backbone-weights", "none", "--pictures", "0", "--device", "cpu", "--loggers", "csv"),
)
VERBS = {
    "photographs": Verb(("predict", "{in}/photos", "--out", "{out}", "--cutouts", "--top-k", "2")),
    "video": Verb(("predict", "{in}/clip.mp4", "--out", "{out}", "--top-k", "2"), ("--resume",)),
    "explain": Verb(("explain", "{in}/photos/0.jpg", "--out", "{out}", "--top-k", "1")),
    "evaluate": Verb(("evaluate", "{in}/data/data.yaml", "--out", "{out}")),
    "convert data": Verb(("data", "convert", "{in}/data/data.yaml", "{out}/new", "--to", "yolo")),
    "check data": Verb(("data", "check", "{in}/data/data.yaml", "--out", "{out}")),
    "export": Verb(("export", "{weights}", "--to", "torch", "--out", "{out}/a.pt2", "--no-check")),
    "train": Verb(("train", "{in}/data/data.yaml", "--out", "{out}/run", *TRAINING)),
}
WITH_WEIGHTS = ("photographs", "video", "explain", "evaluate")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "photos").mkdir()
    for i in range(3):
        Image.fromarray(photograph(i, 60, 80)).save(folder / "photos" / f"{i}.jpg")
    write_clip(folder / "clip.mp4", 12, every_key=4)
    write_dataset(folder / "data", images=2, size=(48, 64), classes=("cat", "dog"))
    checkpoint.save(folder / "small.safetensors", crowded())
    return folder


@pytest.fixture(scope="module")
def nursery(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    warm = tmp_path_factory.mktemp("warm")
    photos, weights = str(inputs / "photos"), str(inputs / "small.safetensors")
    with Nursery("predict", photos, "--out", str(warm), "--weights", weights) as nursery:
        yield nursery


def filled(name: str, inputs: Path, out: Path) -> list[str]:
    weights = str(inputs / "small.safetensors")
    places = {"in": inputs, "out": out, "weights": weights}
    arguments = [argument.format(**places) for argument in VERBS[name].arguments]
    return arguments + (["--weights", weights, "--device", "cpu"] if name in WITH_WEIGHTS else [])


def read_whole(file: Path) -> Any:
    """Read a file to its end, in the way of its kind; raises where something is missing."""
    if file.suffix == ".json":
        return json.loads(file.read_text())
    if file.suffix == ".jsonl":
        text = file.read_text()
        assert not text or text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]
    if file.suffix in (".jpg", ".png"):
        with Image.open(file) as image:
            return image.convert("RGB").tobytes()
    if file.suffix == ".mp4":
        with av.open(str(file)) as container:
            return sum(1 for _ in container.decode(video=0))
    if file.suffix == ".safetensors":
        return checkpoint.load(file).config
    if file.suffix == ".ckpt":
        return torch.load(file, weights_only=True)["global_step"]
    if file.suffix == ".pt2":
        with zipfile.ZipFile(file) as archive:
            return archive.testzip()
    if file.suffix == ".html":
        assert file.read_text().rstrip().endswith("</html>")
    return file.read_bytes()


def files_in(folder: Path) -> dict[str, Path]:
    """Those with their final names: not hidden, not among the parts of an unfinished video, no logs."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    unfinished = re.compile(r"(^|/)(\.|[^/]*\.unfinished/|logs?/|lightning_logs/|metrics\.csv|csv/)")
    return {name: path for name, path in found.items() if not unfinished.search(name)}


def hidden_in(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.startswith(".")]


def moments(total: int, count: int) -> list[int]:
    """Some of 1..total, evenly spread: the one in the middle, or the first, the last and others."""
    if count == 1:
        return [(total + 1) // 2]
    return sorted({1 + round(i * (total - 1) / (count - 1)) for i in range(min(count, total))})


def check(name: str, fault: str, count: int, nursery: Nursery, inputs: Path, folder: Path) -> None:
    """Let a fault come at so many moments, into an empty place and on top of an earlier run's results."""
    clean = folder / "clean"
    clean.mkdir()
    undisturbed = nursery.run(filled(name, inputs, clean), clean)
    assert undisturbed["code"] in (0, 1), undisturbed
    wanted = files_in(clean)
    assert wanted
    assert not hidden_in(clean)
    for i, at in enumerate(moments(undisturbed["moments"], count)):
        out = folder / f"{i}"
        on_top = i % 2 == 1 and name not in ("train", "convert data")
        shutil.copytree(clean, out) if on_top else out.mkdir()
        ended = nursery.run(filled(name, inputs, out), out, fault, at)
        about = f"{name}, {fault} at {at} of {undisturbed['moments']}: {ended}"
        # A training saves after its step, and goes on if that was the last.
        codes = CODES[fault] | ({130, undisturbed["code"]} if name == "train" else set())
        if fault in ("ENOSPC", "EROFS") and (fault == "EROFS" or not ended["refused"]):
            codes = {*codes, undisturbed["code"]}  # nothing was left to write; on a read-only disk, only to tidy up
        if ended["code"] == undisturbed["code"]:
            assert_complete(out, clean, wanted, about)
        assert ended["code"] in codes, about
        assert "Traceback" not in ended["err"], about
        for path in files_in(out).values():
            read_whole(path)
        if on_top and name != "video":  # its earlier results are given up with the first frame of a new run
            assert files_in(out).keys() >= wanted.keys(), about
        if fault in TIDY:
            assert not hidden_in(out), about
        if fault in ("ENOSPC", "EROFS") and ended["code"] == 2:
            assert len(ended["err"].strip().splitlines()[-1:]) == 1
            assert re.search(r"No space|Read-only|cannot (write|be written|be made)", ended["err"]), about
        if name == "train":
            if (out / "run" / "run.json").is_file():
                again = nursery.run(["train", "--resume", out / "run"], out)
            else:
                shutil.rmtree(out / "run", ignore_errors=True)
                again = nursery.run(filled(name, inputs, out), out)
        else:
            if (out / "new").exists():
                continue  # it is there, and whole
            again = nursery.run([*filled(name, inputs, out), *VERBS[name].again], out)
        assert again["code"] == undisturbed["code"], f"{about}; again: {again}"
        assert_complete(out, clean, wanted, about)


def assert_complete(out: Path, clean: Path, wanted: Iterable[str], about: str) -> None:
    # Cut off between a video and its note of how it was made, it is taken for finished.
    assert files_in(out).keys() >= set(wanted) - {"videos.json"}, about
    for each in wanted:
        if each.endswith((".jsonl", "predictions.json", ".mp4")):
            assert read_whole(out / each) == read_whole(clean / each), f"{about}: {each}"


QUICK = [
    *[("photographs", fault, 2) for fault in ("SIGKILL", "ENOSPC")],
    *[("video", fault, 1) for fault in ("SIGKILL", "EROFS")],
    *[("convert data", fault, 2) for fault in CODES],
    ("evaluate", "SIGTERM", 1),
]


@pytest.mark.parametrize(("name", "fault", "count"), QUICK)
def test_at_some_moments(name: str, fault: str, count: int, nursery: Nursery, inputs: Path, tmp_path: Path):
    check(name, fault, count, nursery, inputs, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("fault", CODES)
@pytest.mark.parametrize("name", VERBS)
def test_at_many_moments(name: str, fault: str, nursery: Nursery, inputs: Path, tmp_path: Path):
    check(name, fault, 6 if name in ("export", "train") else 20, nursery, inputs, tmp_path)


@pytest.mark.parametrize("jump", [1e9, -1e9])
def test_a_clock_that_jumps_by_decades(jump: float, nursery: Nursery, inputs: Path, tmp_path: Path):
    """Durations are measured by a clock that nobody sets."""
    ended = nursery.run(filled("photographs", inputs, tmp_path), tmp_path, at=5, jump=jump)
    assert ended["code"] == 0, ended
    seconds = re.search(r"3 photographs in ([0-9.]+) s", ended["out"])
    assert seconds is not None
    assert 0 <= float(seconds[1]) < 60


@pytest.mark.slow
@pytest.mark.parametrize("jump", [1e9, -1e9])
@pytest.mark.parametrize("name", VERBS)
def test_a_clock_that_jumps_in_any_verb(name: str, jump: float, nursery: Nursery, inputs: Path, tmp_path: Path):
    ended = nursery.run(filled(name, inputs, tmp_path), tmp_path, at=5, jump=jump)
    assert ended["code"] in (0, 1), ended
    assert "Traceback" not in ended["err"]
    assert not re.search(r"-\d+(\.\d+)? s\b|\d{7,}(\.\d+)? s\b", ended["out"] + ended["err"])
    for path in files_in(tmp_path).values():
        read_whole(path)


@pytest.mark.parametrize("how", ["denied", "mounted"])
@pytest.mark.parametrize("name", VERBS)
def test_a_place_that_may_not_be_written_to(name: str, how: str, nursery: Nursery, inputs: Path, tmp_path: Path):
    """By its permissions, which count for root, too, without its privileges; and by a mount that is read-only."""
    (tmp_path / "earlier.txt").write_text("earlier")
    tmp_path.chmod(0o555 if how == "denied" else 0o755)
    try:
        ended = nursery.run(filled(name, inputs, tmp_path), tmp_path, how)
    finally:
        tmp_path.chmod(0o755)
    if ended["code"] == UNABLE:
        pytest.skip("this machine lets nobody take privileges away, or mount")
    assert ended["code"] == 2, ended
    said = ended["err"].strip().splitlines()[-1]
    assert said.startswith("yolact: ")
    assert re.search("Permission denied" if how == "denied" else "Read-only file system", said), said
    assert str(tmp_path) in said
    assert [path.name for path in tmp_path.rglob("*")] == ["earlier.txt"]
