import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from yolact.boxes import (
    cxcywh_to_xyxy,
    decode,
    encode,
    pairwise_coverage,
    pairwise_iou,
    window,
    xyxy_to_cxcywh,
)

SIDE = st.floats(0.01, 0.5)
PLACE = st.floats(-0.2, 1.2)


@given(PLACE, PLACE, SIDE, SIDE, PLACE, PLACE, SIDE, SIDE)
def test_decode_inverts_encode(x, y, w, h, anchor_x, anchor_y, anchor_w, anchor_h):
    box = cxcywh_to_xyxy(torch.tensor([[x, y, w, h]]))
    anchor = torch.tensor([[anchor_x, anchor_y, anchor_w, anchor_h]])
    torch.testing.assert_close(decode(encode(box, anchor), anchor), box, atol=1e-5, rtol=1e-4)


def test_encoding_of_the_original():
    anchor = torch.tensor([[0.5, 0.5, 0.2, 0.4]])
    deltas = encode(torch.tensor([[0.4, 0.3, 0.7, 0.8]]), anchor)
    torch.testing.assert_close(deltas, torch.tensor([[2.5, 1.25, 2.027325, 1.115718]]), atol=1e-5, rtol=0)
    box = decode(torch.tensor([[1.0, -2.0, 0.5, -1.0]]), anchor)
    torch.testing.assert_close(box, torch.tensor([[0.409483, 0.256254, 0.630517, 0.583746]]), atol=1e-6, rtol=0)


def test_a_box_without_area_is_encoded_finitely():
    assert encode(torch.tensor([[0.5, 0.5, 0.5, 0.5]]), torch.tensor([[0.5, 0.5, 0.2, 0.2]])).isfinite().all()


def test_formats():
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.9]])
    torch.testing.assert_close(xyxy_to_cxcywh(boxes), torch.tensor([[0.3, 0.55, 0.4, 0.7]]))
    torch.testing.assert_close(cxcywh_to_xyxy(xyxy_to_cxcywh(boxes)), boxes)


def test_iou_and_coverage():
    a = torch.tensor([[0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    b = torch.tensor([[1.0, 0.0, 3.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
    torch.testing.assert_close(pairwise_iou(a, b), torch.tensor([[2 / 6, 1.0], [0.0, 0.0]]))
    torch.testing.assert_close(pairwise_coverage(a, b), torch.tensor([[0.5, 1.0], [0.0, 0.0]]))


def test_window_keeps_one_pixel_beyond_the_box():
    kept = window(torch.tensor([0.23, 0.31, 0.58, 0.77]), (10, 10))
    rows, columns = kept.any(dim=1).nonzero()[:, 0], kept.any(dim=0).nonzero()[:, 0]
    assert (columns.tolist(), rows.tolist()) == ([2, 3, 4, 5, 6], [3, 4, 5, 6, 7, 8])
    assert int(kept.sum()) == 5 * 6


@pytest.mark.parametrize("box", [(1.2, 0.2, 1.4, 0.4), (-0.5, 0.0, -0.3, 1.0)])
def test_window_of_a_box_outside_is_empty(box):
    assert not window(torch.tensor(box), (10, 10)).any()
