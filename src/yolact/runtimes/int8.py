"""The network of an exported graph in 8-bit integers.

Only its convolutions, and what lies between them, become integers. Resizing, normalization, softmax, the decoding of
boxes, suppression and masks stay as they are: a box coordinate in 8 bits would be off by pixels. Of the convolutions
none is kept in float: neither the first, nor the depthwise ones, nor the head's last changed AP by more than chance.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, UInt8

from yolact.runtimes.exported import IMAGES
from yolact.runtimes.onnx_graph import PIXELS, need_onnx

if TYPE_CHECKING:
    import openvino

CONVOLUTIONS = ("Convolution", "GroupConvolution")
ONNX_OPERATORS = ("Conv", "Relu", "Clip", "Add", "MaxPool", "Resize", "Concat")
"""What becomes integers: convolutions, and what lies between them, so that nothing is turned back and forth."""

Images = Sequence[Float32[np.ndarray, "1 3 h w"]]


def quantize_openvino(model: "openvino.Model", images: Images) -> "openvino.Model":
    """A copy of an exported model whose convolutions compute in integers.

    Args:
        model: as `yolact.runtimes.openvino.convert` gives it.
        images: network inputs, to measure ranges on.

    Raises:
        ImportError: nncf is missing.
    """
    try:
        import nncf
    except ImportError as error:
        raise ImportError("INT8 for OpenVINO needs nncf: pip install 'yolact[openvino]'") from error
    import openvino
    from openvino import opset8
    from openvino._offline_transformations import apply_moc_transformations

    nncf.set_log_level(logging.ERROR)
    model = model.clone()
    inside = _network(model)
    names = {node.get_friendly_name() for node in inside}
    entered = _tensor(model, IMAGES)
    left = [output for node in inside for output in node.outputs() if _is_read_outside(output, names)]
    entry = opset8.parameter(entered.get_partial_shape(), np.float32)
    for user in list(entered.get_target_inputs()):
        if user.get_node().get_friendly_name() in names:
            user.replace_source_output(entry.output(0))
    make: Any = openvino.Model  # whose stubs do not agree with each other
    network = make([opset8.result(output) for output in left], [entry], "network").clone()
    apply_moc_transformations(network, cf=True)
    quantized = nncf.quantize(network, nncf.Dataset(images, lambda image: {0: image}), subset_size=len(images))
    for user in list(quantized.input(0).get_target_inputs()):
        user.replace_source_output(entered)
    for output, result in zip(left, quantized.get_results(), strict=True):
        for user in list(output.get_target_inputs()):
            user.replace_source_output(result.input_value(0))
    model.validate_nodes_and_infer_types()
    return model


def quantize_onnx(source: Path, target: Path, photographs: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> None:
    """Write a copy of an exported ONNX file whose convolutions compute in integers.

    Weights have a scale a channel, activations one a tensor, from the least to the greatest value seen. Processors
    without VNNI add up 8-bit products in 16 bits, which can overflow; they should take the float file.

    Raises:
        ImportError: a library is missing.
    """
    need_onnx("INT8 for ONNX Runtime")
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    graph = onnx.load(source).graph
    inside = _onnx_network(graph.node)
    logging.getLogger().addFilter(_is_no_advice)
    try:
        quantize_static(
            source,
            target,
            _Reader(photographs),  # type: ignore[arg-type]  # it asks for no more than this
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(ONNX_OPERATORS),
            nodes_to_quantize=[n.name for n in inside if n.op_type in ONNX_OPERATORS],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.getLogger().removeFilter(_is_no_advice)
    quantized = onnx.load(target)
    onnx.helper.set_model_props(quantized, {p.key: p.value for p in quantized.metadata_props} | {"precision": "int8"})
    onnx.save(quantized, target)


class _Reader:
    """Photographs one by one, as ONNX Runtime asks for them."""

    def __init__(self, photographs: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> None:
        self.photographs = iter(photographs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        photograph = next(self.photographs, None)
        return None if photograph is None else {PIXELS: photograph[None]}


def _is_no_advice(record: logging.LogRecord) -> bool:
    """Its advice to simplify the graph first is for files that other exporters wrote."""
    return "pre-processing before quantization" not in record.getMessage()


def _onnx_network(nodes: Sequence[Any]) -> list[Any]:
    """As `_network`, of an ONNX graph."""
    after, ranked, leading = set(), set(), set()
    for node in nodes:
        if node.op_type == "TopK" or ranked & set(node.input):
            ranked.update(node.output)
        elif IMAGES in node.input or after & set(node.input):
            after.update(node.output)
    inside = []
    for node in reversed(nodes):
        if after & set(node.output) and (node.op_type == "Conv" or leading & set(node.output)):
            leading.update(node.input)
            inside.append(node)
    return inside[::-1]


def _network(model: "openvino.Model") -> list[Any]:
    """The nodes after `IMAGES` that lead to a convolution, or are one, and read nothing that was ranked.

    That ends before what follows the last convolutions, and leaves out mask rescoring, which reads masks.
    """
    nodes, start = model.get_ordered_ops(), _tensor(model, IMAGES).get_node().get_friendly_name()
    after, ranked, leading = set(), set(), set()
    for node in nodes:
        name, read = node.get_friendly_name(), {_maker(value) for value in node.inputs()}
        if node.get_type_name() == "TopK" or read & ranked:
            ranked.add(name)
        elif start in read or read & after:
            after.add(name)
    for node in reversed(nodes):
        name, users = node.get_friendly_name(), _users(node)
        if name in after and (node.get_type_name() in CONVOLUTIONS or users & leading):
            leading.add(name)
    return [node for node in nodes if node.get_friendly_name() in leading]


def _is_read_outside(output: Any, names: set[str]) -> bool:
    users = [user.get_node() for user in output.get_target_inputs()]
    return any(user.get_friendly_name() not in names and user.get_type_name() != "ShapeOf" for user in users)


def _tensor(model: "openvino.Model", name: str) -> Any:
    found = [output for node in model.get_ops() for output in node.outputs() if name in output.get_names()]
    if not found:
        raise ValueError(f"the graph has no tensor {name} any more; export it again")
    return found[0]


def _maker(value: Any) -> str:
    return value.get_source_output().get_node().get_friendly_name()


def _users(node: Any) -> set[str]:
    return {user.get_node().get_friendly_name() for output in node.outputs() for user in output.get_target_inputs()}
