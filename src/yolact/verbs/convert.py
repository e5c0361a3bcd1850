"""`yolact convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from yolact.verbs.wording import Several


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Turn a checkpoint of the original code into a .safetensors file with its config and class names inside."""

    file: Positional[Path]
    """A .pth file of the original code."""

    out: Path | None = None
    """The file to write. None: beside the .pth, under its name."""

    preset: str | None = None
    """Which model it is, where its tensors cannot tell."""

    class_names: Annotated[tuple[str, ...], Several] = ()
    """Its classes in the order of their labels, where its tensors cannot tell."""

    def run(self) -> int:
        from yolact.checkpoint import convert_file

        convert_file(self.file, self.out, self.preset, self.class_names or None)
        return 0
