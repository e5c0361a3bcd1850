"""The measures of the study of steady masks, on sequences whose answer is known."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from locations import ROOT

SIDE = 96


@pytest.fixture(autouse=True, scope="module")
def folder() -> Iterator[Path]:
    folder = ROOT / "benchmarks"
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("studied", "studies")]:
        del sys.modules[name]


def module(name: str) -> ModuleType:
    return importlib.import_module(f"studied.{name}")


def block(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def figure(left: int, top: int, leg: int = 0) -> np.ndarray:
    """A body of 12 x 30 with a leg that is stretched out by so many pixels."""
    return block(left, top, left + 12, top + 30) | block(left + 12, top + 22, left + 12 + leg, top + 28)


def changes(masks: list[np.ndarray], true: list[np.ndarray]) -> dict[str, list[float]]:
    return module("stability").of_masks(np.array(masks), np.array(true), np.ones(len(true), bool))


def area_changes(figures: dict[str, list[float]]) -> list[float]:
    return np.abs(np.diff(figures["area"])).tolist()


places = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 20))


@settings(max_examples=15, deadline=None)
@given(st.lists(places, min_size=2, max_size=4))
def test_a_perfect_mask_is_steady_whatever_the_object_does(sequence: list[tuple[int, int, int]]) -> None:
    true = [figure(*place) for place in sequence]
    found = changes(true, true)
    assert found["iou"] == [1.0] * len(true)
    assert max(area_changes(found) + found["shape"] + found["boundary"]) == 0


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(5, 50), st.integers(5, 50)), min_size=2, max_size=4), st.integers(-3, 3))
def test_the_same_error_in_every_frame_is_steady(sequence: list[tuple[int, int]], extra: int) -> None:
    true = [block(x, y, x + 20, y + 30) for x, y in sequence]
    biased = [block(x - extra, y - extra, x + 20 + extra, y + 30 + extra) for x, y in sequence]
    found = changes(biased, true)
    assert max(area_changes(found) + found["shape"]) == 0
    assert found["boundary"] == pytest.approx([0] * (len(true) - 1), abs=1e-9)


def test_an_error_that_grows_with_the_object_is_steady() -> None:
    true = [block(10, 10, 20, 25), block(30, 20, 60, 65)]
    biased = [block(9, 9, 21, 26), block(27, 17, 63, 68)]
    found = changes(biased, true)
    assert area_changes(found) == pytest.approx([0])
    assert found["shape"] == [0]
    assert found["boundary"][0] < 0.01  # the centers of pixels are not where their borders are


@pytest.mark.parametrize("flicker", [1, 2, 5])
def test_what_flickers_is_measured(flicker: int) -> None:
    true = [block(20, 20, 50, 60)] * 4
    wide = block(20 - flicker, 20 - flicker, 50 + flicker, 60 + flicker)
    found = changes([true[0], wide, true[0], wide], true)
    assert found["shape"] == pytest.approx([(wide.sum() - 1200) / 1200] * 3)
    assert area_changes(found) == pytest.approx([np.log(wide.sum() / 1200)] * 3)
    assert found["boundary"] == pytest.approx([flicker / np.sqrt(1200)] * 3)


def test_an_even_margin_counts_for_shape_alone_when_the_object_bends() -> None:
    """What the boundary is measured for besides: a stretched leg with its margin is no flicker."""
    true = [figure(30, 30, leg) for leg in (4, 8, 16)]
    wide = [np.array(Image.fromarray(mask)) for mask in true]
    for mask in wide:
        mask[1:] |= mask[:-1].copy()
        mask[:-1] |= mask[1:].copy()
        mask[:, 1:] |= mask[:, :-1].copy()
        mask[:, :-1] |= mask[:, 1:].copy()
    found = changes(wide, true)
    assert min(found["shape"]) > 0
    assert max(found["boundary"]) < 0.1 * 2 / np.sqrt(true[0].sum())


def test_area_alone_misses_a_mask_that_swims() -> None:
    true = [block(30, 30, 50, 60)] * 2
    found = changes([block(28, 30, 48, 60), block(32, 30, 52, 60)], true)
    assert area_changes(found) == [0]
    assert found["shape"][0] == pytest.approx(4 * 2 * 30 / 600)


def test_the_edge_of_the_picture_is_no_contour() -> None:
    contour = module("stability_measures").contour_of(block(0, 40, 10, 50))
    assert contour[:, 0].max() == 9.5
    assert not ((contour[:, 0] == 0.5) & (contour[:, 1] > 41) & (contour[:, 1] < 49)).any()


def test_nudges_split_what_the_cut_takes_from_what_changes_inside() -> None:
    measures = module("stability_measures")
    box = np.array([20.0, 20.0, 60.0, 60.0])
    boxes = np.concatenate([box[None], measures.nudges(box)])
    assert boxes.shape == (9, 4)
    assert (np.abs(boxes[1:] - box).sum(axis=1) == 2).all()
    cut = np.array([block(*np.round(each).astype(int)) for each in boxes])
    inside, beyond = measures.nudge_changes(cut, boxes, 1600)
    assert inside == 0
    assert beyond == pytest.approx(2 * 40 / 1600)
    resampled = np.array([block(30, 30, 50, 50), *[block(30, 30, 51, 50)] * 8])
    assert measures.nudge_changes(resampled, boxes, 400) == pytest.approx((0.05, 0))


def write_clip(folder: Path, true: list[np.ndarray]) -> None:
    for name in ("frames", "masks"):
        (folder / "clip" / name).mkdir(parents=True)
    for i, mask in enumerate(true):
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "clip" / "masks" / f"{i:05d}.png")
        Image.fromarray(np.repeat(mask[:, :, None], 3, axis=2).astype(np.uint8) * 200).save(
            folder / "clip" / "frames" / f"{i:05d}.jpg", quality=95
        )


def test_frames_without_the_object_are_counted_and_left_out(tmp_path: Path) -> None:
    clips, stability = module("stability_clips"), module("stability")
    true = [block(20 + 3 * i, 20, 40 + 3 * i, 60) for i in range(4)]
    write_clip(tmp_path, true)

    def segment(pixels: np.ndarray, boxes: np.ndarray) -> Any:
        if boxes[0, 0] == 26:  # the third frame
            return None
        mask = pixels[:, :, 0] > 100
        return clips.Found(boxes[0], mask, mask, np.array([mask] * len(boxes)))

    file = tmp_path / "kept" / "network-clip.npz"
    made = clips.followed(file, "clip", lambda: segment, tmp_path)
    kept = clips.followed(file, "clip", lambda: pytest.fail("made again"), tmp_path)
    assert all(
        np.array_equal(getattr(made, name), getattr(kept, name), equal_nan=name in ("boxes", "nudged"))
        for name in ("boxes", "own", "surest", "held", "nudged")
    )
    assert made.is_found.tolist() == [True, True, False, True]
    figures = stability.compare(made, np.array(true))
    assert figures["own"]["iou"][0] == pytest.approx(1, abs=0.02)
    assert np.isnan(figures["own"]["shape"]).tolist() == [False, True, True]
    assert np.isnan(figures["box"]["area"]).tolist() == [False, False, True, False]


def test_the_best_box_and_the_surest_are_taken_if_they_overlap_by_half() -> None:
    choose = module("stability_clips").choose
    true = np.array([0.0, 0, 10, 10])
    assert choose(np.array([[50.0, 50, 60, 60], [0, 0, 10, 6], [0, 0, 10, 8]]), true) == (2, 1)
    assert choose(np.array([[0.0, 0, 10, 4]]), true) is None
    assert choose(np.zeros((0, 4)), true) is None


def test_a_missing_clip_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="parkour has no frames"):
        next(module("stability_clips").frames_of("parkour", tmp_path))


def result(seed: int, flicker: float, iou: float, lost: tuple[int, ...] = ()) -> dict[str, Any]:
    """Of five frames a clip: masks whose area comes and goes by a factor of exp(flicker)."""
    area = [None if t in lost else flicker * (t % 2) for t in range(5)]
    pair = [None if {t, t + 1} & set(lost) else flicker / 2 for t in range(4)]
    masks = {"iou": [None if t in lost else iou for t in range(5)], "area": area, "shape": pair, "boundary": pair}
    nudged = {"inside": [0.01] * 5, "beyond": [0.02] * 5}
    figures = {
        "own": masks,
        "surest": masks,
        "true": masks,
        "box": {"iou": masks["iou"], "area": area},
        "nudged": nudged,
    }
    return {"seed": seed, "clips": dict.fromkeys(module("stability_clips").CLIPS, figures)}


def test_the_report_compares_pairs_that_both_networks_have(tmp_path: Path) -> None:
    write, report = module("turns").write_result, module("stability_report")
    for seed in range(3):
        write(f"stability-prototypes-32-seed{seed}", result(seed, 0.3, 0.7, lost=(0,)), tmp_path)
        write(f"stability-mask-rcnn-seed{seed}", result(seed, 0.1, 0.8 if seed else 0.72, lost=(4,)), tmp_path)
    rows = {
        row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]]
        for row in report.differences(tmp_path)
    }
    assert rows["YOLACT: all"] == ["12", "70.0", "77.3", "+20.0 ± 0.0", "+10.0 ± 0.0", "+10.0 ± 0.0"]
    assert rows["YOLACT: parkour"][0] == "6"
    assert rows["YOLACT: masks equally good"] == ["4", "70.0", "72.0", "+20.0", "+10.0", "+10.0"]
    assert not [name for name in rows if name.startswith(("shipped", "Mask R-CNN"))]
    (network,) = [row for row in report.by_network(tmp_path) if row.startswith("| YOLACT, own")]
    assert "8 (8 to 8)" in network
    assert "30.0 (30.0 to 30.0)" in network
    (nudged,) = [row for row in report.by_nudge(tmp_path) if row.startswith("| Mask R-CNN")]
    assert "3.00 (3.00 to 3.00)" in nudged


def test_the_mask_head_gives_in_its_own_boxes_what_it_gave_before() -> None:
    """Of a Mask R-CNN with random weights."""
    import torch

    peer, runs = module("peer"), module("runs")
    run = runs.Run(runs.PEER, 0)
    torch.manual_seed(0)
    model = peer.build(run.model_config(("person",)), run.train_config("none")).eval()
    model.roi_heads.score_thresh = 0.0
    model.roi_heads.detections_per_img = 3
    model.rpn._post_nms_top_n = {"training": 20, "testing": 20}
    image = torch.randn(3, 64, 64)
    features, found = peer.detect(model, image)
    again = peer.in_boxes(model, features, found["boxes"], image)
    assert len(found["boxes"]) == 3
    assert torch.allclose(again["masks"], found["masks"], atol=1e-5)
    assert peer.predict(model, image, (80, 100))["masks"].shape == (3, 80, 100)
