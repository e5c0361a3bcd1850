"""What runtimes of exported graphs have in common: what a file says of itself, and what it is run on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from yolact.config import DetectConfig, ModelConfig
from yolact.deployable import COMPACT, Deployable, MaskForm
from yolact.pixels import to_network_input
from yolact.weights_file import FORMAT, _config_of

GRAPH_FORMAT = "1"
"""Of inputs, outputs and metadata. Changes when an older version could not run the file."""

IMAGES, FRACTIONS = "images", "box_fractions"
"""Tensors within a graph: what the network takes, and the boxes as fractions of it, not clipped."""

METADATA = ("yolact_graph", "yolact_format", "config", "detect", "masks", "region_size", "precision")
"""The names of the texts that describe a file, in the file."""

Outputs = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an exported file says of itself."""

    config: ModelConfig
    """Of the network, with the image size that the graph resizes to."""

    detect: DetectConfig
    masks: tuple[MaskForm, ...] = ()
    region_size: int = 112
    precision: str = "float32"
    """What the network's convolutions compute in, such as `float32` or `int8`."""

    @classmethod
    def of(cls, deployable: Deployable) -> "Description":
        return cls(
            config=deployable.config,
            detect=deployable.detect,
            masks=deployable.masks,
            region_size=deployable.region_size,
            precision=str(next(deployable.network.parameters()).dtype).removeprefix("torch."),
        )

    def to_metadata(self) -> dict[str, str]:
        """Texts to put into the file."""
        return {
            "yolact_graph": GRAPH_FORMAT,
            "yolact_format": FORMAT,
            "config": json.dumps(self.config.to_dict()),
            "detect": json.dumps(asdict(self.detect)),
            "masks": " ".join(self.masks),
            "region_size": str(self.region_size),
            "precision": self.precision,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], path: Path) -> "Description":
        """The inverse of `to_metadata`.

        Raises:
            ValueError: the file of this path was written by something else, by a newer version, or was tampered with.
        """
        if "yolact_graph" not in metadata:
            raise ValueError(f"{path} was not written by yolact export, so its outputs mean nothing here")
        if metadata["yolact_graph"] != GRAPH_FORMAT:
            raise ValueError(
                f"{path} is a graph of format {metadata['yolact_graph']}, this version runs {GRAPH_FORMAT};"
                " update yolact, or export again"
            )
        try:
            masks = tuple(form for form in get_args(MaskForm) if form in metadata["masks"].split())
            return cls(
                config=_config_of(metadata),
                detect=DetectConfig(**json.loads(metadata["detect"])),
                masks=masks,
                region_size=int(metadata["region_size"]),
                precision=metadata["precision"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: its metadata are damaged ({error}); export it again") from error


class GraphRuntime:
    """Runs a graph from pixels to outputs. Photographs that follow each other and have one size go in together."""

    name: str

    def __init__(self, description: Description) -> None:
        self.description = description

    @property
    def config(self) -> ModelConfig:
        return self.description.config

    @property
    def detect(self) -> DetectConfig:
        return self.description.detect

    def describe(self) -> str:
        raise NotImplementedError

    def run_graph(self, photographs: UInt8[np.ndarray, "B H W 3"]) -> Outputs:
        """All that the graph computes, as it stands in the file, by the names of its outputs."""
        raise NotImplementedError

    def run(
        self,
        photographs: Sequence[UInt8[np.ndarray, "_ _ 3"]],
        detect: DetectConfig | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> list[Outputs]:
        """As `yolact.runtimes.Runtime.run`.

        Raises:
            ValueError: the graph was not made for this `detect` or `image_size`.
        """
        self.refuse(detect, image_size)
        results = []
        for _, group in groupby(photographs, key=lambda photograph: photograph.shape):
            outputs = self.run_graph(np.stack(list(group)))
            results += [_one_of(outputs, i, detect) for i in range(len(outputs["count"]))]
        return results

    def refuse(self, detect: DetectConfig | None, image_size: tuple[int, int] | None) -> None:
        """Raise ValueError where something is asked for that the graph cannot do. It can keep fewer detections."""
        mine = self.description.detect
        if detect is not None and detect.top_k > mine.top_k:
            raise ValueError(
                f"this graph keeps {mine.top_k} detections, not {detect.top_k} (choosing classes needs"
                f" {max(mine.candidates, mine.top_k)}); ask for --top-k {mine.top_k}, or export it again with --top-k"
                f" {detect.top_k}"
            )
        if detect is not None and (wanted := replace(detect, top_k=mine.top_k)) != mine:
            ours, theirs = asdict(mine), asdict(wanted)
            name = next(name for name in ours if ours[name] != theirs[name])
            option = f"leave --runtime out, or export it again with --{name.replace('_', '-')} {theirs[name]}"
            remedy = "take the weights it was made from, in PyTorch" if theirs[name] == "traditional" else option
            raise ValueError(f"this graph was exported with {name} {ours[name]}, not {theirs[name]}; {remedy}")
        if image_size is not None and tuple(image_size) != tuple(self.config.image_size):
            height, width = self.config.image_size
            raise ValueError(
                f"this graph resizes photographs to {height} by {width}, not {image_size[0]} by {image_size[1]};"
                f" leave --runtime out, or export it again with --image-size {image_size[0]} {image_size[1]}"
            )


class CutGraphRuntime(GraphRuntime):
    """Runs the part of a graph behind the resize, and of its outputs the compact ones.

    PyTorch resizes several times faster than other runtimes, and after it photographs of any sizes share a batch.
    """

    def compute(self, images: Float32[np.ndarray, "B 3 h w"]) -> Outputs:
        """The compact outputs, where `FRACTIONS` take the place of the boxes."""
        raise NotImplementedError

    def run(
        self,
        photographs: Sequence[UInt8[np.ndarray, "_ _ 3"]],
        detect: DetectConfig | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> list[Outputs]:
        """As `yolact.runtimes.Runtime.run`. Photographs of any sizes go through the network together."""
        self.refuse(detect, image_size)
        if not photographs:
            return []
        outputs = self.compute(self.prepare(photographs))
        return self.finish(outputs, [(photograph.shape[0], photograph.shape[1]) for photograph in photographs], detect)

    @torch.inference_mode()
    def prepare(self, photographs: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float32[np.ndarray, "B 3 h w"]:
        """The network's input: resized and normalized."""
        images = np.empty((len(photographs), 3, *self.config.image_size), np.float32)
        for image, photograph in zip(images, photographs, strict=True):
            pixels = torch.from_numpy(np.require(photograph, requirements=["C", "W"])).permute(2, 0, 1)
            torch.from_numpy(image).copy_(to_network_input(pixels, self.config))
        return images

    def finish(
        self, outputs: Outputs, sizes: Sequence[tuple[int, int]], detect: DetectConfig | None = None
    ) -> list[Outputs]:
        """What `compute` found, for photographs of these sizes (height, width): boxes in pixels, clipped."""
        results = []
        for i, (height, width) in enumerate(sizes):
            found = _one_of(outputs, i, detect)
            size = np.array([width, height], np.float32)
            corners = found.pop(FRACTIONS).reshape(1, -1, 2, 2) * size
            if self.config.parity:  # on one side only, see `yolact.detect.postprocess.to_outputs`
                corners = np.stack([corners[:, :, 0].clip(min=0), np.minimum(corners[:, :, 1], size)], axis=2)
            else:
                corners = corners.clip(0, size)
            results.append({"boxes": corners.reshape(1, -1, 4), **found})
        return results


def _one_of(outputs: Outputs, i: int, detect: DetectConfig | None) -> Outputs:
    """The compact outputs of one photograph of the batch, cut to the number of detections that is asked for."""
    found = {name: outputs[name][i : i + 1] for name in (*COMPACT, FRACTIONS) if name in outputs}
    if detect is None or detect.top_k >= found["scores"].shape[1]:
        return found
    rows = set(found) - {"count", "prototypes"}
    found |= {name: found[name][:, : detect.top_k] for name in rows}
    return {**found, "count": np.minimum(found["count"], detect.top_k)}
