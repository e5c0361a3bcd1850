"""The pictures of the page, and which instance a click on one of them means."""

import numpy as np
from PIL import Image

from yolact.apps.demo.session import Choice, Session, selected
from yolact.instances import Instances


def picture_of(session: Session, choice: Choice) -> tuple[Image.Image, Instances]:
    """The photograph as the page shows it, and the instances drawn on it."""
    shown = selected(session.at_page_size(session.current), choice)
    return shown.plot(opacity=choice.opacity), shown


def row_at(session: Session, choice: Choice, x: float | int, y: float | int) -> int | None:
    """The row of the smallest instance whose mask covers a pixel of the picture, as those lie on top.

    Where there is no mask, the smallest box that holds the pixel; None if there is none either.
    """
    shown = selected(session.at_page_size(session.current), choice)
    assert shown.track_ids is not None
    covering, areas = [], []
    for i in range(len(shown)):
        mask, (x1, y1, x2, y2) = shown.region_mask(i)
        if x1 <= x < x2 and y1 <= y < y2 and mask[int(y) - y1, int(x) - x1]:
            covering.append(i)
            areas.append(int(mask.sum()))
    if not covering:
        boxes = shown.boxes
        inside = (boxes[:, 0] <= x) & (x < boxes[:, 2]) & (boxes[:, 1] <= y) & (y < boxes[:, 3])
        covering = np.flatnonzero(inside).tolist()
        areas = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))[covering].tolist()
    return int(shown.track_ids[covering[int(np.argmin(areas))]]) - 1 if covering else None
