"""What of an annotation can be used: exactly the pixels that COCO's own code gives its sound parts."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthetic import run_lengths
from yolact.data.coco import decode_mask
from yolact.data.objects import read_object

SIZE = (12, 16)
SQUARE = [2, 2, 6, 2, 6, 6, 2, 6]
BOW_TIE = [5, 3, 11, 9, 11, 3, 5, 9]
NOTHING = [1, 1, 5, 5, 9, 9]
BROKEN = {
    "empty polygon": [[], [1, 1, 5, 5], [1, 1, 5, 1, 5, 5, 7], [1, 1, 5, float("nan"), 5, 5], None, "1 1 5 1 5 5"],
    "polygon far outside its image": [[1, 1, 1e9, 1, 5, 5]],
}

corners = st.integers(-4, 20) | st.floats(-4, 20).map(lambda v: round(v, 1))
polygons = st.integers(3, 6).flatmap(lambda n: st.lists(corners, min_size=2 * n, max_size=2 * n))
broken = st.sampled_from([(kind, part) for kind, parts in BROKEN.items() for part in parts])


def read(segmentation: Any) -> tuple[Any, list[str]]:
    annotation = {"category_id": 1, "bbox": [0, 0, 16, 12], "segmentation": segmentation}
    found, problems = read_object(annotation, SIZE, {1: 0})
    return None if found is None else found.segmentation, problems


@given(st.lists(polygons, min_size=1, max_size=3), st.lists(broken, max_size=2), st.randoms(use_true_random=False))
def test_sound_parts_keep_their_pixels_and_broken_ones_are_named(sound: list, bad: list, random: Any):
    parts = sound + [part for _, part in bad]
    random.shuffle(parts)
    found, problems = read(parts)
    pixels = decode_mask(sound, SIZE)
    if found is None:
        assert not pixels.any()
        assert problems == ["polygon without area, dropped"]
    else:
        assert np.array_equal(decode_mask(found, SIZE), pixels)
        assert sorted(problems) == sorted(f"part of an object: {kind}, dropped" for kind, _ in bad)


@pytest.mark.parametrize("segmentation", [[BOW_TIE], BOW_TIE, [BOW_TIE, NOTHING]])
def test_a_bow_tie_whose_halves_cancel_out(segmentation: Any):
    found, problems = read(segmentation)
    assert found == [BOW_TIE]
    assert problems == []


def test_a_box_and_a_part_may_both_be_wrong():
    annotation = {"category_id": 1, "bbox": [0, 0, 30, 12], "segmentation": [SQUARE, []]}
    problems = read_object(annotation, SIZE, {1: 0})[1]
    assert problems == ["box reaches out of the image, clipped", "part of an object: empty polygon, dropped"]


@given(st.lists(st.booleans(), min_size=192, max_size=192), st.booleans())
def test_an_rle_whose_size_is_not_in_whole_numbers(pixels: list[bool], is_compressed: bool):
    from pycocotools import mask

    arbiter: Any = mask

    drawn = np.array(pixels).reshape(SIZE)
    drawn[0, 0] = True
    counts = arbiter.encode(np.asfortranarray(drawn, dtype=np.uint8))["counts"].decode() if is_compressed else None
    found, problems = read({"size": [12.0, 16.0], "counts": counts or run_lengths(drawn)})
    assert problems == []
    assert np.array_equal(decode_mask(found, SIZE), drawn)
