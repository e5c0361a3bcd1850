"""The instances of a photograph as a list to click on, in the colors of the picture."""

from html import escape

from yolact.apps.demo.session import Session
from yolact.instances import Instances
from yolact.visualize import instance_colors


def listing(session: Session, shown: Instances) -> str:
    """One button an instance that is shown."""
    if len(shown) == 0:
        best = f" The best of them scores {session.found.scores[0]:.0%}." if len(session.found) else ""
        return f'<p class="yo-hint">Nothing above this score.{best}</p>'
    assert shown.track_ids is not None
    buttons = []
    for number, name, score in zip(shown.track_ids.tolist(), shown.names, shown.scores.tolist(), strict=True):
        row = number - 1
        chosen = row == session.chosen
        buttons.append(
            f'<button type="button" class="yo-chip{" chosen" * chosen}" data-row="{row}" '
            f'aria-pressed="{str(chosen).lower()}">{swatch(row)}{escape(name)} {number}'
            f"<small>{score:.0%}</small></button>"
        )
    return f'<div class="yo-chips">{"".join(buttons)}</div>'


def swatch(row: int) -> str:
    red, green, blue = color(row)
    return f'<span class="yo-swatch" style="background:rgb({red},{green},{blue})"></span>'


def color(row: int) -> tuple[int, int, int]:
    """The color that pictures give instance `row` of a session."""
    import numpy as np

    one = np.zeros(1, dtype=np.int64)
    boxes = np.zeros((1, 4), dtype=np.float32)
    return instance_colors(one, boxes, 1, "track", one + row + 1)[0]
