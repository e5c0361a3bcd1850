import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from yolact.detect import mask_outputs
from yolact.detect.mask_outputs import cropped_masks, mask_bits_reference, region_masks
from yolact.detect.masks_cuda import mask_bits

NEAR = 1e-5
"""Pixels whose interpolated probability is as close to one half as this may fall on either side."""

SHAPES = {
    "a quarter": (2, 3, 5, 20, 23, 81, 91),
    "one tile wide, many high": (1, 2, 4, 30, 9, 150, 37),
    "bytes filled to the last bit": (1, 2, 8, 16, 16, 64, 64),
    "one prototype of one cell": (2, 3, 1, 1, 1, 5, 3),
    "many pixels a cell": (1, 2, 9, 3, 4, 140, 150),
    "smaller than the prototypes": (1, 2, 3, 40, 30, 13, 17),
    "a strip": (1, 2, 3, 30, 40, 1, 300),
}
"""What is special, and (B, N, K, Hp, Wp, H, W)."""


def some_masks(
    batch, instances, num_prototypes, cells_down, cells_across, *, seed=0, device="cpu"
) -> tuple[Tensor, Tensor, Tensor]:
    """Prototypes, coefficients and windows; of an image's windows the first is everything and the last is empty."""
    random = torch.Generator().manual_seed(seed)
    prototypes = torch.randn(batch, num_prototypes, cells_down, cells_across, generator=random).abs()
    coefficients = torch.randn(batch, instances, num_prototypes, generator=random).tanh()
    corners = torch.rand(2, batch, instances, 2, generator=random) * 1.4 - 0.2
    size = torch.tensor([cells_across, cells_down])
    start = (corners.amin(0) * size).floor().clamp(min=0)
    stop = torch.minimum((corners.amax(0) * size).ceil(), size)
    windows = torch.cat([start, stop], dim=-1) * (start < stop).all(dim=-1, keepdim=True)
    windows[:, -1:] = 0
    windows[:, :1] = torch.tensor([0, 0, cells_across, cells_down])
    return prototypes.to(device), coefficients.to(device), windows.int().to(device)


def assert_same_masks(bits, masks, image_size):
    """Compare packed masks with what enlarging everything gives."""
    height, width = image_size
    masks = masks.cpu()
    # In batches of one image: PyTorch cannot enlarge none.
    values = [functional.interpolate(one[None], image_size, mode="bilinear") for one in masks.flatten(0, 1)[:, None]]
    values = torch.cat(values).view(*masks.shape[:2], height, width).numpy()
    expected = np.packbits(values > 0.5, axis=-1)
    assert bits.dtype == torch.uint8
    assert bits.shape == expected.shape
    differs = np.unpackbits(bits.cpu().numpy() ^ expected, axis=-1)
    assert not differs[..., width:].any(), "bits beyond the width are set"
    wrong = differs[..., :width].astype(bool) & (np.abs(values - 0.5) > NEAR)
    assert not wrong.any(), f"{wrong.sum()} pixels differ, the first at {np.argwhere(wrong)[0]}"


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([(138, 138), (13, 20), (5, 5), (1, 1)]),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
)
def test_the_reference_is_enlarging_everything(seed, cells, image_size):
    inputs = some_masks(2, 3, 4, *cells, seed=seed)
    assert_same_masks(mask_bits_reference(*inputs, image_size), cropped_masks(*inputs), image_size)


def test_the_reference_is_the_same_however_many_instances_it_takes_at_once(monkeypatch):
    inputs = some_masks(2, 7, 4, 20, 23)
    together = mask_bits_reference(*inputs, (81, 91))
    for size in (1, 200_000, 400_000):
        monkeypatch.setattr(mask_outputs, "EAGER_BYTES", size)
        assert torch.equal(mask_bits_reference(*inputs, (81, 91)), together)


@pytest.mark.parametrize(("batch", "instances"), [(0, 3), (2, 0)])
def test_no_images_or_no_instances(batch, instances):
    inputs = torch.rand(batch, 4, 6, 7), torch.rand(batch, instances, 4), torch.zeros(batch, instances, 4).int()
    assert mask_bits(*inputs, (30, 33)).shape == (batch, instances, 30, 5)
    samples, regions = region_masks(*inputs, (30, 33), side=8)
    assert samples.shape == (batch, instances, 8, 8)
    assert regions.shape == (batch, instances, 4)


