"""Which runtime is the fastest here: measured once for each network and machine, and remembered.

Graphs that a network is translated to on the way are kept too, in `exported` of the cache.
"""

import copy
import hashlib
import importlib.metadata
import json
import logging
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import numpy as np
import torch
from jaxtyping import UInt8

from yolact.checkpoint import cache_folder
from yolact.config import DetectConfig
from yolact.deployable import Deployable, Operation
from yolact.model import Yolact
from yolact.runtimes import Precision, Runtime, RuntimeKind
from yolact.whole_files import written_whole

ROUNDS, WARM_UP = 5, 2
"""Photographs that each runtime is timed on, and before that."""

MOST_KEPT = 32
"""Graphs, and choices, that stay in the cache: those that were used last."""

PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt")
"""On whose versions a graph and a choice depend."""

_log = logging.getLogger(__name__)


def fastest(network: Yolact, device: str | torch.device, precision: Precision, compile: bool) -> Runtime:
    """The runtime that is fastest on this machine for this network, of those that are installed.

    The first time, each of them runs the network on a photograph of usual size, in turns; which was the fastest is
    then remembered in the cache.

    Args:
        network: on the CPU.
        device: `cpu`, `cuda`, ...
        precision: of all of them. Those that do not have it do not take part.
        compile: of PyTorch.
    """
    from yolact.runtimes.pytorch import PyTorchRuntime

    def pytorch() -> Runtime:
        return PyTorchRuntime(network, device, precision, compile, folded=True)

    openers: dict[RuntimeKind, Callable[[], Runtime]] = {"pytorch": pytorch}
    kinds: tuple[RuntimeKind, ...] = ("onnxruntime", "openvino", "tensorrt")
    for kind in kinds:
        openers[kind] = lambda kind=kind: open_exported(network, kind, device, precision)
    key = "-".join([weights_hash(network)[:16], _hash(_circumstances(), str(device), precision, str(compile))[:16]])
    return _remembered(key, openers) or _measured(key, openers)


def open_exported(
    network: Yolact, kind: RuntimeKind, device: str | torch.device = "cpu", precision: Precision = "float32"
) -> Runtime:
    """A network in a runtime that takes graphs. The graph is written once, into the cache.

    Raises:
        ImportError: a library is missing.
        ValueError: the runtime has no such device or precision here.
    """
    from yolact.runtimes import onnxruntime, openvino, tensorrt

    if kind == "onnxruntime":
        onnxruntime.need_onnxruntime()
        return onnxruntime.OnnxRuntime(_exported(network, ".onnx", onnxruntime.write), device, precision)
    if kind == "openvino":
        openvino.need_openvino()
        return openvino.OpenVinoRuntime(_exported(network, ".onnx", onnxruntime.write), device, precision)
    tensorrt.need_tensorrt()
    with torch.cuda.device(device):
        path = _exported(network, ".engine", tensorrt.write, precision, tensorrt.PLAIN, torch.cuda.get_device_name())
    return tensorrt.TensorRtRuntime(path, device, precision)


def weights_hash(network: Yolact) -> str:
    """Of the config and of all weights."""
    digest = hashlib.sha256(json.dumps(network.config.to_dict()).encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _exported(
    network: Yolact,
    suffix: str,
    write: Callable[[Deployable, Path], Path],
    precision: Precision = "float32",
    plain: Sequence[Operation] = (),
    machine: str = "",
) -> Path:
    key = f"{weights_hash(network)[:16]}-{_hash(_code(), *_versions(), precision, machine)[:16]}"
    path = cache_folder() / "exported" / f"{network.config.name}-{key}{suffix}"
    if not path.is_file():
        _log.info("writing %s, once", path)
        prepared = network if precision == "float32" else copy.deepcopy(network).to(getattr(torch, precision))
        detect = DetectConfig(top_k=DetectConfig().candidates)  # enough to choose classes
        write(Deployable(prepared, detect, plain=plain), path)
    _keep_the_latest(path)
    return path


def _keep_the_latest(used: Path) -> None:
    """Remove what was not used for longest. By order alone: a clock that was set anew costs a graph at most."""
    with suppress(OSError):  # a cache that is read only, or shared with somebody else
        used.touch()
        by_use = sorted(used.parent.iterdir(), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in [file for file in by_use if file != used][MOST_KEPT - 1 :]:
            file.unlink()


def _remembered(key: str, openers: dict[RuntimeKind, Callable[[], Runtime]]) -> Runtime | None:
    kind = _choices().get(key)
    if kind not in openers:
        return None
    try:
        return openers[kind]()
    except (ImportError, ValueError, OSError) as error:  # the file in the cache may be gone or damaged
        _log.info("%s was the fastest, but: %s", kind, error)
        return None


def _measured(key: str, openers: dict[RuntimeKind, Callable[[], Runtime]]) -> Runtime:
    runtimes: dict[RuntimeKind, Runtime] = {}
    for kind, opener in openers.items():
        try:
            runtimes[kind] = opener()
        except (ImportError, ValueError, OSError, RuntimeError) as error:
            _log.info("%s does not take part: %s", kind, error)
    seconds: dict[RuntimeKind, list[float]] = {kind: [] for kind in runtimes}
    photograph = _photograph()
    for number in range(WARM_UP + ROUNDS):
        for kind, runtime in runtimes.items():  # in turns, so that whatever else the machine does hits them all
            start = time.perf_counter()
            runtime.run([photograph])
            if number >= WARM_UP:
                seconds[kind].append(time.perf_counter() - start)
    typical: dict[RuntimeKind, float] = {kind: median(times) for kind, times in seconds.items()}
    best = min(typical, key=lambda kind: typical[kind])
    _log.info("%s", ", ".join(f"{kind} {1000 * value:.0f} ms" for kind, value in typical.items()))
    path, kept = _choices_file(), dict(list(_choices().items())[1 - MOST_KEPT :])
    try:
        with written_whole(path) as unfinished:
            unfinished.write_text(json.dumps(kept | {key: best}, indent=1))
    except OSError as error:  # a read-only home should not keep anyone from predicting
        _log.warning("cannot keep the choice (%s); set YOLACT_CACHE to a folder that can be written", error)
    return runtimes[best]


def _photograph() -> UInt8[np.ndarray, "H W 3"]:
    """Soft patches, of the size of a photograph of COCO."""
    from PIL import Image

    coarse = np.random.default_rng(0).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC))


def _choices_file() -> Path:
    return cache_folder() / "fastest.json"


def _choices() -> dict[str, RuntimeKind]:
    try:
        found = json.loads(_choices_file().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _circumstances() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    processor = next((line for line in lines if line.startswith("model name")), platform.processor())
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return " ".join([processor, gpu, str(torch.get_num_threads()), _code(), *_versions()])


def _versions() -> list[str]:
    found = [f"yolact {importlib.metadata.version('yolact')}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _code() -> str:
    """Changes with the code that graphs are made of, so that who works on it is not given old ones."""
    folder = Path(__file__).parent.parent
    files = [folder / "deployable.py", folder / "boxes.py", folder / "pixels.py"]
    for part in ("detect", "model", "runtimes"):
        files += sorted((folder / part).glob("*.py"))
    return _hash(*(file.read_text() for file in files if file.is_file()))


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
