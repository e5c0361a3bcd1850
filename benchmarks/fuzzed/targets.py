"""All of them, by name."""

from fuzzed import annotations, checkpoints, descriptions, photographs, requests, videos

_MODULES = (photographs, annotations, descriptions, checkpoints, videos, requests)
TARGETS = {target.name: target for module in _MODULES for target in module.TARGETS}
