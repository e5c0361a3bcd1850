"""Drawing: smooth edges in the right place, and colors that tell instances apart."""

import numpy as np
import pytest

from yolact.visualize import PALETTE, Style, cut_out, draw, instance_colors

PLAIN = Style(labels=False, outlines=False, opacity=1.0)


def half_plane(cells: int = 20, at: int = 8) -> np.ndarray:
    mask = np.zeros((cells, cells), dtype=np.float32)
    mask[:, :at] = 1
    return mask


def disc(cells: int = 24, radius: float = 7) -> np.ndarray:
    rows, columns = np.mgrid[:cells, :cells] + 0.5
    return (radius - np.hypot(columns - cells / 2, rows - cells / 2) + 0.5).clip(0, 1).astype(np.float32)


def draw_masks(image: np.ndarray, masks: list[np.ndarray], style: Style, labels=None, names=("a", "b")) -> np.ndarray:
    n = len(masks)
    boxes = np.array([[i, 0, i + 9, 9] for i in range(n)], dtype=np.float32).reshape(n, 4)
    numbers = np.zeros(n, dtype=np.int64) if labels is None else np.array(labels, dtype=np.int64)
    soft = np.array(masks, dtype=np.float32) if n else np.zeros((0, 4, 4), dtype=np.float32)
    scores = np.linspace(0.9, 0.5, n).astype(np.float32)
    return np.asarray(draw(image, soft, boxes, numbers, scores, names, style))


@pytest.mark.parametrize("size", [(100, 200), (37, 53), (10, 12), (700, 300)])
def test_a_straight_edge_is_where_the_mask_is_one_half(size):
    image = np.zeros((*size, 3), dtype=np.uint8)
    drawn = draw_masks(image, [half_plane()], PLAIN)
    covered = drawn[..., 1].astype(float).sum(axis=1) / PALETTE[0][1]
    assert covered == pytest.approx(np.full(size[0], size[1] * 8 / 20), abs=0.6)


def test_edges_are_smooth_at_full_resolution():
    image = np.zeros((960, 960, 3), dtype=np.uint8)
    coverage = draw_masks(image, [disc()], PLAIN)[..., 1] / PALETTE[0][1]
    rows, columns = np.mgrid[:960, :960] + 0.5
    distance = 280 - np.hypot(columns - 480, rows - 480)
    assert (coverage[distance > 12] == 1).all()
    assert (coverage[distance < -12] == 0).all()
    partly = (coverage > 0.02) & (coverage < 0.98)
    assert 2 * np.pi * 280 * 0.7 < partly.sum() < 2 * np.pi * 280 * 2.2  # one soft pixel all along, and no more
    steps = np.abs(np.diff(np.argmax(coverage > 0.5, axis=1)[300:660]))
    assert steps.max() <= 2  # a mask enlarged by nearest neighbors steps by 40 pixels


def test_the_fill_is_transparent_and_the_line_is_not():
    image = np.full((960, 960, 3), 255, dtype=np.uint8)
    drawn = draw_masks(image, [disc()], Style(labels=False, opacity=0.4))
    blue = np.array(PALETTE[0])
    assert np.abs(drawn[480, 480] - (0.6 * 255 + 0.4 * blue)).max() <= 1
    on_line = np.abs(drawn[480].astype(int) - blue).max(axis=1) <= 2
    assert 2 <= on_line[:480].sum() <= 4  # 960 / 320 = 3 pixels
    assert np.flatnonzero(on_line)[0] == pytest.approx(200, abs=3)
    assert (drawn[5, 5] == 255).all()


def test_the_photograph_is_not_changed():
    image = np.full((60, 60, 3), 9, dtype=np.uint8)
    draw_masks(image, [disc()], Style())
    assert (image == 9).all()
    assert (draw_masks(image, [], Style()) == 9).all()


def test_strips_leave_no_seams():
    image = np.zeros((700, 60, 3), dtype=np.uint8)
    drawn = draw_masks(image, [np.full((24, 24), 0.9, dtype=np.float32)], PLAIN)
    assert (drawn == PALETTE[0]).all()


def test_small_instances_lie_on_large_ones():
    image = np.zeros((240, 240, 3), dtype=np.uint8)
    for order in ((3.0, 9.0), (9.0, 3.0)):
        drawn = draw_masks(
            image, [disc(radius=radius) for radius in order], PLAIN, labels=[0 if r == 3 else 1 for r in order]
        )
        assert tuple(drawn[120, 120]) == PALETTE[0]


