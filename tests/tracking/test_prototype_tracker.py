"""Tracking by masks at prototype scale and by coefficients, and what both are made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disks import ids_of, instances
from mask_parts import Scene
from yolact.instances import Instances
from yolact.tracking import open_tracker, similarity
from yolact.tracking.motion import Motion

pytest.importorskip("scipy", reason="needs yolact[track]")

OURS = ("mask", "coefficients")


def as_instances(scene: Scene) -> Instances:
    n = len(scene.windows)
    return Instances(
        boxes=np.zeros((n, 4), np.float32),
        scores=np.ones(n, np.float32),
        mask_scores=np.ones(n, np.float32),
        labels=np.zeros(n, np.int64),
        coefficients=scene.coefficients,
        windows=scene.windows,
        prototypes=scene.prototypes,
        image_size=scene.image_size,
        class_names=("a",),
        category_ids=(1,),
    )


@given(st.integers(0, 1000))
def test_overlap_of_binary_masks_is_their_iou(seed: int):
    a, b = np.random.default_rng(seed).random((2, 3, 7, 9)) < 0.5
    overlap = similarity.mask_overlap(a.astype(np.float32), b.astype(np.float32))
    expected = [[(x & y).sum() / max((x | y).sum(), 1) for y in b] for x in a]
    assert overlap == pytest.approx(np.array(expected), abs=1e-5)


@pytest.mark.parametrize("kind", OURS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_permuting_instances_permutes_ids(kind, seed: int):
    random = np.random.default_rng(seed)
    plain, shuffled = open_tracker(kind), open_tracker(kind)
    disks = [(*random.uniform(8, 40, 2), float(random.integers(4, 9))) for _ in range(5)]
    for frame in range(8):
        disks = [(x + random.normal(), y + random.normal(), r) for x, y, r in disks]
        found = instances(disks, random.uniform(0.3, 1, 5).tolist())
        order = random.permutation(5)
        ids = ids_of(plain, found, frame)
        assert ids_of(shuffled, found[order], frame) == [ids[i] for i in order]


@pytest.mark.parametrize("kind", OURS)
def test_a_shaking_camera_loses_nobody(kind):
    random = np.random.default_rng(3)
    tracker = open_tracker(kind)
    seen = set()
    for frame in range(60):
        dx, dy = random.normal(0, 1.5, 2)  # of disks 14 cells wide
        ids = ids_of(tracker, instances([(12 + dx, 14 + dy, 7), (34 + dx, 32 + dy, 7)]), frame)
        seen |= {tuple(ids)} if frame > 3 else set()
    assert seen == {(1, 2)} or seen == {(2, 1)}


def test_a_moving_object_is_expected_where_it_goes():
    tracker = open_tracker("mask")
    seen = [ids_of(tracker, instances([(4 + 3 * frame, 20, 4)]), frame) for frame in range(8)]
    assert seen[-1] == [1]
    # Hidden for four frames in which it goes on: where it is now, it overlaps nothing of where it was.
    assert ids_of(tracker, instances([(4 + 3 * 12, 20, 4)]), 12) == [1]


def test_coefficients_tell_apart_what_lies_in_one_place():
    tracker = open_tracker("coefficients")
    pair = instances([(20, 20, 6), (22, 20, 6)], kinds=[0, 1])
    ids = [ids_of(tracker, pair, frame) for frame in range(6)][-1]
    swapped = instances([(22, 20, 6), (20, 20, 6)], kinds=[0, 1])
    assert ids_of(tracker, swapped[[1, 0]], 6) == ids[::-1]


@given(speed=st.floats(-2, 2), rate=st.floats(5, 60))
def test_motion_learns_a_velocity_whatever_the_frame_rate(speed: float, rate: float):
    motion = Motion.start(np.zeros(2), np.ones(2))
    for frame in range(1, int(2 * rate) + 1):
        motion.predict(1 / rate)
        motion.correct(np.array([speed * frame / rate, 0.0]), np.ones(2))
    assert motion.velocity == pytest.approx([speed, 0], abs=0.15)
    before = motion.spread
    motion.predict(1.0)
    assert motion.spread > before


def test_empty_masks_have_a_center():
    found = instances([(20, 20, 6)])
    masks = np.zeros((1, 48, 48), np.float32)
    positions, sizes = similarity.centers(masks, found)
    assert positions == pytest.approx(np.array([[20 / 48, 20 / 48]]), abs=0.02)
    assert (sizes > 0).all()
