from pathlib import Path

import pytest
import torch

from synthetic import write_dataset
from yolact.data.coco import CocoDataset, DataConfig
from yolact.data.loader import (
    EpochSampler,
    EvaluationSamples,
    TrainingSamples,
    evaluation_loader,
    training_loader,
)
from yolact.presets import yolact_mobilenetv4

CONFIG = yolact_mobilenetv4(image_size=(64, 96)).with_classes(("disk", "box"))


@pytest.fixture
def dataset(tmp_path: Path) -> CocoDataset:
    return CocoDataset(DataConfig.read(write_dataset(tmp_path, images=5, size=(40, 50))).train)


def test_a_sample_depends_on_seed_epoch_and_index_only(dataset: CocoDataset) -> None:
    samples = TrainingSamples(dataset, CONFIG, seed=1)
    first = samples[(2, 3)]
    torch.manual_seed(99)
    _ = samples[(0, 0)]
    again = TrainingSamples(dataset, CONFIG, seed=1)[(2, 3)]
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1].boxes, again[1].boxes)
    for other in (TrainingSamples(dataset, CONFIG, seed=2)[(2, 3)], samples[(1, 3)]):
        assert not torch.equal(first[0], other[0])


def test_global_random_numbers_are_left_alone(dataset: CocoDataset) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    _ = TrainingSamples(dataset, CONFIG, seed=1)[(0, 0)]
    assert torch.equal(torch.rand(3), expected)


def test_batches(dataset: CocoDataset) -> None:
    loader = training_loader(TrainingSamples(dataset, CONFIG, seed=0), EpochSampler(5, seed=0), 2, workers=0)
    batches = list(loader)
    assert len(batches) == 2
    for images, targets in batches:
        assert images.shape == (2, 3, 64, 96)
        assert len(targets) == 2
    few = training_loader(TrainingSamples(dataset, CONFIG, seed=0), EpochSampler(5, seed=0), 8, workers=0)
    assert [len(images) for images, _ in few] == [5]


def test_workers_give_the_same_batches(dataset: CocoDataset) -> None:
    def batches(workers: int) -> list[torch.Tensor]:
        samples = TrainingSamples(dataset, CONFIG, seed=0)
        return [images for images, _ in training_loader(samples, EpochSampler(5, seed=0), 2, workers)]

    for alone, parallel in zip(batches(0), batches(2), strict=True):
        assert torch.equal(alone, parallel)


class TestEpochSampler:
    def test_every_image_once_in_another_order_each_epoch(self) -> None:
        sampler = EpochSampler(20, seed=0)
        first = list(sampler)
        second = list(sampler)
        assert sorted(i for _, i in first) == list(range(20))
        assert {epoch for epoch, _ in second} == {1}
        assert [i for _, i in first] != [i for _, i in second]

    def test_processes_share_the_images(self) -> None:
        parts = [[i for _, i in EpochSampler(21, seed=3, rank=rank, replicas=4)] for rank in range(4)]
        assert [len(part) for part in parts] == [5] * 4
        assert len({i for part in parts for i in part}) == 20

    def test_an_interrupted_epoch_goes_on(self) -> None:
        whole = list(EpochSampler(10, seed=0))
        rest = EpochSampler(10, seed=0, skip_once=4)
        assert list(rest) == whole[4:]
        assert list(rest) == list(EpochSampler(10, seed=0, first_epoch=1))


def test_an_unreadable_image_is_replaced_by_the_next(dataset: CocoDataset) -> None:
    path = dataset.records[1].path
    path.write_bytes(path.read_bytes()[:500])
    samples = TrainingSamples(dataset, CONFIG, seed=0, kind="none")
    with pytest.warns(UserWarning, match=r"train002\.png cannot be used.*the next image takes its place"):
        image, _ = samples[(0, 1)]
    assert torch.equal(image, samples[(0, 2)][0])


def test_an_unreadable_image_counts_in_evaluation(dataset: CocoDataset) -> None:
    path = dataset.records[1].path
    path.write_bytes(path.read_bytes()[:500])
    with pytest.warns(UserWarning, match="counts as an image without detections"):
        batches = list(evaluation_loader(EvaluationSamples(dataset, CONFIG), 2, workers=0))
    assert [s.image_id for _, samples in batches for s in samples] == [1, 2, 3, 4, 5]
    assert batches[0][1][0].size == (40, 50)
