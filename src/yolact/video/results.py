"""What `yolact predict` leaves of videos.

out/clip.mp4, out/clip.jsonl   the pictures and the lines of one
out/clip.unfinished/           while it works
out/videos.json                what each was made from, and how, by its name
"""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from yolact.video.frame import FrameSource
from yolact.video.json_lines import JsonLines, read_lines
from yolact.video.stages import VideoResult
from yolact.video.writing import VideoWriter
from yolact.whole_files import written_whole


def is_finished(stem: Path, facts: Mapping[str, Any], pictures: bool) -> bool:
    """Whether there are the results of a run that came to its end.

    Raises:
        ValueError: there are, but they were made from something else, or in another way.
    """
    wanted = (".jsonl", ".mp4") if pictures else (".jsonl",)
    has_all = all(stem.with_name(stem.name + suffix).is_file() for suffix in wanted)
    if not has_all or stem.with_name(stem.name + ".unfinished").exists():
        return False
    earlier = _read_facts(stem.with_name("videos.json")).get(stem.name)
    if earlier is not None:
        _compare(facts, earlier, f"leave {stem} as it is")
    return True


class VideoResults:
    """Collects the results of one video.

    `clip.jsonl` grows by complete lines. `clip.mp4` appears at the end, also where work is given up: then it shows what
    was done. A process that was killed leaves the lines and the parts of the video in `clip.unfinished`, with which
    another can go on. What an earlier run left stays as it is until there is a frame to write.

    Args:
        stem: the path of the results, without a suffix.
        source: whose timing and sound the video gets.
        facts: what must be the same for another process to go on, by name.
        pictures: write a video.
        resume: go on if there is something to go on with.

    Raises:
        ValueError: there is, but it was made from something else, or in another way.
        OSError: it cannot be written there.
    """

    def __init__(
        self, stem: Path, source: FrameSource, facts: Mapping[str, Any], pictures: bool = True, resume: bool = False
    ) -> None:
        self.video, self.lines = stem.with_name(stem.name + ".mp4"), stem.with_name(stem.name + ".jsonl")
        self._folder = stem.with_name(stem.name + ".unfinished")
        self._source, self._facts, self._pictures = source, facts, pictures
        self._writer: VideoWriter | None = None
        self._json: JsonLines | None = None
        self.replaces = False
        """Whether there are lines of an earlier run, which the first frame will replace."""

        self.most: Counter[str] = Counter()
        """The most instances of a class that one frame had."""

        self.tracks: dict[str, set[int]] = {}
        """The tracks of each class."""

        self.frames = self.skip = 0
        """Frames of an earlier process, and the number of the frame to go on with."""

        resume = resume and (self._folder / "facts.json").is_file() and self.lines.is_file()
        if resume:
            _compare(facts, _read_facts(self._folder / "facts.json"), f"go on with {self._folder}")
        with _naming(stem.parent):
            stem.parent.mkdir(parents=True, exist_ok=True)
            if resume:
                self._begin(resume)
            else:
                tempfile.TemporaryFile(dir=stem.parent).close()  # what is refused is said now, and not after minutes
        self.replaces = not resume and self.lines.is_file()

    def _begin(self, resume: bool) -> None:
        """Open the files. From here on, what an earlier run left is gone or gone on with."""
        if self._pictures:
            self._writer = VideoWriter(self.video, self._source.rate, self._source.audio, resume=resume)
        if resume:
            self._count_again()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._json = JsonLines(self.lines, self.frames)
        # Last, so that lines of an earlier run are never taken for some of this one.
        with written_whole(self._folder / "facts.json") as unfinished:
            unfinished.write_text(json.dumps(self._facts))

    @property
    def notes(self) -> list[str]:
        return self._writer.notes if self._writer else []

    def add(self, result: VideoResult, picture: Image.Image | None) -> None:
        """Write a frame's line, and its picture where a video is wanted."""
        if self._json is None:
            with _naming(self.lines.parent):
                self._begin(resume=False)
        assert self._json is not None
        with _naming(self.lines.parent, "make room, and --resume goes on"):
            self._json.write(result)
            if self._writer is not None and picture is not None:
                self._writer.write(picture, result.frame.time)
        self._count(result.instances.names)
        if result.instances.track_ids is not None:
            for name, track in zip(result.instances.names, result.instances.track_ids.tolist(), strict=True):
                if track:
                    self.tracks.setdefault(name, set()).add(track)

    def found(self) -> str:
        """For people: the tracks of each class, or else the most instances that a frame had."""
        if self.tracks:
            return _listed({name: len(tracks) for name, tracks in self.tracks.items()}) + " (tracks)"
        return f"{_listed(self.most)} at most in a frame" if self.most else "nothing"

    def where(self) -> str:
        return f"{self.video} and {self.lines.name}" if self._writer and self.video.exists() else str(self.lines)

    def describe_interruption(self, frames: int) -> str:
        """For people, when `frames` more frames were added than an earlier process had."""
        done = frames + self.frames
        return f"interrupted after {done} frames, which are in {self.where()}; --resume goes on" if done else ""

    def finish(self, complete: bool = True) -> None:
        """Close the files, which then hold all there is.

        Args:
            complete: nothing is left to go on with.
        """
        if self._json is None:
            return  # there was no frame, and what an earlier run left is as it was
        self._json.close()
        if self._writer is not None:
            self._writer.begins = self._source.begins
            with _naming(self.video):
                self._writer.finish(complete)
        if self.lines.stat().st_size == 0:
            self.lines.unlink()
        elif complete and not self._source.is_live:
            file = self.lines.with_name("videos.json")
            facts = _read_facts(file) | {self.video.stem: self._facts}
            with written_whole(file) as unfinished:
                unfinished.write_text(json.dumps(facts, indent=1))
        if complete:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _count(self, names: Sequence[str]) -> None:
        for name, count in Counter(names).items():
            self.most[name] = max(self.most[name], count)

    def _count_again(self) -> None:
        """What an earlier process had."""
        for line in read_lines(self.lines, self._writer.frames if self._writer else None):
            self.frames, self.skip = self.frames + 1, line["frame"] + 1
            self._count([instance["name"] for instance in line["instances"]])
        if self._writer is not None and self.frames < self._writer.frames:
            raise ValueError(f"{self.lines} has fewer frames than its video; leave --resume out")


def _read_facts(file: Path) -> dict[str, Any]:
    try:
        facts = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _compare(facts: Mapping[str, Any], earlier: Mapping[str, Any], what: str) -> None:
    for name, wanted in json.loads(json.dumps(facts)).items():
        if wanted != (was := earlier.get(name)):
            raise ValueError(f"cannot {what}: {name} was {was!r} and is {wanted!r}; leave --resume out")


@contextmanager
def _naming(path: Path, remedy: str = "choose another place") -> Iterator[None]:
    """What the system refuses is said in one line."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # that is done
            raise
        raise OSError(f"cannot write {path} ({error.strerror}); {remedy}") from error


def _listed(counts: Mapping[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join([f"{count} {name}" for name, count in ranked[:5]] + ["..."] * (len(ranked) > 5))
