"""The OpenVINO graph: made of a network, written as `.xml` with its weights in a `.bin` beside it, read and cut."""

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from yolact.deployable import COMPACT, Deployable, Operation
from yolact.runtimes.exported import FRACTIONS, IMAGES, METADATA, Description
from yolact.runtimes.onnx_graph import to_onnx
from yolact.whole_files import written_whole

if TYPE_CHECKING:
    import openvino

PLAIN: tuple[Operation, ...] = ("resize",)
"""What `Deployable` should write with simpler operators. Of OpenVINO's ways to resize, the one that ONNX files lead to
leaves out the low-pass, and the other takes several times longer than gathers and products."""

SECTION = "yolact"
"""Of the file's `rt_info`, where its description is."""


def convert(deployable: Deployable) -> "openvino.Model":
    """The graph of a network from pixels to outputs, with its description inside; not yet written.

    Args:
        deployable: made with `plain=PLAIN`.

    Raises:
        ImportError: openvino, onnx or onnxscript is missing.
        ValueError: it has a low-pass, and was not made with `plain=PLAIN`.
    """
    need_openvino()
    import onnx_ir

    if deployable.config.antialias and not deployable.plain_resize:
        raise ValueError(f"OpenVINO would leave out the low-pass; make the Deployable with plain={PLAIN}")

    model = to_onnx(deployable)
    converted = shared_core().read_model(io.BytesIO(onnx_ir.to_proto(model).SerializeToString()))
    describe(converted, Description.of(deployable))
    return converted


def describe(model: "openvino.Model", description: Description) -> None:
    """Put a description into a model, in place of the one it has."""
    for name, text in description.to_metadata().items():
        model.set_rt_info(text, [SECTION, name])


def write(model: "Deployable | openvino.Model", path: str | Path) -> Path:
    """Write a network, or what `convert` made of it, as `.xml` and `.bin`, and return the path of the first.

    Raises:
        ImportError: openvino, onnx or onnxscript is missing.
        OSError: the files cannot be written.
    """
    need_openvino()
    import openvino

    path = Path(path).expanduser()
    converted = convert(model) if isinstance(model, Deployable) else model
    with written_whole(path) as unfinished, written_whole(path.with_suffix(".bin")) as weights:
        openvino.save_model(converted, unfinished, compress_to_fp16=False)
        unfinished.with_suffix(".bin").replace(weights)
    return path


def read(path: Path) -> "openvino.Model":
    """An `.xml` or `.onnx` file.

    Raises:
        FileNotFoundError, ValueError: there is no such file; it is damaged or something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    if path.suffix == ".xml" and not path.with_suffix(".bin").is_file():
        raise FileNotFoundError(f"{path.with_suffix('.bin')} does not exist; it belongs to {path.name}")
    try:
        return shared_core().read_model(path)
    except RuntimeError as error:
        raise ValueError(f"{path} is damaged, incomplete, or no graph of OpenVINO; export it again") from error


def cut(model: "openvino.Model", outputs: Sequence[str] = (FRACTIONS, *COMPACT[1:])) -> "openvino.Model":
    """The part of a graph from `IMAGES`, resized and normalized, to these of its tensors. The original is used up.

    Raises:
        ValueError: it has no tensors of these names any more.
    """
    import openvino
    from openvino import opset8

    named = {name: output for node in model.get_ops() for output in node.outputs() for name in output.get_names()}
    missing = [name for name in (IMAGES, *outputs) if name not in named]
    if missing:
        raise ValueError(f"the graph has no tensor {missing[0]} any more; export it again")
    inner, photographs = named[IMAGES], model.input(0)
    entry = opset8.parameter(inner.get_partial_shape(), inner.get_element_type())
    # What is left of the photographs is how many there are, and there are as many images.
    for old in (inner, photographs):
        for user in old.get_target_inputs():
            if old is inner or user.get_node().get_type_name() == "ShapeOf":
                user.replace_source_output(entry.output(0))
    entry.output(0).set_names({IMAGES})
    ready = {name: result for result in model.get_results() for name in result.input_value(0).get_names()}
    results = [ready.get(name) or opset8.result(named[name]) for name in outputs]
    part: Any = openvino.Model(results, [entry], SECTION)  # type: ignore[misc]
    part.validate_nodes_and_infer_types()
    return part


def description_of(model: "openvino.Model", path: Path) -> Description:
    # What was an .onnx file has its metadata under another name.
    for section in (SECTION, "framework"):
        keys = [key for key in METADATA if model.has_rt_info([section, key])]
        if keys:
            return Description.from_metadata({key: model.get_rt_info([section, key]).astype(str) for key in keys}, path)
    return Description.from_metadata({}, path)


@functools.cache
def shared_core() -> "openvino.Core":
    """OpenVINO, which has deformable convolution, but does not find it in ONNX files by itself.

    One for the whole process: each sets a stack for signals aside and, when it goes, puts back the one it found. If
    that belongs to another that went before it, the next signal, such as Ctrl-C, is a segmentation fault.
    """
    import openvino
    from openvino.frontend.onnx import ConversionExtension

    core = openvino.Core()
    core.add_extension(ConversionExtension("DeformConv", "", _deformable_convolution))
    return core


def _deformable_convolution(node: Any) -> list[Any]:
    from openvino import opset8

    images, weights, offsets, bias, modulation = (node.get_input(i) for i in range(5))
    pads = node.get_attribute("pads")
    mixed = opset8.deformable_convolution(
        images,
        offsets,
        weights,
        list(node.get_attribute("strides")),
        list(pads[:2]),
        list(pads[2:]),
        list(node.get_attribute("dilations")),
        mask=modulation,
        group=node.get_attribute("group"),
        deformable_group=node.get_attribute("offset_group"),
        bilinear_interpolation_pad=True,
    )
    column = opset8.reshape(bias, np.array([1, -1, 1, 1]), False)
    return [opset8.add(mixed, column).output(0)]


def need_openvino() -> None:
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        raise ImportError("OpenVINO is not installed: pip install 'yolact[openvino]'") from error
