from dataclasses import replace

import pytest

from yolact.presets import yolact_resnet101, yolact_resnet101_400, yolact_resnet101_700


def test_anchors_follow_the_size_of_the_input() -> None:
    """As in the original's configurations for 400 and 700 pixels, which round down."""
    for other in (yolact_resnet101_400(), yolact_resnet101_700()):
        scaled = yolact_resnet101().at_size(other.image_size)
        assert scaled.image_size == other.image_size
        for ours, theirs in zip(scaled.anchor_scales, other.anchor_scales, strict=True):
            assert all(0 <= a - b < 1.05 for a, b in zip(ours, theirs, strict=True))


def test_the_same_size_changes_nothing() -> None:
    assert yolact_resnet101().at_size((550, 550)) == yolact_resnet101()


@pytest.mark.parametrize("std", [0, -1.5, float("nan"), float("inf")])
def test_a_scale_of_pixels_that_nothing_can_be_divided_by_is_refused(std: float | int) -> None:
    with pytest.raises(ValueError, match="give finite numbers, and a std above 0"):
        replace(yolact_resnet101(), pixel_std=(58.4, std, 57.38))
