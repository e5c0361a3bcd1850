"""Why a mask looks as it does: what each prototype has become, and what an instance takes of it."""

from yolact.explain.character import Character, measure
from yolact.explain.mixture import Explanation, Step, explain
from yolact.explain.thumbnail import picture_of

__all__ = ["Character", "Explanation", "Step", "explain", "measure", "picture_of"]
