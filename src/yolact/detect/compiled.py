"""How the inner loops of this folder are compiled by Numba: each at its first call."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numba

_OPTIONS: Any = {"nogil": True, "error_model": "numpy"}


def inner(function: Callable[..., Any]) -> Any:
    """A function that other compiled functions call."""
    # Without the wrapper by which the tests check shapes, which Numba cannot read.
    return numba.njit(inspect.unwrap(function), **_OPTIONS)


def outer(*signature: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """One that Python calls: compiled at the first call, which takes seconds, or taken from an earlier process."""

    def deferred(function: Callable[..., Any]) -> Callable[..., Any]:
        @cache
        def compiled() -> Any:
            try:
                return numba.njit(*signature, cache=True, **_OPTIONS)(inspect.unwrap(function))
            except RuntimeError:  # there is no folder to leave it in
                return numba.njit(*signature, **_OPTIONS)(inspect.unwrap(function))

        return lambda *arguments: compiled()(*arguments)

    return deferred
