"""What was found in a video, one line of JSON a frame.

{"frame": 12, "time": 0.4, "instances": [{"label": 0, "name": "person", "score": 0.93, "box": [x1, y1, x2, y2],
"segmentation": {"size": [height, width], "counts": "..."}, "area": 5120, "track_id": 3}]}
"""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from faster_coco_eval import mask as run_lengths

from yolact.instances import Instances
from yolact.video.stages import VideoResult


def to_line(result: VideoResult) -> str:
    """A frame's number, its time in seconds, and its instances; boxes and areas are in pixels, masks in COCO's RLE.

    `track_id` is there if the video was tracked, and 0 of what is not followed.
    """
    time = round(result.frame.time, 6)
    return json.dumps({"frame": result.frame.number, "time": time, "instances": _records(result.instances)}) + "\n"


def _records(instances: Instances) -> list[dict[str, Any]]:
    if len(instances) == 0:
        return []
    codes = instances.rles()
    records = [
        {
            "label": int(label),
            "name": name,
            "score": round(float(score), 4),
            "box": [round(side, 2) for side in box],
            "segmentation": code,
            "area": int(area),
        }
        for label, name, score, box, code, area in zip(
            instances.labels,
            instances.names,
            instances.scores,
            instances.boxes.tolist(),
            codes,
            run_lengths.area(codes),
            strict=True,
        )
    ]
    if instances.track_ids is not None:
        for record, track in zip(records, instances.track_ids.tolist(), strict=True):
            record["track_id"] = track
    return records


class JsonLines:
    """A file that grows by a whole line at a time.

    Args:
        path: of the file.
        keep: how many of the lines that are there stay.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = 0
        if keep:
            with path.open("rb") as file:
                kept = sum(len(file.readline()) for _ in range(keep))
        self._file = path.open("r+b" if keep else "wb", buffering=0)
        self._file.truncate(kept)
        self._file.seek(kept)

    def write(self, result: VideoResult) -> None:
        """Add a line, or leave the file as it was.

        Raises:
            OSError: there is no room for it.
        """
        line, end = memoryview(to_line(result).encode()), self._file.tell()
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError:
            self._file.truncate(end)
            raise

    def close(self) -> None:
        self._file.close()


def read_lines(path: Path, count: int | None = None) -> Iterator[dict[str, Any]]:
    """What the first complete lines of a file say, at most `count`."""
    with path.open("rb") as file:
        for line in islice(file, count):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError:  # zeros, as a power cut leaves them
                return
