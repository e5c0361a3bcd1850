"""What `yolact predict` does with videos, cameras, streams and image sequences."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolact.verbs.video_options import VideoOptions
from yolact.verbs.wording import one_line

if TYPE_CHECKING:
    from yolact.predictor import Predictor
    from yolact.tracking import Tracker
    from yolact.video.frame import FrameSource
    from yolact.video.preview import Preview
    from yolact.video.results import VideoResults
    from yolact.video.stages import Segmentation


@dataclass(frozen=True, kw_only=True)
class PredictVideos:
    predictor: "Predictor"
    out: Path
    options: VideoOptions
    request: Mapping[str, Any]
    """What `Predictor.predict` takes, by name."""

    pictures: bool
    facts: Mapping[str, Any]
    """What must be the same for a later run to go on."""

    def run(self, videos: Sequence[str], alone: bool) -> bool:
        """Write the results of each, and a line on what was found.

        Args:
            videos: what `yolact.video.sources.open_source` takes.
            alone: nothing else was asked for: an error is raised, where otherwise the others go on.

        Returns:
            Whether nothing was skipped, damaged or cut off.
        """
        from yolact.video.preview import Preview
        from yolact.video.result_names import result_names

        self.predictor.predict([], **self.request)  # refuses options now, before earlier results are replaced
        whole = True
        names = result_names(videos, self.out)
        with ExitStack() as opened:
            preview = opened.enter_context(Preview(self.options.preview_port)) if self.options.preview else None
            if preview is not None:
                print(f"live at {preview.address}", file=sys.stderr, flush=True)
            for text, name in zip(videos, names, strict=True):
                try:
                    whole = self._one(text, self.out / name, preview) and whole
                except (ValueError, OSError) as error:
                    if alone and len(videos) == 1:
                        raise
                    print(f"skipped: {one_line(error)}", file=sys.stderr)
                    whole = False
        return whole

    def _one(self, text: str, stem: Path, preview: "Preview | None") -> bool:
        from yolact.tracking import open_tracker
        from yolact.video.live import LiveSource
        from yolact.video.results import VideoResults, is_finished
        from yolact.video.sources import open_source

        source = open_source(text, rate=self.options.rate)
        if isinstance(source, LiveSource):
            source.seconds = self.options.seconds
        options, rate = self.options, None if source.rate is None else float(source.rate)
        resume, facts = self.options.resume and not source.is_live, {**self.facts, **_facts_of(text, source)}
        try:
            tracker = open_tracker(options.track, options.smooth, rate) if options.track else None
            if resume and is_finished(stem, facts, self.pictures):
                print(f"{one_line(source.name)}: finished before; left as it is", file=sys.stderr)
                source.close()
                return True
            if resume and self.options.track:
                print(f"{one_line(source.name)}: tracks cannot be taken up again; it begins anew", file=sys.stderr)
                resume = False
            results = VideoResults(stem, source, facts, self.pictures, resume)
        except BaseException:
            source.close()
            raise
        if resume:
            done = (
                f"goes on behind its first {results.frames} frames" if results.frames else "begins at its first frame"
            )
            print(f"{one_line(source.name)}: {done}", file=sys.stderr)
        self._write(source, results, tracker, preview)
        for note in [*source.losses, *source.notes, *results.notes]:
            print(one_line(note), file=sys.stderr)
        return not source.losses

    def _write(
        self, source: "FrameSource", results: "VideoResults", tracker: "Tracker | None", preview: "Preview | None"
    ) -> None:
        from yolact.video.stages import segment

        options = self.options
        start, frames, complete, interrupted = time.perf_counter(), 0, False, False
        segmentation = segment(self.predictor, source, tracker=tracker, skip=results.skip, **self.request)
        try:
            with segmentation, _bar(source, results.frames) as bar:
                for result in segmentation:
                    if options.seconds is not None and result.frame.time >= options.seconds:
                        break
                    picture = result.instances.plot() if self.pictures or preview else None
                    results.add(result, picture)
                    if preview is not None and picture is not None:
                        preview.show(picture)
                    frames += 1
                    bar.update()
            complete = True
        except KeyboardInterrupt:
            complete = source.is_live  # that is how those end
            interrupted = not complete
        finally:
            results.finish(complete or not frames + results.frames)
        if interrupted:
            raise KeyboardInterrupt(results.describe_interruption(frames))
        print(_summary(segmentation, results, frames, time.perf_counter() - start), flush=True)


def _bar(source: "FrameSource", done: int) -> Any:
    from tqdm import tqdm

    watched = sys.stderr is not None and sys.stderr.isatty()  # in a log, a bar is noise
    return tqdm(total=source.count, initial=done, unit="frame", disable=not watched, leave=False)


def _facts_of(text: str, source: "FrameSource") -> dict[str, Any]:
    from yolact.video.remote import without_password
    from yolact.video.sequence import ImageSequence

    path = Path(text).expanduser()
    if isinstance(source, ImageSequence):
        files = [photograph.stat() for photograph in source.files if photograph.is_file()]
        size, newest = sum(file.st_size for file in files), max((file.st_mtime for file in files), default=None)
        return {"source": text, "photographs": len(source.files), "bytes": size, "modified": newest}
    if not path.is_file():
        return {"source": without_password(text)}
    return {"source": str(path.absolute()), "bytes": path.stat().st_size, "modified": path.stat().st_mtime}


def _summary(segmentation: "Segmentation", results: "VideoResults", frames: int, seconds: float) -> str:
    source = segmentation.source
    parts = [f"{frames} frame{'s' * (frames != 1)} in {seconds:.1f} s ({frames / max(seconds, 1e-9):.1f} a second)"]
    if source.is_live:
        parts.append(f"{segmentation.dropped} dropped")
        if frames:
            median, late = (1000 * segmentation.latency(percentile) for percentile in (50, 95))
            parts.append(f"{median:.0f} ms from capture to mask (95 %: below {late:.0f} ms)")
    earlier = " (those of an earlier run replaced)" if results.replaces and frames else ""
    return one_line(
        f"{source.name}: {', '.join(parts)}; found {results.found()}; results in {results.where()}{earlier}"
    )
