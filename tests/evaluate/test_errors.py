"""The worst errors: which are kept, how many, and the page."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotated import SIZE, boxed, config_of, instances_of, scene_of, square
from yolact.evaluate.error_picture import SIDE, Close, draw, part_around
from yolact.evaluate.errors import SHOWN, WorstErrors
from yolact.evaluate.gallery import write_gallery
from yolact.evaluate.pairing import pair
from yolact.evaluate.scene import Scene

GRAY = np.full((*SIZE, 3), 90, np.uint8)


def look(errors: WorstErrors, scene: Scene, name: str = "a.jpg") -> None:
    errors.update(name, GRAY, scene, pair(scene, 0.15))


def test_each_kind_of_error_is_told(tmp_path: Path) -> None:
    objects = [
        ("cat", square(0, 0, 40, 40), False),
        ("dog", square(60, 0, 100, 40), False),
        ("cat", square(0, 100, 40, 140), False),
        ("cat", square(60, 100, 100, 140), False),
    ]
    masks = [square(0, 0, 40, 40), square(60, 0, 100, 40), square(0, 100, 40, 120), square(200, 100, 220, 120)]
    masks += [square(60, 100, 100, 115), square(0, 0, 40, 39)]
    scores = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    found = instances_of([("cat", m, s, s) for m, s in zip(masks, scores, strict=True)], config_of("cat", "dog"))
    boxes = found.boxes.copy()
    boxes[2] = (0, 100, 40, 140)  # in the right place, with half a mask
    errors = WorstErrors(("cat", "dog"))
    look(errors, scene_of(tmp_path, objects, boxed(found, *boxes)))
    captions = {kind: [error.caption for error in errors[kind]] for kind in ("missed", "wrong", "mask", "confused")}
    assert captions == {
        "missed": ["a.jpg: cat of 1600 pixels is missed"],
        "wrong": [
            "a.jpg: cat with score 0.60, of nothing that is annotated",
            "a.jpg: cat with score 0.50, its box has an IoU of only 0.38 with its object's",
            "a.jpg: cat with score 0.40, one more of an object that is detected",
        ],
        "mask": ["a.jpg: cat with score 0.70, mask IoU 0.50"],
        "confused": ["a.jpg: dog taken for cat with score 0.80"],
    }


def test_only_the_worst_are_kept_and_the_first_of_equal_ones(tmp_path: Path) -> None:
    errors = WorstErrors(("cat", "dog"))
    order = np.random.default_rng(0).permutation(3 * SHOWN)
    for i in order:
        mask = square(0, 0, 10, 10 + int(i))
        look(errors, scene_of(tmp_path, [("cat", mask, False)], instances_of([], config_of("cat", "dog"))))
    assert [error.badness for error in errors["missed"]] == [10 * (10 + 3 * SHOWN - 1 - i) for i in range(SHOWN)]
    for i in range(2 * SHOWN):
        scene = scene_of(tmp_path, [], instances_of([("cat", square(0, 0, 9, 9), 0.5, 0.5)], config_of("cat", "dog")))
        look(errors, scene, f"{i}.jpg")
    assert [error.caption.split(":")[0] for error in errors["wrong"]] == [f"{i}.jpg" for i in range(SHOWN)]


@pytest.mark.parametrize("box", [(0, 0, 2, 2), (230, 170, 240, 180), (0, 0, 240, 180), (239, 5, 240, 175)])
def test_pictures_show_the_error_and_some_of_what_is_around_it(tmp_path: Path, box: tuple[int, int, int, int]) -> None:
    mask = square(*box)
    scene = scene_of(tmp_path, [("cat", mask, False)], instances_of([("dog", mask, 0.9, 0.9)], config_of("cat", "dog")))
    x1, y1, x2, y2 = part = part_around(Close(GRAY, scene, [0], 0, 0))
    assert 0 <= x1 <= box[0] < box[2] <= x2 <= 240
    assert 0 <= y1 <= box[1] < box[3] <= y2 <= 180
    assert x2 - x1 >= 20
    for jpeg, greener in zip(draw(Close(GRAY, scene, [0], 0, 0)), (True, False), strict=True):
        with Image.open(io.BytesIO(jpeg)) as picture:
            assert max(picture.size) == SIDE, part
            pixels = np.asarray(picture).astype(int)
        filled = pixels[np.abs(pixels - 90).max(axis=2) > 40]
        assert len(filled) > 0
        assert (filled[:, 1].mean() > filled[:, 0].mean()) == greener


def test_a_box_far_outside_is_survived(tmp_path: Path) -> None:
    found = instances_of([("cat", square(0, 0, 10, 10), 0.9, 0.9)], config_of("cat", "dog"))
    scene = scene_of(tmp_path, [], boxed(found, (-500, -500, -300, 1e6)))
    assert len(draw(Close(GRAY, scene, [0], 0, None))) == 2


def test_the_page_is_whole_and_names_are_escaped(tmp_path: Path) -> None:
    name = '<script>alert("x")</script>&\udce9.jpg'  # and a byte that is not UTF-8
    errors = WorstErrors(("<b>cat", "dog"))
    look(
        errors,
        scene_of(tmp_path, [("cat", square(0, 0, 40, 40), False)], instances_of([], config_of("cat", "dog"))),
        name,
    )
    write_gallery(tmp_path / "errors.html", errors, 0.15)
    page = (tmp_path / "errors.html").read_text(encoding="utf-8")

    class Reader(HTMLParser):
        seen: list[str] = []  # noqa: RUF012
        text = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.seen.append(tag)

        def handle_data(self, data: str) -> None:
            self.text += data

    reader = Reader()
    reader.feed(page)
    assert "script" not in reader.seen
    assert "b" not in reader.seen
    shown = name.replace("\udce9", "\ufffd")
    assert f"{shown}: <b>cat of 1600 pixels is missed" in reader.text
    assert reader.seen.count("img") == 2
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)  # nothing is fetched
    base64.b64decode(sources[0].split(",")[1], validate=True)
    assert page.count("None.") == 3
