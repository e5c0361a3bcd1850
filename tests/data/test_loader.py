from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthetic import write_dataset
from yolact.data.augmentation import Augmentation, AugmentKind
from yolact.data.coco import CocoDataset, DataConfig
from yolact.data.loader import (
    EpochBatches,
    EvaluationSamples,
    Key,
    Share,
    TrainingSamples,
    evaluation_batches,
    evaluation_loader,
    training_loader,
)
from yolact.presets import yolact_mobilenetv4

SIZE = (64, 96)
CONFIG = yolact_mobilenetv4(image_size=SIZE).with_classes(("disk", "box"))


@pytest.fixture
def dataset(tmp_path: Path) -> CocoDataset:
    return CocoDataset(DataConfig.read(write_dataset(tmp_path, images=5, size=(40, 50))).train)


def test_a_sample_depends_on_seed_epoch_and_index_only(dataset: CocoDataset) -> None:
    samples = TrainingSamples(dataset, CONFIG, seed=1)
    first = samples[(2, 3, SIZE)]
    torch.manual_seed(99)
    _ = samples[(0, 0, SIZE)]
    again = TrainingSamples(dataset, CONFIG, seed=1)[(2, 3, SIZE)]
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1].boxes, again[1].boxes)
    for other in (TrainingSamples(dataset, CONFIG, seed=2)[(2, 3, SIZE)], samples[(1, 3, SIZE)]):
        assert not torch.equal(first[0], other[0])


def test_global_random_numbers_are_left_alone(dataset: CocoDataset) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    _ = TrainingSamples(dataset, CONFIG, seed=1)[(0, 0, SIZE)]
    assert torch.equal(torch.rand(3), expected)


def epoch(length: int, batch_size: int, seed: int = 0, **options: Any) -> EpochBatches:
    share = {name: options.pop(name) for name in ("rank", "replicas", "accumulate") if name in options}
    done = options.pop("done", 0)
    return EpochBatches(length, seed, Share(batch_size, **share), SIZE, lambda: done, **options)


def indices(batches: list[list[Key]]) -> list[list[int]]:
    return [[index for _, index, _ in batch] for batch in batches]


def test_batches(dataset: CocoDataset) -> None:
    batches = list(training_loader(TrainingSamples(dataset, CONFIG, seed=0), epoch(5, 2), workers=0))
    assert len(batches) == 2
    for images, targets in batches:
        assert images.shape == (2, 3, *SIZE)
        assert len(targets) == 2


def test_workers_give_the_same_batches(dataset: CocoDataset) -> None:
    everything = Augmentation("jitter", mosaic=0.5, copy_paste=0.5)

    def batches(workers: int) -> list[torch.Tensor]:
        samples = TrainingSamples(dataset, CONFIG, 0, everything)
        return [images for images, _ in training_loader(samples, epoch(5, 2, multi_scale=0.5), workers)]

    for alone, parallel in zip(batches(0), batches(2), strict=True):
        assert torch.equal(alone, parallel)