@pytest.mark.parametrize("box", [[99, 12, 60, 24], [-5, 70, 3, 65], [0, 0, 500, 500]])
def test_boxes_of_parity_mode_survive(box):
    image = np.zeros((60, 60, 3), dtype=np.uint8)
    boxes, one = np.array([box], dtype=np.float32), np.ones(1, dtype=np.float32)
    drawn = draw(image, disc()[None], boxes, np.zeros(1, dtype=np.int64), one, ("a",), Style(boxes=True))
    assert drawn.size == (60, 60)


def colors(labels: list[int], lefts: list[float], num_classes: int, color_by="auto"):
    boxes = np.array([[x, 0, x + 5, 5] for x in lefts], dtype=np.float32).reshape(len(lefts), 4)
    return instance_colors(np.array(labels, dtype=np.int64), boxes, num_classes, color_by)


def test_a_class_keeps_its_color():
    assert colors([3], [0], 80) == colors([3, 5], [50, 2], 80)[:1]
    assert colors([0], [0], 80) == [PALETTE[0]]
    assert all(color != PALETTE[0] for color in colors(list(range(1, 80)), list(range(79)), 80))


def test_neighbors_of_a_class_differ():
    by_place = dict(zip([30, 10, 20, 0], colors([7] * 4, [30, 10, 20, 0], 80), strict=True))
    assert by_place[0] != by_place[10] != by_place[20] != by_place[30]
    assert len(set(by_place.values())) == 3


def test_with_one_class_each_instance_has_a_color():
    assert len(set(colors([0] * 12, list(range(12)), 1))) == 12
    assert len(set(colors([0] * 12, list(range(12)), 1, "class"))) == 3
    with pytest.raises(ValueError, match="'rainbow'"):
        colors([0], [0], 1, "rainbow")


def track_colors(tracks: list[int], color_by="auto"):
    boxes, labels = np.zeros((len(tracks), 4), dtype=np.float32), np.zeros(len(tracks), dtype=np.int64)
    return instance_colors(labels, boxes, 80, color_by, np.array(tracks, dtype=np.int64))


def test_a_track_keeps_its_color():
    assert track_colors([5, 1, 3]) == [track_colors([i])[0] for i in (5, 1, 3)]
    assert len(set(track_colors(list(range(40)), "track"))) == 40
    assert track_colors([1, 2, 3], "class") != track_colors([1, 2, 3])
    with pytest.raises(ValueError, match="nothing was tracked"):
        colors([0], [0], 80, "track")


def test_labels_show_the_track():
    image, one = np.zeros((200, 200, 3), dtype=np.uint8), np.ones(1, dtype=np.float32)
    boxes, label = np.array([[40, 40, 160, 160]], dtype=np.float32), np.zeros(1, dtype=np.int64)
    style = Style(color_by="class")
    drawn = [
        np.asarray(draw(image, disc()[None], boxes, label, one, names, style, tracks))
        for names, tracks in ((("a",), None), (("a",), label), (("a",), label + 3), (("a 3",), None))
    ]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    assert (drawn[2] == drawn[3]).all()


def test_cut_out_is_tight_and_soft():
    image = np.random.default_rng(0).integers(0, 256, (240, 240, 3), dtype=np.uint8)
    cut = cut_out(image, disc())
    assert cut.mode == "RGBA"
    assert abs(cut.width - 140) <= 4
    pixels = np.asarray(cut)
    offset = (240 - cut.height) // 2
    middle = pixels[cut.height // 2, cut.width // 2]
    assert tuple(middle[:3]) == tuple(image[offset + cut.height // 2, (240 - cut.width) // 2 + cut.width // 2])
    assert middle[3] == 255
    assert pixels[0, 0, 3] == 0
    assert len(np.unique(pixels[..., 3])) > 10
    assert cut_out(image, np.zeros((24, 24), dtype=np.float32)).size == (1, 1)


def test_labels_are_written_with_scores():
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    bare = draw_masks(image, [disc()], Style(labels=False))
    named = draw_masks(image, [disc()], Style(scores=False))
    scored = draw_masks(image, [disc()], Style())
    assert (bare != named).any()
    assert (named != scored).any()


def test_a_font_can_be_chosen(tmp_path):
    with pytest.raises(ValueError, match=r"no\.ttf"):
        draw_masks(np.zeros((60, 60, 3), dtype=np.uint8), [disc()], Style(font=tmp_path / "no.ttf"))


@pytest.mark.parametrize("style", [{"opacity": 5}, {"opacity": -0.1}, {"scale": 0}, {"scale": float("nan")}])
def test_styles_out_of_range(style):
    with pytest.raises(ValueError, match=next(iter(style))):
        Style(**style)
