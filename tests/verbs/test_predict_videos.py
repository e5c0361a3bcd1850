"""`yolact predict` on videos: what it writes, what it says, and what is left when it is cut short."""

import json
import os
import shutil
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from test_predictor import photograph, small_network
from yolact import checkpoint
from yolact.cli import _spelled_out, main
from yolact.video.result_names import result_names
from yolact.video.results import VideoResults
from yolact.video.writing import VideoWriter


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    return str(checkpoint.save(tmp_path_factory.mktemp("weights") / "small.safetensors", small_network()))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, Fraction(10)) as writer:
        for number in range(30):
            writer.write(photograph(number), number / 10)
    return path


@pytest.fixture
def predict(weights: str, tmp_path: Path):
    def run(*arguments: str | Path) -> int:
        options = ("--weights", weights, "--top-k", "3", "--out", str(tmp_path / "out"), "--device", "cpu")
        with pytest.raises(SystemExit) as exited:
            main(["predict", *map(str, arguments), *options])
        assert isinstance(exited.value.code, int)
        return exited.value.code

    return run


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time or 0.0 for frame in container.decode(video=0)]


def test_a_clip_becomes_a_video_and_json_lines(predict, clip: Path, tmp_path: Path, capsys):
    assert predict(clip) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{clip}: 30 frames in ")
    assert len(printed.out.splitlines()) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip.jsonl", "clip.mp4", "videos.json"]
    assert times(tmp_path / "out" / "clip.mp4") == pytest.approx([n / 10 for n in range(30)])
    found = lines(tmp_path / "out" / "clip.jsonl")
    assert [line["frame"] for line in found] == list(range(30))
    assert [line["time"] for line in found] == pytest.approx([n / 10 for n in range(30)])
    assert all(len(line["instances"]) == 3 for line in found)
    instance = found[0]["instances"][0]
    assert instance.keys() == {"label", "name", "score", "box", "segmentation", "area"}
    assert instance["name"] == ("cat", "dog")[instance["label"]]
    assert instance["segmentation"]["size"] == [120, 90]


def test_the_lines_say_what_the_network_found(predict, clip: Path, tmp_path: Path, weights: str):
    import yolact
    from yolact.video import segment

    assert predict(clip, "--no-pictures", "--batch-size", "4") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip.jsonl", "videos.json"]
    for line, result in zip(
        lines(tmp_path / "out" / "clip.jsonl"), segment(yolact.load(weights, "cpu"), str(clip), top_k=3), strict=True
    ):
        areas, boxes = result.instances.areas, result.instances.boxes
        assert [instance["area"] for instance in line["instances"]] == pytest.approx(areas, abs=3)
        assert np.allclose([instance["box"] for instance in line["instances"]], boxes, atol=0.02)


def test_photographs_and_videos_in_one_call(predict, clip: Path, tmp_path: Path, capsys):
    Image.fromarray(photograph()).save(tmp_path / "a.png")
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    assert predict(tmp_path / "a.png", tmp_path / "broken.mp4", clip, "--seconds", "0.5") == 1
    printed = capsys.readouterr()
    assert "1 photograph in" in printed.out
    assert "5 frames in" in printed.out
    assert "skipped: " in printed.err
    assert "broken.mp4" in printed.err
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a.png", "clip.jsonl", "clip.mp4", "images.json", "predictions.json", "videos.json"]


def test_what_photographs_have_no_use_for_is_said(predict, tmp_path: Path, capsys):
    Image.fromarray(photograph(0)).save(tmp_path / "photo.png")
    assert predict(tmp_path / "photo.png", "--seconds", "5") == 0
    assert capsys.readouterr().err.startswith("--seconds has no effect: it is for videos")
    assert predict(tmp_path / "photo.png") == 0
    assert capsys.readouterr().err == ""


