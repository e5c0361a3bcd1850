"""`yolact train`."""

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from yolact.apps.cluster.machines import Torchrun, train_here
from yolact.apps.cluster.training import RayTrain, resume_on_ray, start_on_ray
from yolact.config import ANCHOR_LEVELS
from yolact.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train on a COCO-format data set; the folder of the run holds best.safetensors, last.safetensors and the logs."""

    data: Annotated[Positional[Path | None], tyro.conf.arg(metavar="DATA.YAML")] = None
    """A data.yaml with `train: {images: FOLDER, annotations: FILE}`, and perhaps `val` and `classes`; or the name of a
    published data set: coco2017 or sbd."""

    root: Path | None = None
    """The folder that holds a published data set. None: one of its name, or the current folder."""

    preset: str = "yolact-resnet18"
    """The network."""

    out: Path | None = None
    """The folder of the run, new or empty. None: runs/train, or the first free of runs/train-2, ..."""

    resume: Path | None = None
    """The folder of an interrupted run to go on with; nothing else is needed but, with several machines, where."""

    image_size: tuple[int, int] | None = None
    """Height and width of the network's input; the preset's anchors grow or shrink along. None: the preset's."""

    num_prototypes: int | None = None
    """k of the paper. None: the preset's."""

    width: int | None = None
    """Channels of the feature pyramid, the prototype network and the head. None: the preset's."""

    anchor_scales: Annotated[tuple[float, ...], tyro.conf.arg(metavar="PIXELS [PIXELS ...]")] = ()
    """Sides of the anchors, in pixels of the network's input: five numbers, one for each of P3 to P7, or ten, two for
    each, and so on; `yolact data anchors` proposes some. None: the preset's."""

    anchor_ratios: Annotated[tuple[float, ...], tyro.conf.arg(metavar="RATIO [RATIO ...]")] = ()
    """Width over height of the anchors of one scale. None: the preset's."""

    recipe: OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)

    ray: RayTrain = field(default_factory=RayTrain)
    torchrun: Torchrun = field(default_factory=Torchrun)

    def run(self) -> int:
        if self.torchrun.meet is not None:  # read when torch is imported, which tells the stack of lost connections
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
        from yolact.training.together import launched, one_speaks

        if self.resume is not None and self != Train(resume=self.resume, ray=self.ray, torchrun=self.torchrun):
            raise ValueError(
                f"--resume {self.resume} goes on with that run's own data and recipe; give nothing else, but for where"
            )
        if self.torchrun.machines > 1 and self.ray.workers:
            raise ValueError("--ray.workers and --torchrun.machines both say where to train; give one of them")
        if self.torchrun.meet is not None and not launched():
            return self._on_machines()
        with one_speaks():
            self._go_on(self.resume) if self.resume is not None else self._start()
        return 0

    def _on_machines(self) -> int:
        """This very command in as many processes as it takes."""
        out = self.resume or self.out
        if out is None:
            raise ValueError("out is not given; processes on several machines need the same folder: name it with --out")
        processes = self.recipe.devices
        if self.resume is not None:
            from yolact.training.record import Record

            processes = Record.read(self.resume).processes // self.torchrun.machines
        return train_here(self.torchrun, sys.argv[1:], max(processes, 1), out)

    def _go_on(self, out: Path) -> None:
        from yolact.training import resume

        if self.ray.workers:
            resume_on_ray(self.ray, out)
        else:
            resume(out)

    def _start(self) -> None:
        from yolact import training
        from yolact.data.source import locate
        from yolact.presets import PRESETS

        if self.data is None:
            raise ValueError("no data set; give a data.yaml, or --resume with the folder of a run")
        if self.preset not in PRESETS:
            raise ValueError(f"preset {self.preset!r} is unknown; choose one of {', '.join(PRESETS)}")
        wanted = {name: getattr(self, name) for name in ("num_prototypes", "width")}
        changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        changes["parity"] = False  # what following the original costs in training, nobody has to pay
        changes |= self._anchors()
        model = PRESETS[self.preset].build()
        model = model.at_size(self.image_size) if self.image_size else model
        data, model = locate(self.data, self.root), replace(model, **changes)
        if self.ray.workers:
            start_on_ray(self.ray, data, model, self.recipe, self.out)
        else:
            training.train(data, model, self.recipe, self.out)

    def _anchors(self) -> dict[str, Any]:
        """The fields of the network's config that anchors of one's own change."""
        changes: dict[str, Any] = {}
        if self.anchor_scales:
            each, rest = divmod(len(self.anchor_scales), ANCHOR_LEVELS)
            if rest:
                raise ValueError(
                    f"--anchor-scales has {len(self.anchor_scales)} numbers; give as many for each of P3 to P7: 5 or 10"
                )
            numbers = iter(self.anchor_scales)
            changes["anchor_scales"] = tuple(tuple(next(numbers) for _ in range(each)) for _ in range(ANCHOR_LEVELS))
        if self.anchor_ratios:
            changes["anchor_ratios"] = self.anchor_ratios
        # Squares, whatever the ratio: only the published weights of the original depend on this slip of it.
        return changes | {"square_anchors": False} if changes else {}
