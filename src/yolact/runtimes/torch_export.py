"""A PyTorch program: written as `.pt2`, and run by PyTorch without any code of this package."""

import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass
from torch.fx import GraphModule

from yolact.deployable import SIDES, Deployable, Operation, to_program
from yolact.device import choose_device
from yolact.runtimes import Precision, UnfitPhotographError
from yolact.runtimes.exported import METADATA, Description, GraphRuntime, Outputs
from yolact.runtimes.program_check import checked_program
from yolact.weights_file import LONGEST_CONFIG
from yolact.whole_files import written_whole

PLAIN: tuple[Operation, ...] = ("deformable",)
"""What `Deployable` should write with simpler operators: PyTorch alone has no deformable convolution."""


def write(deployable: Deployable, path: str | Path) -> Path:
    """Write a network as `.pt2`, from pixels to outputs, and return the path.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path).expanduser()
    with warnings.catch_warnings(action="ignore"):
        program = to_program(deployable, deployable.config.image_size)
        _clean(program)
        with written_whole(path) as unfinished:
            torch.export.save(program, unfinished, extra_files=Description.of(deployable).to_metadata())
    return path


class TorchExportRuntime(GraphRuntime):
    """Runs an exported `.pt2` file.

    Args:
        path: what `write` wrote.
        device: as in `yolact.device.choose_device`.
        precision: `float32`; a program computes in what it was written in.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: something else wrote it, it is damaged, or this machine has no such device.
    """

    name = "pytorch"

    def __init__(self, path: str | Path, device: str | torch.device = "auto", precision: Precision = "float32") -> None:
        self.path = Path(path).expanduser()
        super().__init__(_description(self.path))
        if precision != "float32":
            raise ValueError(f"a .pt2 program computes in what it was written in; {precision} is not a choice here")
        self.device = choose_device(device)
        with warnings.catch_warnings(action="ignore"):
            program = _load(self.path)
            if self.device.type != "cpu":
                program = move_to_device_pass(program, self.device)
            self._module = program.module()

    def describe(self) -> str:
        return f"PyTorch {torch.__version__}, exported program, {self.description.precision}, on {self.device}"

    @torch.inference_mode()
    def run_graph(self, photographs: UInt8[np.ndarray, "B H W 3"]) -> Outputs:
        """All that the program computes, by the names of its outputs."""
        for axis, side in ((1, "height"), (2, "width")):
            if photographs.shape[axis] < SIDES[axis].min:
                pixels = photographs.shape[axis]
                raise UnfitPhotographError(
                    f"the {side} is {pixels}; a .pt2 program takes at least {SIDES[axis].min} pixels"
                )
        pixels = torch.from_numpy(np.require(photographs, requirements=["C", "W"])).to(self.device)
        return {name: tensor.cpu().numpy() for name, tensor in self._module(pixels).items()}


def _load(path: Path) -> ExportedProgram:
    """The program, if it brings no code of its own: PyTorch would run it."""
    try:
        return torch.export.load(checked_program(path))
    except Exception as error:  # PyTorch raises many kinds
        raise ValueError(f"{path} is damaged, or no program that this package wrote: {error or type(error)}") from error


def _clean(program: ExportedProgram) -> None:
    """Remove what tracing left: where on this machine each line of code lies, and that it saw two photographs."""
    for graph_module in program.graph_module.modules():
        if not isinstance(graph_module, GraphModule):
            continue
        for node in list(graph_module.graph.nodes):
            for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
                node.meta.pop(key, None)
            # torch.cond asserts that there is more than one, which holds for no single photograph.
            if node.target is torch.ops.aten._assert_scalar.default:
                graph_module.graph.erase_node(node)
        graph_module.graph.eliminate_dead_code()
        graph_module.recompile()


def _description(path: Path) -> Description:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        with zipfile.ZipFile(path) as archive:
            names = {Path(name).name: name for name in archive.namelist() if "/extra/" in f"/{name}"}
            if any(archive.getinfo(name).file_size > LONGEST_CONFIG for name in names.values()):
                raise ValueError(f"{path} says more about itself than any graph of ours; export it again")
            metadata = {key: archive.read(names[key]).decode() for key in METADATA if key in names}
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged, incomplete, or no program of PyTorch; export it again") from error
    return Description.from_metadata(metadata, path)
