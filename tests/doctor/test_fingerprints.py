"""The same photograph is found however it was saved; different ones are not."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from locations import ROOT
from yolact.doctor.fingerprints import _MIRRORED, MOST_DIFFERENT, SIGNS, Fingerprint, find_pairs, fingerprint
from yolact.images import read_image

PHOTOS = sorted((ROOT / "photos").glob("*.jpg"))


def scene(seed: int, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    """Something with large and small structure, like a photograph."""
    random = np.random.default_rng(seed)
    layers = [
        cv2.resize(random.normal(size=(n, n, 3)), size[::-1], interpolation=cv2.INTER_CUBIC) for n in (3, 6, 12, 24, 48)
    ]
    mixed = sum(layer / 2**i for i, layer in enumerate(layers))
    return np.clip(128 + 60 * mixed, 0, 255).astype(np.uint8)


def saved_anew(pixels: np.ndarray, quality: int, scale: float = 1.0) -> np.ndarray:
    image = Image.fromarray(pixels)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


def kinds(*pictures: np.ndarray) -> list[tuple[int, int, str]]:
    return [(pair.first, pair.second, pair.kind) for pair in find_pairs([fingerprint(picture) for picture in pictures])]


@given(seed=st.integers(0, 10**6), quality=st.integers(30, 95), scale=st.floats(0.5, 1.5), gain=st.floats(0.9, 1.0))
@settings(max_examples=30)
def test_the_same_saved_anew(seed: int, quality: int, scale: float, gain: float):
    one = scene(seed)
    other = saved_anew((one * gain).astype(np.uint8), quality, scale)
    assert kinds(one, scene(seed + 1), other) == [(0, 2, "nearly identical")]


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20)
def test_mirrored(seed: int):
    one = scene(seed)
    assert kinds(one, saved_anew(one[:, ::-1].copy(), 75)) == [(0, 1, "mirrored")]


def test_different_photographs_are_far_apart():
    prints = [fingerprint(read_image(path)) for path in PHOTOS] + [fingerprint(scene(seed)) for seed in range(200)]
    assert find_pairs(prints) == []
    signs = np.array([np.unpackbits(p.signs) for p in prints if p.signs is not None])
    distances = [(signs[i] != signs[i + 1 :]).sum(axis=1).min() for i in range(len(signs) - 1)]
    assert min(distances) > 2 * MOST_DIFFERENT


def test_photographs_of_the_repository_saved_anew():
    for path in PHOTOS:
        pixels = read_image(path)
        assert kinds(pixels, saved_anew(pixels, 20, 0.25)) == [(0, 1, "nearly identical")]


def test_identical_ones_are_paired_with_the_first():
    a, b = scene(1), scene(2)
    assert kinds(a, b, a.copy(), a.copy()) == [(0, 2, "identical"), (0, 3, "identical")]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.sampled_from(["train", "val"])), max_size=14))
def test_each_is_paired_with_the_first_of_each_split_that_it_is_like(photographs: list[tuple[int, bool, str]]):
    random = np.random.default_rng(0)
    scenes = random.integers(0, 2, (10, SIGNS))
    flips = np.where(_MIRRORED < 0, 1, 0)
    prints = []
    for place, (number, is_mirrored, _) in enumerate(photographs):
        signs = scenes[number] ^ (flips if is_mirrored else 0)
        signs[random.choice(SIGNS, 9, replace=False)] ^= 1
        prints.append(Fingerprint(bytes([place]), np.packbits(signs.astype(np.uint8))))
    expected = set()
    for j, (number, is_mirrored, _) in enumerate(photographs):
        for split in ("train", "val"):
            for kind, turned in (("nearly identical", is_mirrored), ("mirrored", not is_mirrored)):
                alike = [i for i in range(j) if photographs[i] == (number, turned, split)]
                expected |= {(alike[0], j, kind)} if alike else set()
    found = find_pairs(prints, [split for _, _, split in photographs])
    assert {(pair.first, pair.second, pair.kind) for pair in found} == expected
    assert len(found) == len(expected)


def test_without_contrast_only_identical_ones_count():
    flat, other = np.full((20, 30, 3), 90, dtype=np.uint8), np.full((20, 30, 3), 91, dtype=np.uint8)
    assert fingerprint(flat).signs is None
    assert kinds(flat, other) == []
    assert kinds(flat, flat.copy()) == [(0, 1, "identical")]


def test_size_is_part_of_being_identical():
    flat = np.zeros((10, 40, 3), dtype=np.uint8)
    assert kinds(flat, flat.reshape(40, 10, 3).copy()) == []


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_compare(count: int):
    assert find_pairs([fingerprint(scene(i)) for i in range(count)]) == []


def test_blocks_do_not_lose_pairs(monkeypatch: pytest.MonkeyPatch):
    prints: list[Fingerprint] = [fingerprint(scene(i % 7)) for i in range(7)]
    prints += [fingerprint(saved_anew(scene(i % 7), 60)) for i in range(7)]
    whole = find_pairs(prints)
    assert [(pair.first, pair.second) for pair in whole] == [(i, i + 7) for i in range(7)]
    monkeypatch.setattr("yolact.doctor.fingerprints.ROWS_AT_ONCE", 3)
    assert find_pairs(prints) == whole


def test_frames_of_a_fixed_camera_give_a_pair_each(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yolact.doctor.fingerprints.ROWS_AT_ONCE", 64)
    signs = np.packbits(np.arange(SIGNS, dtype=np.uint8) % 2)
    frames = [Fingerprint(bytes([number]), signs) for number in range(200)]
    pairs = [(pair.first, pair.second) for pair in find_pairs(frames, 120 * ["train"] + 80 * ["val"])]
    assert pairs == [(0, j) for j in range(1, 200)] + [(120, j) for j in range(121, 200)]