def test_regions_are_samples_of_what_windows_span():
    prototypes, coefficients, windows = some_masks(2, 6, 4, 20, 23, seed=3)
    height, width, side = 81, 91, 28
    samples, regions = region_masks(prototypes, coefficients, windows, (height, width), side)
    scale = torch.tensor([width / 23, height / 20] * 2)
    torch.testing.assert_close(regions, windows * scale)
    share = (torch.arange(side) + 0.5) / side
    x1, y1, x2, y2 = (regions / torch.tensor([width, height] * 2)).flatten(0, 1)[:, :, None].unbind(1)
    rows, columns = y1 + (y2 - y1) * share, x1 + (x2 - x1) * share
    grid = torch.stack([columns[:, None].expand(-1, side, -1), rows[:, :, None].expand(-1, -1, side)], dim=-1)
    masks = cropped_masks(prototypes, coefficients, windows).flatten(0, 1)[:, None]
    expected = functional.grid_sample(masks, 2 * grid - 1, mode="bilinear", padding_mode="border", align_corners=False)
    torch.testing.assert_close(samples.flatten(0, 1).float(), expected[:, 0] * 255, atol=0.51, rtol=0)
    assert samples[:, -1].max() == 0
    assert samples.max() > 128


class Outputs(torch.nn.Module):
    def forward(self, prototypes, coefficients, windows, photographs):
        image_size = photographs.shape[1], photographs.shape[2]
        bits = mask_bits(prototypes, coefficients, windows, image_size)
        return bits, *region_masks(prototypes, coefficients, windows, image_size, 14)


@pytest.fixture(scope="module")
def exported():
    batch, dynamic = {0: torch.export.Dim.DYNAMIC}, torch.export.Dim.DYNAMIC
    example = *some_masks(2, 30, 5, 20, 23), torch.zeros(2, 60, 70, 3, dtype=torch.uint8)
    return torch.export.export(
        Outputs(), example, dynamic_shapes=(batch, batch, batch, {0: dynamic, 1: dynamic, 2: dynamic})
    )


