"""What a measurement depends on besides the program: this machine's processor, memory and versions."""

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import torch

INSTRUCTIONS = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
    "asimddp", "bf16", "i8mm", "sve",
)  # fmt: skip
"""Of all that a processor may know, what decides how quick a network is."""

PACKAGES = ("numpy", "numba", "onnxruntime", "onnxruntime-gpu", "openvino", "nncf", "tensorrt", "triton")


def host_facts() -> dict[str, Any]:
    """Processor, cores, threads, instructions, memory, system, and the versions of what may compute; for JSON."""
    name, known = _processor()
    facts: dict[str, Any] = {
        "processor": name,
        "cores": os.cpu_count(),
        "cores usable here": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": [instruction for instruction in INSTRUCTIONS if instruction in known],
        "memory in GB": _memory_size(),
        "system": platform.platform(),
        "Python": platform.python_version(),
        "torch": torch.__version__,
    }
    for package in PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if torch.cuda.is_available():
        facts["GPU"] = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    return facts


class PeakMemory:
    """How much memory this process takes at most from the moment that this is made."""

    def __init__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        try:
            Path("/proc/self/clear_refs").write_text("5")  # Linux then forgets the peak so far
        except OSError:
            self._before = _peak_of_all_time()
        else:
            self._before = _resident("VmRSS")

    def stop(self) -> tuple[float | None, float | None]:
        """MB in main memory above what there was, and MB that tensors took on the GPU; None where it is unknown.

        Where the system cannot forget an earlier and higher peak, the first is 0.
        """
        peak = _resident("VmHWM") or _peak_of_all_time()
        main = None if peak is None or self._before is None else max(0.0, (peak - self._before) / 1e6)
        return main, torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else None


def _processor() -> tuple[str, set[str]]:
    """Its name, and the instructions it knows, as Linux calls them."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    known = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return name[1].strip() if name else _name_elsewhere(), set(known[1].split()) if known else set()


def _name_elsewhere() -> str:
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()


def _memory_size() -> float | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, ValueError, OSError):
        return None


def _resident(field: str) -> float | None:
    """Bytes of main memory that this process has (VmRSS), or had at most (VmHWM)."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = re.search(rf"^{field}:\s*(\d+) kB$", text, re.MULTILINE)
    return 1024.0 * int(found[1]) if found else None


def _peak_of_all_time() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if platform.system() == "Darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