class TestEpochBatches:
    def test_every_image_once_in_another_order_each_epoch(self) -> None:
        first, second = list(epoch(20, 4)), list(epoch(20, 4, done=5))
        assert sorted(i for batch in indices(first) for i in batch) == list(range(20))
        assert {e for batch in second for e, _, _ in batch} == {1}
        assert indices(first) != indices(second)

    @given(
        st.integers(1, 50),
        st.integers(1, 4),
        st.integers(1, 4),
        st.integers(1, 3),
        st.integers(0, 9),
        st.floats(0, 0.9),
    )
    def test_processes_share_the_batches_of_one(
        self, length: int, batch_size: int, replicas: int, accumulate: int, done: int, multi_scale: float
    ) -> None:
        options: dict[str, Any] = {"seed": 3, "accumulate": accumulate, "done": done, "multi_scale": multi_scale}
        whole = list(epoch(length, batch_size * replicas, **options))
        parts = [list(epoch(length, batch_size, rank=r, replicas=replicas, **options)) for r in range(replicas)]
        for i, batch in enumerate(whole):
            assert [key for keys in zip(*(part[i] for part in parts), strict=True) for key in keys] == batch

    @given(st.integers(1, 50), st.integers(1, 8), st.integers(1, 4))
    def test_an_epoch_is_whole_steps(self, length: int, batch_size: int, accumulate: int) -> None:
        sampler = epoch(length, batch_size, accumulate=accumulate)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert len(batches) % accumulate == 0
        assert all(len(batch) == batch_size for batch in batches)
        left_out = length - len({i for batch in indices(batches) for i in batch})
        assert left_out < batch_size * accumulate

    @given(st.integers(0, 25))
    def test_an_interrupted_run_goes_on(self, done: int) -> None:
        whole = [batch for started in range(0, 30, 5) for batch in epoch(10, 2, multi_scale=0.5, done=started)]
        this_epoch = list(epoch(10, 2, multi_scale=0.5, done=done))
        assert this_epoch == whole[done : done - done % 5 + 5]

    def test_an_epoch_begun_twice_is_the_same(self) -> None:
        batches = epoch(10, 2, done=5)
        assert list(batches) == list(batches)

    def test_sizes_vary_from_batch_to_batch(self) -> None:
        batches = list(epoch(400, 4, multi_scale=0.5))
        sizes = {size for batch in batches for _, _, size in batch}
        assert all(len({size for _, _, size in batch}) == 1 for batch in batches)
        assert {height for height, _ in sizes} == {64, 96}
        assert {width for _, width in sizes} == {64, 96, 128}
        assert len({size for batch in epoch(40, 4) for _, _, size in batch}) == 1


def test_an_unreadable_image_is_replaced_by_the_next(dataset: CocoDataset) -> None:
    path = dataset.records[1].path
    path.write_bytes(path.read_bytes()[:500])
    samples = TrainingSamples(dataset, CONFIG, seed=0, augmentation=Augmentation("none"))
    with pytest.warns(UserWarning, match=r"train002\.png cannot be used.*the next image takes its place"):
        image, _ = samples[(0, 1, SIZE)]
    assert torch.equal(image, samples[(0, 2, SIZE)][0])


def test_an_unreadable_image_counts_in_evaluation(dataset: CocoDataset) -> None:
    path = dataset.records[1].path
    path.write_bytes(path.read_bytes()[:500])
    with pytest.warns(UserWarning, match="counts as an image without detections"):
        batches = list(evaluation_loader(EvaluationSamples(dataset, CONFIG), 2, workers=0))
    assert [s.image_id for _, samples in batches for s in samples] == [1, 2, 3, 4, 5]
    assert batches[0][1][0].size == (40, 50)


@given(images=st.integers(1, 40), batch_size=st.integers(1, 9), replicas=st.integers(1, 7))
def test_processes_share_out_what_one_would_evaluate(images: int, batch_size: int, replicas: int) -> None:
    """Whole batches, each image in one of them, and as many for each process, or some would wait for the others."""
    alone = evaluation_batches(images, batch_size)
    assert [image for batch in alone for image in batch] == list(range(images))
    shares = [evaluation_batches(images, batch_size, rank, replicas) for rank in range(replicas)]
    assert len({len(share) for share in shares}) == 1
    assert {tuple(batch) for share in shares for batch in share} == set(map(tuple, alone))
    assert sum(map(len, shares)) < len(alone) + replicas


@pytest.mark.parametrize("kind", ["ssd", "none"])
def test_loader_processes_do_without_opencv(dataset: CocoDataset, kind: AugmentKind) -> None:
    """A fork does not take its threads along, and a process that then calls it may wait for them forever."""
    samples = TrainingSamples(dataset, CONFIG, 0, Augmentation(kind, mosaic=0.5, copy_paste=0.5))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("resize", "setNumThreads", "remap", "warpAffine", "cvtColor"):
            patch.setattr(f"cv2.{name}", None)
        assert len(list(training_loader(samples, epoch(5, 2), workers=1))) == 2
