"""Which module makes masks here."""

import logging
from functools import cache
from types import ModuleType

from yolact.detect import masks

_log = logging.getLogger(__name__)


@cache
def mask_implementation() -> ModuleType:
    """`masks_cpu`, which is compiled, or the same in NumPy, `masks`, where Numba cannot be imported."""
    try:
        from yolact.detect import masks_cpu
    except (ImportError, OSError) as error:  # OSError: its compiler library is missing
        _log.debug("masks are made by NumPy, which takes ten times as long: %s", error)
        return masks
    return masks_cpu
