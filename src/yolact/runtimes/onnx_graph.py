"""The ONNX graph: made of a network, and cut to the part that our own runtimes need."""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from torch import Tensor, nn

from yolact.deployable import COMPACT, SIDES, Deployable, to_program
from yolact.runtimes.exported import FRACTIONS, IMAGES, Description

if TYPE_CHECKING:
    import onnx_ir

OPSET = 20
"""The first with an antialiased resize is 18, with a deformable convolution 19, with a grid sample of any rank 20."""

PIXELS = "photographs"
"""The name of the input."""


def need_onnx(purpose: str) -> None:
    """Raise ImportError where the libraries that read and write ONNX are missing."""
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise ImportError(f"{purpose} needs onnx and onnxscript: pip install 'yolact[onnx]'")


def to_onnx(deployable: Deployable) -> "onnx_ir.Model":
    """The graph of a network from pixels to outputs, of ONNX's standard operators, with its description inside.

    The tensors `IMAGES` and `FRACTIONS` keep their names within it, so that `cut` finds them.

    Raises:
        ImportError: onnx or onnxscript is missing.
    """
    need_onnx("exporting to ONNX")
    import onnx_ir
    import torch.onnx
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    module = _WithInnerTensors(deployable)
    names = [*deployable.output_names, IMAGES, FRACTIONS]
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        program = torch.onnx.export(
            to_program(module, deployable.config.image_size),
            dynamo=True,
            input_names=[PIXELS],
            output_names=names,
            opset_version=OPSET,
            dynamic_shapes={PIXELS: SIDES},
            verbose=False,
        )
    assert program is not None
    model = program.model
    ClearMetadataAndDocStringPass()(model)  # or the file tells where on this machine each line of code lies
    kept = [value for value in model.graph.outputs if value.name not in (IMAGES, FRACTIONS)]
    model.graph.outputs.clear()
    model.graph.outputs.extend(kept)
    for value in kept:
        if value.name == "mask_bits" and value.shape is not None:  # the last side has a formula for a name
            value.shape = onnx_ir.Shape([*value.shape[:3], "row_bytes"])
    model.metadata_props.update(Description.of(deployable).to_metadata())
    return model


def cut(model: "onnx_ir.Model", outputs: Sequence[str] = (FRACTIONS, *COMPACT[1:])) -> "onnx_ir.Model":
    """Change a graph to one from `IMAGES`, resized and normalized, to these of its tensors; what else it computed goes.

    Raises:
        ValueError: it has no tensors of these names any more.
    """
    import onnx_ir
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    graph = model.graph
    values = {value.name: value for node in graph for value in node.outputs}
    missing = [name for name in (IMAGES, *outputs) if name not in values]
    if missing:
        raise ValueError(f"the graph has no tensor {missing[0]} any more; export it again")
    inner = values[IMAGES]
    entry = onnx_ir.Value(name=IMAGES, shape=inner.shape, type=inner.type)
    inner.name = f"{IMAGES}_within"
    graph.outputs.clear()
    graph.outputs.extend(values[name] for name in outputs)
    # What is left of the photographs is how many there are, and there are as many images.
    for value in (inner, next(value for value in graph.inputs if value.name == PIXELS)):
        onnx_ir.convenience.replace_all_uses_with(value, entry)
    graph.inputs.clear()
    graph.inputs.append(entry)
    RemoveUnusedNodesPass()(model)
    return model


class _WithInnerTensors(nn.Module):
    """Gives two tensors on the way as outputs, too: exporting leaves outputs their names and no others."""

    def __init__(self, deployable: Deployable) -> None:
        super().__init__()
        self.deployable = deployable

    def forward(self, photographs: Tensor) -> dict[str, Tensor]:
        images = self.deployable.prepare(photographs)
        detections = self.deployable.find(images)
        outputs = self.deployable.finish(detections, (photographs.shape[1], photographs.shape[2]))
        # One tensor under two names gets one of them.
        outputs["mask_scores"] = outputs["mask_scores"].clone()
        return {**outputs, IMAGES: images, FRACTIONS: detections.boxes}
