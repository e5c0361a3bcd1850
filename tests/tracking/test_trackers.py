"""Every kind of tracker: an object keeps its id, and no other gets it."""

import sys
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disks import RATE, ids_of, instances
from yolact.tracking import TrackerKind, open_tracker

pytest.importorskip("trackers", reason="needs yolact[track]")

KINDS = get_args(TrackerKind)


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_still_keeps_its_id_and_results_stay_as_they_are(kind):
    tracker = open_tracker(kind, frame_rate=RATE)
    found = instances([(12, 12, 5), (36, 36, 6)])
    seen = [ids_of(tracker, found, frame) for frame in range(10)]
    assert sorted(seen[-1]) == [1, 2]
    assert all(ids in ([0, 0], seen[-1]) for ids in seen)
    assert found.track_ids is None
    tracked = tracker.update(found, 1.0)
    assert tracked.scores is found.scores
    assert tracked.prototypes is found.prototypes


@pytest.mark.parametrize("kind", KINDS)
def test_two_that_cross_keep_their_ids(kind):
    tracker = open_tracker(kind, frame_rate=RATE)
    seen = [ids_of(tracker, instances([(6 + k, 17, 5), (42 - k, 25, 5)]), k) for k in range(37)]
    assert seen[-1] == seen[6]
    assert sorted(seen[6]) == [1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_short_absence_the_id_is_the_same_and_after_a_long_one_it_is_new(kind):
    tracker = open_tracker(kind, frame_rate=RATE)
    here, nobody = instances([(20, 20, 6)]), instances([])
    assert [ids_of(tracker, here, frame) for frame in range(6)][-1] == [1]
    assert [ids_of(tracker, nobody, frame) for frame in range(6, 14)][-1] == []
    assert [ids_of(tracker, here, frame) for frame in range(14, 20)][-1] == [1]
    assert [ids_of(tracker, here, frame) for frame in range(20 + 60, 90)][-1] == [2]


@pytest.mark.parametrize("kind", KINDS)
def test_classes_are_not_mixed(kind):
    tracker = open_tracker(kind, frame_rate=RATE)
    pair = instances([(20, 20, 6), (20, 20, 6)], labels=[0, 1], kinds=[0, 0])
    ids = [ids_of(tracker, pair, frame) for frame in range(6)][-1]
    assert sorted(ids) == [1, 2]
    assert 1 not in ids_of(tracker, instances([(20, 20, 6)], labels=[1 - ids.index(1)], kinds=[0]), 6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_doubtful_continue_a_track_and_begin_none(kind):
    tracker = open_tracker(kind, frame_rate=RATE)
    doubtful = instances([(20, 20, 6)], scores=[0.2])
    assert all(ids_of(tracker, doubtful, frame) == [0] for frame in range(6))
    sure = instances([(20, 20, 6)])
    assert [ids_of(tracker, sure, frame) for frame in range(6, 12)][-1] == [1]
    expected = [0] if kind == "ocsort" else [1]  # which never looks at them
    assert ids_of(tracker, doubtful, 12) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_steps_back_in_time_end_tracks_and_reset_begins_anew(kind):
    tracker = open_tracker(kind, frame_rate=RATE)
    found = instances([(20, 20, 6)])
    assert [ids_of(tracker, found, frame) for frame in range(100, 106)][-1] == [1]
    assert [ids_of(tracker, found, frame) for frame in range(6)][-1] == [2]
    tracker.reset()
    assert [ids_of(tracker, found, frame) for frame in range(6)][-1] == [1]
    with pytest.raises(ValueError, match="nan"):
        tracker.update(found, float("nan"))


@pytest.mark.parametrize("kind", KINDS)
def test_two_frames_of_one_time_are_taken(kind):
    tracker = open_tracker(kind, frame_rate=RATE)
    found = instances([(20, 20, 6)])
    assert [ids_of(tracker, found, frame) for frame in (0, 0, 1, 1, 1, 2, 3)][-1] == [1]


@settings(max_examples=12, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 1000))
def test_ids_are_unique_and_never_used_again(kind: TrackerKind, seed: int):
    random = np.random.default_rng(seed)
    tracker = open_tracker(kind, frame_rate=RATE)
    last_seen: dict[int, int] = {}
    for frame in range(25):
        n = int(random.integers(0, 5))
        disks = [(*random.uniform(5, 43, 2).round(), float(random.integers(4, 9))) for _ in range(n)]
        found = instances(disks, random.uniform(0.1, 1, n).tolist(), random.integers(0, 2, n).tolist())
        ids = [number for number in ids_of(tracker, found, frame * int(random.choice([1, 1, 1, 40]))) if number]
        assert len(ids) == len(set(ids))
        new = sorted(set(ids) - set(last_seen))
        assert new == list(range(len(last_seen) + 1, len(last_seen) + 1 + len(new)))
        last_seen |= dict.fromkeys(ids, frame)


def test_unknown_kinds_and_numbers_out_of_range():
    unchecked: Any = getattr(open_tracker, "__wrapped__", open_tracker)  # else annotations are checked first
    with pytest.raises(ValueError, match=r"'sort'; choose mask, .* or botsort"):
        unchecked("sort")
    with pytest.raises(ValueError, match="smooth is -1"):
        open_tracker(smooth=-1)
    with pytest.raises(ValueError, match="frame_rate is 0"):
        open_tracker(frame_rate=0)


@pytest.mark.parametrize(("kind", "missing"), [("mask", "scipy"), ("bytetrack", "trackers")])
def test_a_missing_library_is_named(kind, missing, monkeypatch):
    for module in ("prototype_tracker", "box_trackers"):
        monkeypatch.delitem(sys.modules, f"yolact.tracking.{module}", raising=False)
    for module in (missing, "scipy.optimize" if missing == "scipy" else missing):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{missing}.*yolact\[track\]"):
        open_tracker(kind)
