"""Real-time instance segmentation: YOLACT, exact to the published checkpoints and easy to build on."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolact.config import DetectConfig, ModelConfig
    from yolact.instances import Instances
    from yolact.predictor import Predictor, load
    from yolact.presets import PRESETS

__version__ = "0.1.0"
__all__ = ["PRESETS", "DetectConfig", "Instances", "ModelConfig", "Predictor", "__version__", "load"]

_HOMES = {
    "DetectConfig": "config",
    "Instances": "instances",
    "ModelConfig": "config",
    "PRESETS": "presets",
    "Predictor": "predictor",
    "load": "predictor",
}


def __getattr__(name: str) -> Any:
    """Import public names on first use: torch takes seconds, and `yolact --help` should not."""
    if name not in _HOMES:
        raise AttributeError(f"module 'yolact' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"yolact.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
