"""`yolact predict`."""

import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from yolact.apps.cluster.options import RayPredict
from yolact.config import CropKind, NmsKind
from yolact.verbs.runtime_choice import RuntimeChoice
from yolact.verbs.video_options import VideoOptions
from yolact.verbs.wording import Several, one_line

if TYPE_CHECKING:
    from yolact.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Find the instances in photographs and videos.

    Of photographs, it writes pictures, predictions.json (COCO results) and images.json; of videos, cameras and streams,
    an MP4, and JSON lines, one a frame.
    """

    sources: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="SOURCE [SOURCE ...]")]
    """Images, folders and globs such as 'photos/**/*.jpg'; videos; the number of a camera; the address of a stream
    (rtsp, http, udp); numbered frames such as 'frames/%05d.jpg'."""

    out: Path = Path("runs/predict")
    """The folder for the results. Files of the same name in it are replaced."""

    score_threshold: float = 0.15
    """Keep what scores above this, in 0..1."""

    top_k: int = 100
    """Keep at most this many for a photograph or a frame."""

    classes: Annotated[tuple[str, ...], Several] = ()
    """Keep these classes only."""

    nms: NmsKind = "fast"
    """How overlapping detections are suppressed; `fast` is the paper's."""

    crop: CropKind | None = None
    """How masks are cut: by their `box`, the paper's way; by the box widened (`expand`); fading around it (`soft`); or
    to what is connected with its middle (`component`). None: box for published models, else component."""

    image_size: tuple[int, int] | None = None
    """Height and width that photographs are resized to for the network. None: what it was trained at."""

    batch_size: int = 1
    """Photographs, or frames of a file, that go through the network together."""

    pictures: bool = True
    """Write the photographs and videos with the instances drawn on them."""

    cutouts: bool = False
    """Write each instance of a photograph as a PNG with a transparent ground, into OUT/cutouts."""

    model: OmitArgPrefixes[RuntimeChoice] = field(default_factory=RuntimeChoice)

    video: OmitArgPrefixes[VideoOptions] = field(default_factory=VideoOptions)

    ray: bool = False
    """Work on a cluster of Ray: of one source of photographs, WebDataset shards or Parquet, here or in an object store,
    Parquet files appear in OUT. The same command goes on where it was cut off."""

    cluster: Annotated[RayPredict, tyro.conf.arg(name="ray")] = field(default_factory=RayPredict)

    def run(self) -> int:
        from yolact.sources import find_images

        if self.ray:
            from yolact.verbs.predict_on_cluster import run_on_cluster

            return run_on_cluster(self)

        if not self.sources:
            raise ValueError("nothing to predict on; give images, folders, globs, videos or the number of a camera")
        self.video.check()
        videos = list(dict.fromkeys(video for source in self.sources for video in self._videos(source)))
        others = [source for source in self.sources if not self._is_only_video(source)]
        photographs = list(dict.fromkeys(path for source in others for path in find_images(source)))
        if not videos and (note := self.video.in_vain()):
            print(note, file=sys.stderr)
        predictor = self.model.load()
        whole = not photographs or self._run_photographs(predictor, photographs)
        if videos:
            from yolact.verbs.predict_videos import PredictVideos

            facts = {**self.request, "pictures": self.pictures, "model": str(predictor)}
            work = PredictVideos(
                predictor=predictor,
                out=self.out,
                options=self.video,
                request={**self.request, "batch_size": self.batch_size},
                pictures=self.pictures,
                facts=facts | self._weights_facts() | self.video.facts,
            )
            whole = work.run(videos, alone=not photographs) and whole
        return 0 if whole else 1

    @property
    def request(self) -> dict[str, Any]:
        return {
            "score_threshold": self.score_threshold,
            "top_k": self.top_k,
            "nms": self.nms,
            "crop": self.crop,
            "classes": self.classes or None,
            "image_size": self.image_size,
        }

    def _weights_facts(self) -> dict[str, Any]:
        """Which weights: of a file also when it was written, since training writes others under the same name."""
        facts: dict[str, Any] = {"weights": self.model.weights}
        file = Path(self.model.weights or "").expanduser()
        return facts | {"weights_modified": file.stat().st_mtime} if file.is_file() else facts

    def _videos(self, source: str) -> list[str]:
        """What of it is a video: of a folder with a rate, all its photographs together are."""
        from yolact.sources import is_single
        from yolact.video.sources import find_videos

        if self.video.rate is not None and not is_single(source):
            return [source]
        return find_videos(source)

    def _is_only_video(self, source: str) -> bool:
        """Whether there is no photograph in it."""
        from yolact.sources import find_images, is_single

        videos = self._videos(source)
        if not videos or is_single(source) or videos == [source]:
            return bool(videos)
        try:
            return not find_images(source)
        except (FileNotFoundError, ValueError):
            return True

    def _run_photographs(self, predictor: "Predictor", photographs: list[Path]) -> bool:
        """Write the results of photographs, and say whether all could be read."""
        from tqdm import tqdm

        from yolact.results_folder import ResultsFolder

        skipped: list[Exception] = []
        found = predictor.predict(
            photographs,
            batch_size=self.batch_size,
            on_error=lambda path, error: skipped.append(error),
            **self.request,
        )
        results = ResultsFolder(self.out, photographs)
        start = time.perf_counter()
        watched = sys.stderr is not None and sys.stderr.isatty()  # in a log, a bar is noise
        bar = tqdm(total=len(photographs), unit="image", disable=not watched or len(photographs) < 2, leave=False)
        try:
            with bar:
                for instances in found:
                    assert isinstance(instances.image, Path)
                    results.add(instances.image, instances, self.pictures, self.cutouts)
                    bar.update()
        except (KeyboardInterrupt, OSError):
            with suppress(OSError):  # such as a full disk, which is said already
                results.finish(predictor.config)  # of the pictures that are finished
            raise
        for error in skipped:
            print(f"skipped: {one_line(error)}", file=sys.stderr)
        results.finish(predictor.config)
        self._summarize(len(photographs), len(skipped), results.counts, results.replaced, time.perf_counter() - start)
        return not skipped

    def _summarize(self, total: int, skipped: int, counts: dict[str, int], replaced: int, seconds: float) -> None:
        ranked = sorted(((one_line(name), count) for name, count in counts.items()), key=lambda item: -item[1])
        by_class = [f"{count} {name}" for name, count in ranked[:5]] + ["..."] * (len(ranked) > 5)
        done = f"{total - skipped} photograph{'s' * (total - skipped != 1)} in {seconds:.1f} s"
        left_out = f", {skipped} skipped" if skipped else ""
        earlier = f" ({replaced} files of an earlier run replaced)" if replaced else ""
        print(f"{done}{left_out}; found {', '.join(by_class) or 'nothing'}; results in {self.out}{earlier}")