def test_a_truncated_video_is_said_and_kept(predict, clip: Path, tmp_path: Path, capsys):
    flv = tmp_path / "cut.mkv"
    with av.open(str(clip)) as source, av.open(str(flv), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    flv.write_bytes(flv.read_bytes()[: flv.stat().st_size // 2])
    assert predict(flv) == 1
    printed = capsys.readouterr()
    assert "cut.mkv" in printed.err
    found = lines(tmp_path / "out" / "cut.jsonl")
    assert 5 < len(found) < 30
    assert len(times(tmp_path / "out" / "cut.mp4")) == len(found)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("{tmp}/empty.mp4",), "empty.mp4"),
        (("{tmp}/missing.mp4",), "missing.mp4"),
        (("{tmp}/clip.mp4", "--smooth", "0.2"), "--track"),
        (("{tmp}/clip.mp4", "--seconds", "0"), "--seconds"),
        (("{tmp}/clip.mp4", "--rate", "-1"), "--rate"),
        (("{tmp}/clip.mp4", "--preview", "--preview-port", "99999"), "99999"),
        (("{tmp}/clip.mp4", "--score-threshold", "7"), "score_threshold"),
    ],
)
def test_each_mistake_gives_one_line(predict, arguments, part: str, clip: Path, tmp_path: Path, capsys):
    (tmp_path / "empty.mp4").touch()
    assert predict(*(argument.format(tmp=tmp_path) for argument in arguments)) == 2
    printed = capsys.readouterr()
    assert part in printed.err.splitlines()[-1]
    assert printed.out == ""
    assert not list((tmp_path / "out").glob("*"))


def test_the_video_itself_is_not_replaced(predict, clip: Path, tmp_path: Path, capsys):
    (tmp_path / "out").mkdir()
    before = clip.rename(tmp_path / "out" / "clip.mp4").read_bytes()
    assert predict(tmp_path / "out" / "clip.mp4") == 2
    assert "choose another folder" in capsys.readouterr().err
    assert (tmp_path / "out" / "clip.mp4").read_bytes() == before


def interrupt_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    add = VideoResults.add

    def interrupted(self: VideoResults, result, picture) -> None:
        if result.frame.number == number:
            raise KeyboardInterrupt
        add(self, result, picture)

    monkeypatch.setattr(VideoResults, "add", interrupted)


@pytest.mark.parametrize("options", [(), ("--no-pictures",)])
def test_interrupted_and_resumed(predict, clip: Path, tmp_path: Path, capsys, monkeypatch, options):
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        interrupt_at(patched, 17)
        assert predict(clip, *options) == 130
    where = f"{out / 'clip.jsonl'}" if options else f"{out / 'clip.mp4'} and clip.jsonl"
    assert f"after 17 frames, which are in {where}; --resume goes on" in capsys.readouterr().err
    assert len(lines(out / "clip.jsonl")) == 17
    if not options:
        assert len(times(out / "clip.mp4")) == 17
    assert predict(clip, "--resume", "--score-threshold", "0.2", *options) == 2
    assert "score_threshold was 0.15 and is 0.2" in capsys.readouterr().err
    assert predict(clip, "--resume", *options) == 0
    printed = capsys.readouterr()
    assert "goes on behind its first 17 frames" in printed.err
    assert "13 frames in" in printed.out
    assert [line["frame"] for line in lines(out / "clip.jsonl")] == list(range(30))
    if not options:
        assert times(out / "clip.mp4") == pytest.approx([n / 10 for n in range(30)])
    assert not (out / "clip.unfinished").exists()
    assert predict(clip, "--resume", *options) == 0
    assert "finished before" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [("--classes", "horse"), ("--score-threshold", "2"), ("--track", "--smooth", "nan")]
)
def test_a_mistake_costs_no_earlier_results(predict, clip: Path, tmp_path: Path, options: tuple[str, ...]):
    assert predict(clip) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert predict(clip, *options) == 2
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_another_video_of_the_same_name_is_not_taken_for_finished(predict, clip: Path, tmp_path: Path, capsys):
    (tmp_path / "other").mkdir()
    other = Path(shutil.copy(clip, tmp_path / "other"))
    assert predict(clip, "--no-pictures") == 0
    before = (tmp_path / "out" / "clip.jsonl").read_bytes()
    capsys.readouterr()
    assert predict(other, "--no-pictures", "--resume") == 2
    assert f"source was {str(clip)!r} and is {str(other)!r}" in capsys.readouterr().err
    assert predict(clip, "--no-pictures", "--resume", "--score-threshold", "0.2") == 2
    assert "score_threshold was 0.15 and is 0.2; leave --resume out" in capsys.readouterr().err
    assert (tmp_path / "out" / "clip.jsonl").read_bytes() == before


