"""COCO result files, written while the images go by."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from yolact.data.ground_truth import Kind
from yolact.whole_files import written_whole


class ResultFiles:
    """`box_results.json` and `mask_results.json` in a folder; they appear, complete, when the block is left.

    An error within leaves the folder as it was.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[Kind, IO[str]] = {}
        self._count = 0

    def __enter__(self) -> "ResultFiles":
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder} is a file; name a folder to write the results to")
        with ExitStack() as stack:
            kinds: tuple[Kind, ...] = ("box", "mask")
            for kind in kinds:
                unfinished = stack.enter_context(written_whole(self.folder / f"{kind}_results.json"))
                self._files[kind] = stack.enter_context(unfinished.open("w", encoding="utf-8"))
                self._files[kind].write("[")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> bool | None:
        if error[0] is None:
            for file in self._files.values():
                file.write("\n]\n" if self._count else "]\n")
        return self._stack.__exit__(*error)

    def add(self, records: Mapping[Kind, Sequence[dict[str, Any]]]) -> None:
        """The records of one image, as many of each kind."""
        for kind, rows in records.items():
            for i, row in enumerate(rows):
                self._files[kind].write((",\n" if self._count + i else "\n") + json.dumps(row))
        self._count += len(records["box"])