@pytest.mark.parametrize("image_size", [(81, 91), (12, 200), (64, 64)])
@pytest.mark.parametrize("batch", [1, 3])
def test_one_exported_graph_serves_all_sizes(exported, batch, image_size):
    inputs = *some_masks(batch, 30, 5, 20, 23, seed=1), torch.zeros(batch, *image_size, 3, dtype=torch.uint8)
    for ours, theirs in zip(exported.module()(*inputs), Outputs()(*inputs), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_exported_graph_has_standard_operations_only(exported):
    calls = [node.target for node in exported.graph.nodes if node.op == "call_function"]
    assert {target.namespace for target in calls if isinstance(target, torch._ops.OpOverload)} == {"aten"}


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """What the kernel gives for each of SHAPES in Triton's interpreter, which must be chosen before Triton loads."""
    pytest.importorskip("triton")
    path = tmp_path_factory.mktemp("interpreted") / "cases.pt"
    torch.save({name: (*some_masks(*shape[:5]), *shape[5:]) for name, shape in SHAPES.items()}, path)
    code = """
import sys, torch
from yolact.detect.mask_kernel import mask_bits_triton
torch.set_num_threads(1)
cases = torch.load(sys.argv[1])
torch.save({name: mask_bits_triton(*inputs) for name, inputs in cases.items()}, sys.argv[1])
"""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    result = subprocess.run([sys.executable, "-c", code, path], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return torch.load(path)


@pytest.mark.parametrize("name", SHAPES)
def test_the_kernel_is_the_reference(interpreted, name):
    *shape, height, width = SHAPES[name]
    inputs = some_masks(*shape)
    assert_same_masks(interpreted[name], cropped_masks(*inputs), (height, width))
    assert interpreted[name].any()
    assert (interpreted[name] != mask_bits_reference(*inputs, (height, width))).sum() <= 1


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 400), st.integers(1, 9000))
def test_no_tile_lies_on_more_cells_than_there_is_room_for(cells, pixels):
    kernel = pytest.importorskip("yolact.detect.mask_kernel", exc_type=ImportError)
    rows, num_bytes = kernel.tile_size((cells, cells), (pixels, pixels))
    position = (np.arange(pixels, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / pixels) - np.float32(0.5)
    low = np.minimum(np.maximum(position, 0).astype(int), cells - 1)
    for step, room in ((rows, kernel.CELL_ROWS), (8 * num_bytes, kernel.CELL_COLUMNS)):
        if step > 0:
            first = np.arange(0, pixels, step)
            last = np.minimum(first + step, pixels) - 1
            assert (np.minimum(low[last] + 1, cells - 1) - low[first]).max() < room
    assert rows >= 1
    assert num_bytes >= 1 or pixels < cells / 4


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("capability", [80, 90, 100])
def test_the_kernel_compiles_without_a_gpu(capability, dtype, tmp_path, monkeypatch):
    # The interpreter takes more than the compiler does.
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from yolact.detect import mask_kernel

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = mask_kernel.mask_bits_kernel
    constants = {
        "num_prototypes": 32,
        "cells_down": 138,
        "cells_across": 138,
        "cell_rows": mask_kernel.CELL_ROWS,
        "cell_columns": mask_kernel.CELL_COLUMNS,
        "num_bytes": mask_kernel.TILE_BYTES,
    }
    types = {"bits": "*u8", "prototypes": f"*{dtype}", "coefficients": f"*{dtype}", "windows": "*i32"}
    signature = {name: "constexpr" if name in constants else types.get(name, "i32") for name in kernel.arg_names}
    source = ASTSource(kernel, signature, {(kernel.arg_names.index(name),): n for name, n in constants.items()})
    options = {"num_warps": mask_kernel.WARPS, "enable_fp_fusion": True}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert "tf32" not in compiled.asm["ptx"]
    assert compiled.metadata.shared <= 8 * 1024, "fewer than sixteen programs fit on a multiprocessor"


def test_cuda_takes_the_kernel_where_it_can():
    pytest.importorskip("triton")
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    def operations(image_size):
        with FakeTensorMode():
            inputs = [torch.empty(2, 4, 40, 40), torch.empty(2, 3, 4), torch.empty(2, 3, 4, dtype=torch.int32)]
            graph = make_fx(lambda a, b, c: mask_bits(a, b, c, image_size))(*(tensor.to("cuda") for tensor in inputs))
        return {str(node.target) for node in graph.graph.nodes if node.op == "call_function"}

    assert operations((100, 100)) == {"yolact.mask_bits.default"}
    assert "yolact.mask_bits.default" not in operations((100, 9))


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@cuda
@pytest.mark.parametrize("name", [*SHAPES, "YOLACT-550"])
def test_on_cuda_the_kernel_is_the_reference(name):
    *shape, height, width = {**SHAPES, "YOLACT-550": (2, 100, 32, 138, 138, 550, 550)}[name]
    inputs = some_masks(*shape, device="cuda")
    masks = cropped_masks(*(tensor.cpu() for tensor in inputs))
    torch.cuda.set_sync_debug_mode("error")
    try:
        ours = mask_bits(*inputs, (height, width))
        strided = mask_bits(inputs[0].contiguous(memory_format=torch.channels_last), *inputs[1:], (height, width))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert_same_masks(ours, masks, (height, width))
    assert torch.equal(strided, ours)


@cuda
def test_on_cuda_the_kernel_compiles_and_is_captured():
    inputs = some_masks(2, 10, 32, 138, 138, device="cuda")
    expected = mask_bits(*inputs, (550, 550))
    compiled = torch.compile(lambda a, b, c: mask_bits(a, b, c, (550, 550)), fullgraph=True)
    assert torch.equal(compiled(*inputs), expected)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = mask_bits(*inputs, (550, 550))
    captured.zero_()
    graph.replay()
    assert torch.equal(captured, expected)