def test_what_other_weights_of_the_same_name_began_is_not_gone_on_with(
    predict, clip: Path, weights: str, capsys, monkeypatch
):
    with monkeypatch.context() as patched:
        interrupt_at(patched, 2)
        assert predict(clip, "--no-pictures") == 130
    os.utime(weights, (1, 1))  # as if training had written them anew
    capsys.readouterr()
    assert predict(clip, "--no-pictures", "--resume") == 2
    assert "weights_modified was " in capsys.readouterr().err


def test_what_was_tracked_is_not_gone_on_with_untracked(predict, clip: Path, capsys, monkeypatch):
    with monkeypatch.context() as patched:
        interrupt_at(patched, 17)
        assert predict(clip, "--no-pictures", "--track", "coefficients") == 130
    capsys.readouterr()
    assert predict(clip, "--no-pictures", "--resume") == 2
    assert "track was 'coefficients' and is None; leave --resume out" in capsys.readouterr().err


def test_numbered_frames_have_a_rate(predict, tmp_path: Path):
    (tmp_path / "frames").mkdir()
    for number in range(4):
        Image.fromarray(photograph(number)).save(tmp_path / "frames" / f"{number:05d}.png")
    assert predict(tmp_path / "frames" / "%05d.png", "--rate", "5") == 0
    assert times(tmp_path / "out" / "frames.mp4") == pytest.approx([0, 0.2, 0.4, 0.6])
    assert predict(tmp_path / "frames", "--rate", "2") == 0
    assert times(tmp_path / "out" / "frames.mp4") == pytest.approx([0, 0.5, 1, 1.5])


def test_frames_with_one_more_are_not_taken_for_finished(predict, tmp_path: Path, capsys):
    (tmp_path / "frames").mkdir()
    for number in range(3):
        assert number < 2 or predict(tmp_path / "frames", "--rate", "2", "--no-pictures") == 0
        Image.fromarray(photograph(number)).save(tmp_path / "frames" / f"{number}.png")
    assert predict(tmp_path / "frames", "--rate", "2", "--no-pictures", "--resume") == 2
    assert "photographs was 2 and is 3; leave --resume out" in capsys.readouterr().err
    assert len(lines(tmp_path / "out" / "frames.jsonl")) == 2


def test_tracked_objects_have_numbers(predict, clip: Path, tmp_path: Path, capsys):
    assert predict("--track", clip) == 0
    assert "(tracks)" in capsys.readouterr().out
    assert all("track_id" in each for line in lines(tmp_path / "out" / "clip.jsonl") for each in line["instances"])


def test_track_alone_takes_no_video_for_a_kind():
    assert _spelled_out(["predict", "--track", "a.mp4"]) == ["predict", "--track", "mask", "a.mp4"]
    assert _spelled_out(["predict", "a.mp4", "--track"]) == ["predict", "a.mp4", "--track", "mask"]
    assert _spelled_out(["--track", "ocsort", "0"]) == ["--track", "ocsort", "0"]


def test_names_of_results(tmp_path: Path):
    (tmp_path / "clip.mov").touch()
    (tmp_path / "clip.mp4").touch()
    given = [str(tmp_path / "clip.mov"), str(tmp_path / "clip.mp4"), "0", "rtsp://me:secret@door.local/live?token=1"]
    expected = ["clip", "clip-2", "camera-0", "door.local-live", "frames"]
    assert result_names([*given, "frames/%05d.jpg"], tmp_path / "out") == expected


def test_names_as_long_as_names_can_be_leave_room_for_what_is_made_of_them(tmp_path: Path):
    videos = [str(tmp_path / f"{'動' * 82}{end}.mp4") for end in "ab"]
    for video in videos:
        Path(video).touch()
    names = result_names(videos, tmp_path / "out")
    assert len(set(names)) == 2
    for name in names:
        (tmp_path / f"{name}.unfinished").mkdir()


def test_no_thread_stays(predict, clip: Path):
    before = set(threading.enumerate())
    assert predict(clip, "--preview", "--seconds", "0.3") == 0
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()
