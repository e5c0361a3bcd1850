"""Files of weights: our own, the original's, and exported programs."""

import functools
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from fuzzed.target import Target, check


def safetensors_seeds() -> list[bytes]:
    """Of a whole file, only what is before the tensors: these are zeros, and many."""
    from yolact import checkpoint
    from yolact.model import build_model
    from yolact.presets import yolact_mobilenetv4

    network = build_model(yolact_mobilenetv4(image_size=(64, 64), width=16, num_prototypes=4))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        checkpoint.save(path, network)
        content = path.read_bytes()
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    return [header, json.dumps({"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()]


def prepare_safetensors(folder: Path) -> Callable[[bytes], object]:
    from yolact import convert, weights_file

    # A network is built for each config that comes along, which takes a tenth of a second: for each one once.
    expected_tensors = functools.lru_cache(64)(convert.expected_tensors)
    setattr(weights_file, "expected_tensors", expected_tensors)  # noqa: B010
    path = folder / "x.safetensors"

    def read(data: bytes) -> None:
        with path.open("wb") as file:
            file.write(len(data).to_bytes(8, "little") + data)
            file.truncate(8 + len(data) + _length(data))
        config, state = weights_file.read_safetensors(path)
        expected = expected_tensors(config)
        check(state.keys() == expected.keys(), "other tensors")
        check(all(state[name].shape == expected[name].shape for name in state), "other shapes")

    return read


def _length(header: bytes) -> int:
    """Bytes of tensors that a header asks for, if there is any sense in it and they are not too many."""
    try:
        ends = [tensor["data_offsets"][1] for name, tensor in json.loads(header).items() if name != "__metadata__"]
        return int(min(max(0, 0, *ends), 1 << 24))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError):
        return 0


def pth_seeds() -> list[bytes]:
    import torch

    state = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2, dtype=torch.float64), "n": torch.tensor(3)}
    files = []
    for content, is_zip in ((state, True), (state, False), ({"state": state, "epoch": 3}, True), ([1, 2], False)):
        file = io.BytesIO()
        torch.save(content, file, _use_new_zipfile_serialization=is_zip)
        files.append(file.getvalue())
    return files


def prepare_pth(folder: Path) -> Callable[[bytes], object]:
    import torch

    from yolact.weights_file import read_original

    path = folder / "x.pth"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for value in read_original(path).values():
            if isinstance(value, torch.Tensor):
                check(value.numel() * value.element_size() <= 1 << 29, f"a tensor of shape {tuple(value.shape)}")

    return read


def program_seeds() -> list[bytes]:
    import torch

    class Tiny(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 2, 1)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"y": self.layer(x).relu() + x.shape[2] // 2}

    sides = {2: torch.export.Dim("height", min=2, max=64)}
    program = torch.export.export(Tiny(), (torch.ones(1, 3, 8, 8),), dynamic_shapes=(sides,))
    file = io.BytesIO()
    torch.export.save(program, file)
    return [file.getvalue()]


def prepare_program(folder: Path) -> Callable[[bytes], object]:
    """What is let through is not loaded here: PyTorch's loader takes a tenth of a second."""
    import zipfile

    from yolact.runtimes.program_check import checked_program

    path = folder / "x.pt2"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        try:
            checked = checked_program(path)
        except Exception as error:  # it may be damaged in any way, and its caller says so
            raise ValueError(f"refused: {type(error).__name__}") from error
        with zipfile.ZipFile(checked) as archive:
            for name in archive.namelist():
                check("pickle" not in name and not name.endswith((".so", ".py", ".pkl")), f"{name} is let through")

    return read


TARGETS = (
    Target("safetensors", safetensors_seeds, prepare_safetensors, is_json=True, longest=64_000),
    Target("pth", pth_seeds, prepare_pth, longest=8_000),
    Target("pt2", program_seeds, prepare_program, longest=32_000),
)
