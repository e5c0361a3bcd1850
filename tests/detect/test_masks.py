from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from torch.nn import functional

from yolact.detect.masks import assemble_masks, crop_masks, encode_rle, region_of, upsample_region


def test_assembly_is_the_papers_equation():
    prototypes, coefficients = torch.randn(2, 3, 5, 7), torch.randn(2, 4, 3)
    masks = assemble_masks(prototypes, coefficients)
    for b in range(2):
        for n in range(4):
            mixture = sum((coefficients[b, n, k] * prototypes[b, k] for k in range(3)), torch.zeros(5, 7))
            torch.testing.assert_close(masks[b, n], torch.sigmoid(mixture))


def test_cropping_removes_what_is_outside_the_box():
    masks = crop_masks(torch.ones(1, 1, 10, 10), torch.tensor([[[0.23, 0.31, 0.58, 0.77]]]))
    assert masks[0, 0, 3:9, 2:7].min() == 1
    assert masks.sum() == 6 * 5


def blob(seed: int, height: int, width: int) -> np.ndarray:
    """A smooth mask that is zero outside some box."""
    random = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.float32)
    y1, x1 = random.integers(0, height), random.integers(0, width)
    y2, x2 = random.integers(y1, height) + 1, random.integers(x1, width) + 1
    mask[y1:y2, x1:x2] = random.random((y2 - y1, x2 - x1), np.float32)
    return mask


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([(138, 138), (13, 20), (5, 5)]),
    st.tuples(st.integers(3, 300), st.integers(3, 300)),
)
def test_a_region_is_what_upsampling_everything_gives(seed, size, image_size):
    mask = blob(seed, *size)
    everything = functional.interpolate(torch.from_numpy(mask)[None, None], image_size, mode="bilinear")[0, 0].numpy()
    x1, y1, x2, y2 = region = region_of(mask, image_size)
    full = np.zeros(image_size, np.float32)
    full[y1:y2, x1:x2] = upsample_region(mask, region, image_size)
    np.testing.assert_allclose(full, everything, atol=1e-5)
    whole = upsample_region(mask, (0, 0, image_size[1], image_size[0]), image_size)
    np.testing.assert_array_equal(full > 0.5, whole > 0.5)


def test_an_empty_mask_has_an_empty_region():
    region = region_of(np.zeros((8, 8), np.float32), (100, 100))
    assert region == (0, 0, 0, 0)
    assert upsample_region(np.zeros((8, 8), np.float32), region, (100, 100)).shape == (0, 0)
    rle: Any = encode_rle(np.zeros((0, 0), bool), region, (100, 100))
    assert coco_mask.decode(rle).sum() == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.tuples(st.integers(1, 30), st.integers(1, 30)), st.floats(0.0, 1.0))
def test_run_lengths_are_those_of_pycocotools(seed, image_size, density):
    random = np.random.default_rng(seed)
    y1, x1 = random.integers(0, image_size[0]), random.integers(0, image_size[1])
    y2, x2 = random.integers(y1, image_size[0]) + 1, random.integers(x1, image_size[1]) + 1
    x1, y1, x2, y2 = int(x1), int(y1), int(x2), int(y2)
    part = random.random((y2 - y1, x2 - x1)) < density
    full = np.zeros(image_size, np.uint8)
    full[y1:y2, x1:x2] = part
    expected: Any = coco_mask.encode(np.asfortranarray(full))
    assert encode_rle(part, (x1, y1, x2, y2), image_size) == {
        "size": list(image_size),
        "counts": expected["counts"].decode(),
    }


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_run_lengths_of_a_full_or_empty_picture(value):
    part = np.full((6, 4), bool(value))
    rle: Any = encode_rle(part, (0, 0, 4, 6), (6, 4))
    assert coco_mask.decode(rle).sum() == 24 * value
