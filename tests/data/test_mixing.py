import pytest
import torch

from synthetic import write_dataset
from yolact.data.augmentation import Augmentation
from yolact.data.coco import CocoDataset, DataConfig, Sample, mask_bounds
from yolact.data.mixing import copy_paste, mosaic
from yolact.presets import yolact_mobilenetv4
from yolact.structures import Target

CONFIG = yolact_mobilenetv4(image_size=(96, 128)).with_classes(("disk", "box"))
PLAIN = Augmentation("none")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    dataset = CocoDataset(DataConfig.read(write_dataset(tmp_path_factory.mktemp("data"), images=4)).train)
    return [dataset[i] for i in range(4)]


def view(*boxes: tuple[int, int, int, int], value: float, crowd: bool = False) -> tuple[torch.Tensor, Target]:
    """Filled boxes (x1, y1, x2, y2) on a picture of 40 x 40."""
    masks = torch.zeros(len(boxes), 40, 40, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    target = Target(
        torch.tensor(boxes).reshape(-1, 4) / 40,
        torch.arange(len(boxes)),
        masks,
        torch.full((len(boxes),), crowd),
    )
    return torch.full((3, 40, 40), float(value)), target


class TestMosaic:
    def test_has_the_objects_of_all_four_where_they_are_seen(self, samples: list[Sample]) -> None:
        torch.manual_seed(0)
        image, target = mosaic(samples, CONFIG, PLAIN)
        assert image.shape == (3, 96, 128)
        assert sorted(target.labels.tolist()) == sorted(label for s in samples for label in s.labels.tolist())
        error = (mask_bounds(target.masks) - target.boxes * torch.tensor([128, 96] * 2)).abs()
        assert (error < 1.5).all()
        ground = image[:, ~target.masks.any(0)].mean()
        assert all(image[:, mask].mean(1).max() > ground + 0.5 for mask in target.masks)

    def test_the_four_meet_at_a_random_point(self, samples: list[Sample]) -> None:
        whites = [
            Sample(torch.full((3, 50, 50), v, dtype=torch.uint8), *_nothing(), image_id=1) for v in (0, 90, 170, 255)
        ]
        seen = set()
        for seed in range(8):
            torch.manual_seed(seed)
            image, _ = mosaic(whites, CONFIG, PLAIN, (60, 80))
            tones = (image[0] * 100).round()
            values = tones.unique()
            assert len(values) == 4
            assert tones[0, 0] == values[0]
            assert tones[-1, -1] == values[3]
            seen.add((int((tones[:, 0] == values[0]).sum()), int((tones[0] == values[0]).sum())))
        assert len(seen) > 4
        assert all(18 <= row <= 42 and 24 <= column <= 56 for row, column in seen)


def _nothing() -> tuple[torch.Tensor, ...]:
    no_masks = torch.zeros(0, 50, 50, dtype=torch.bool)
    return torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), no_masks, torch.zeros(0, dtype=torch.bool)


class TestCopyPaste:
    def paste(self, below: tuple[torch.Tensor, Target], above: tuple[torch.Tensor, Target]) -> tuple:
        """With luck: the seed that pastes everything."""
        for seed in range(50):
            torch.manual_seed(seed)
            if (torch.rand(len(above[1].labels)) < 0.5).all():
                torch.manual_seed(seed)
                return copy_paste(below, above)
        raise AssertionError

    def test_what_is_pasted_covers_what_is_behind(self) -> None:
        image, target = self.paste(view((0, 0, 20, 20), (30, 30, 40, 40), value=1), view((10, 0, 25, 20), value=2))
        assert (image[:, 0:20, 10:25] == 2).all()
        assert (image == 2).sum() == 3 * 15 * 20
        assert (target.boxes * 40).tolist() == [[0, 0, 10, 20], [30, 30, 40, 40], [10, 0, 25, 20]]
        assert target.masks.sum((1, 2)).tolist() == [200, 100, 300]
        assert target.labels.tolist() == [0, 1, 0]

    def test_what_is_hidden_is_left_out(self) -> None:
        _, target = self.paste(view((0, 0, 20, 20), value=1), view((0, 0, 19, 20), value=2))
        assert (target.boxes * 40).tolist() == [[0, 0, 19, 20]]

    def test_crowds_are_not_pasted(self) -> None:
        below = view((0, 0, 20, 20), value=1)
        for seed in range(10):
            torch.manual_seed(seed)
            image, target = copy_paste(below, view((5, 5, 30, 30), value=2, crowd=True))
            assert (image == 1).all()
            assert len(target.labels) == 1

    def test_onto_and_from_nothing(self) -> None:
        assert len(self.paste(view(value=1), view((5, 5, 30, 30), value=2))[1].labels) == 1
        assert len(copy_paste(view((5, 5, 30, 30), value=2), view(value=1))[1].labels) == 1

    def test_an_untouched_box_keeps_its_precision(self) -> None:
        image, target = view((0, 0, 5, 5), value=1)
        fine = Target(torch.tensor([[0.001, 0.002, 0.1234, 0.1235]]), target.labels, target.masks, target.is_crowd)
        _, joined = self.paste((image, fine), view((20, 20, 30, 30), value=2))
        assert torch.equal(joined.boxes[0], fine.boxes[0])
