import pytest
import torch

from yolact import presets
from yolact.model.anchors import make_anchors

SIZES_550 = ((69, 69), (35, 35), (18, 18), (9, 9), (5, 5))
SIZES_400 = ((50, 50), (25, 25), (13, 13), (7, 7), (4, 4))
SIZES_700 = ((88, 88), (44, 44), (22, 22), (11, 11), (6, 6))


@pytest.mark.parametrize(
    ("preset", "sizes", "count", "center_sum", "side_sum"),
    [
        (presets.yolact_resnet101, SIZES_550, 19248, 9623.99998, 1301.42031),
        (presets.yolact_resnet50_pascal, SIZES_550, 19248, 9623.99998, 1735.22709),
        (presets.yolact_plus_resnet50, SIZES_550, 57744, 28871.99995, 5006.98319),
        (presets.yolact_resnet101_400, SIZES_400, 10077, 5038.5, 676.43694),
        (presets.yolact_resnet101_700, SIZES_700, 30963, 15481.49999, 2035.79648),
    ],
)
def test_anchors_of_the_original(preset, sizes, count, center_sum, side_sum):
    config = preset()
    anchors = make_anchors(config, sizes, config.image_size)
    assert anchors.shape == (count, 4)
    sums = anchors.double().sum(dim=0)
    torch.testing.assert_close(
        sums, torch.tensor([center_sum, center_sum, side_sum, side_sum]).double(), atol=1e-3, rtol=1e-7
    )


def test_first_and_last_rows_of_the_original():
    base = make_anchors(presets.yolact_resnet101(), SIZES_550, (550, 550))
    expected = [[0.00724638, 0.00724638, side, side] for side in (0.04363636, 0.03085557, 0.06171114)]
    torch.testing.assert_close(base[:3], torch.tensor(expected), atol=1e-7, rtol=0)
    torch.testing.assert_close(base[-1], torch.tensor([0.9, 0.9, 0.98737818, 0.98737818]), atol=1e-6, rtol=0)
    pascal = make_anchors(presets.yolact_resnet50_pascal(), SIZES_550, (550, 550))
    torch.testing.assert_close(pascal[1, 2:], torch.tensor([0.04114076, 0.08228152]), atol=1e-7, rtol=0)
    torch.testing.assert_close(pascal[-1], torch.tensor([0.9, 0.9, 1.31650424, 0.65825212]), atol=1e-6, rtol=0)
    plus = make_anchors(presets.yolact_plus_resnet101(), SIZES_550, (550, 550))
    torch.testing.assert_close(plus[-1], torch.tensor([0.9, 0.9, 1.56736517, 0.78368258]), atol=1e-6, rtol=0)


def test_a_wide_input_does_not_stretch_its_anchors():
    config = presets.yolact_efficientnet_lite0(image_size=(256, 512))
    anchors = make_anchors(config, ((32, 64), (16, 32), (8, 16), (4, 8), (2, 4)), config.image_size)
    width, height = anchors[0, 2] * 512, anchors[0, 3] * 256
    assert (float(width), float(height)) == pytest.approx((24, 24))
    torch.testing.assert_close(anchors[0, :2], torch.tensor([0.5 / 64, 0.5 / 32]))
