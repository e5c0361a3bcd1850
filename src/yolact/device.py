"""Which processor computes."""

import torch


def choose_device(name: str | torch.device) -> torch.device:
    """The device of this name, if this machine has it; `auto` is a GPU if there is one, or else the CPU."""
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    has["xpu"] = torch.xpu.is_available()
    if name == "auto":
        return torch.device("cuda" if has["cuda"] else "mps" if has["mps"] else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device {name!r} is unknown; choose auto, cpu, cuda, cuda:1, ... or mps") from None
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if not has.get(device.type, False) or (device.index or 0) >= count:
        raise ValueError(f"device {name!s} is not on this machine, or torch was built without it; try auto or cpu")
    return device
