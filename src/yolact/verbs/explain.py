"""`yolact explain`."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from yolact.verbs.runtime_choice import RuntimeChoice
from yolact.verbs.wording import one_line


@dataclass(frozen=True, kw_only=True)
class Explain:
    """Show how masks come about: all prototypes of a photograph, and those that make each instance's mask."""

    sources: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="PHOTO [PHOTO ...]")]
    """Images, folders and globs. Of several photographs, each gets a folder of its own in OUT."""

    out: Path = Path("runs/explain")
    """The folder for prototypes.png, a picture for each instance, and explanation.json."""

    instances: Annotated[tuple[int, ...], tyro.conf.arg(metavar="NUMBER [NUMBER ...]")] = ()
    """Explain these only, numbered from 0 by descending score."""

    most: int | None = None
    """Show at most so many prototypes of each mask. None: until they make it to an IoU of 0.95."""

    score_threshold: float = 0.3
    """Explain what scores above this, in 0..1."""

    top_k: int = 20
    """Explain at most so many instances of a photograph."""

    image_size: tuple[int, int] | None = None
    """Height and width that photographs are resized to for the network. None: what it was trained at."""

    model: OmitArgPrefixes[RuntimeChoice] = field(default_factory=RuntimeChoice)

    def run(self) -> int:
        from yolact.explanation_folder import explain_photograph, folders_of
        from yolact.sources import find_images

        if not self.sources:
            raise ValueError("nothing to explain; give images, folders or globs")
        if self.most is not None and self.most < 1:
            raise ValueError(f"--most is {self.most}; it must be at least 1")
        if min(self.instances, default=0) < 0:
            raise ValueError(f"--instances has {min(self.instances)}; instances are numbered from 0")
        photographs = list(dict.fromkeys(path for source in self.sources for path in find_images(source)))
        predictor = self.model.load()
        skipped = 0
        explained: list[int] = []
        for path, folder in folders_of(photographs, self.out).items():
            try:
                found = predictor.predict(path, self.score_threshold, self.top_k, image_size=self.image_size)
                count = explain_photograph(
                    predictor, found, folder, numbers=self.instances, most=self.most, image_size=self.image_size
                )
            except (ValueError, FileNotFoundError) as error:
                if len(photographs) == 1:
                    raise
                print(f"skipped: {one_line(error)}", file=sys.stderr)
                skipped += 1
                continue
            explained.append(count)
        left_out = f", {skipped} skipped" if skipped else ""
        instances = f"{sum(explained)} instances" if sum(explained) != 1 else "1 instance"
        said = instances if sum(explained) else f"nothing found above a score of {self.score_threshold:g}"
        photos = f"{len(explained)} photograph{'s' * (len(explained) != 1)}"
        print(f"{photos}{left_out}; {said}, and all prototypes; explained in {self.out}")
        return 1 if skipped else 0
