"""Batches: which image comes when, with which random numbers, and how images become a batch."""

import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from yolact.config import ModelConfig
from yolact.data.augmentation import Augmentation
from yolact.data.coco import CocoDataset, Sample
from yolact.data.mixing import MOSAIC_PARTS, copy_paste, mosaic
from yolact.data.transforms import augment
from yolact.pixels import to_network_input
from yolact.structures import Target

Key = tuple[int, int, tuple[int, int]]
"""(epoch, index of the image, (height, width) of the view): with the seed, all that a training sample depends on."""

SIZE_STEP = 32
"""Sides that multi-scale training draws are multiples of it: the stride of C5."""


class TrainingSamples(Dataset[tuple[Tensor, Target]]):
    """Augmented samples. The same seed and key give the same sample, in any process."""

    def __init__(
        self, dataset: CocoDataset, config: ModelConfig, seed: int, augmentation: Augmentation | None = None
    ) -> None:
        """
        Args:
            augmentation: None takes the paper's.
        """
        self.dataset, self.config, self.seed = dataset, config, seed
        self.augmentation = augmentation or Augmentation()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> tuple[Tensor, Target]:
        epoch, index, size = key
        with torch.random.fork_rng(devices=[]):
            # Of the CPU only: torch.manual_seed also queues a call for a GPU that may never be used.
            torch.default_generator.manual_seed(
                int(np.random.SeedSequence((self.seed, epoch, index)).generate_state(1)[0])
            )
            view = self._view(index, size)
            if self.augmentation.copy_paste > 0 and torch.rand(()) < self.augmentation.copy_paste:
                view = copy_paste(view, augment(self._read(self._another()), self.config, self.augmentation, size))
            return view

    def _view(self, index: int, size: tuple[int, int]) -> tuple[Tensor, Target]:
        sample = self._read(index)
        if self.augmentation.mosaic > 0 and torch.rand(()) < self.augmentation.mosaic:
            others = [self._read(self._another()) for _ in range(MOSAIC_PARTS - 1)]
            return mosaic([sample, *others], self.config, self.augmentation, size)
        return augment(sample, self.config, self.augmentation, size)

    def _another(self) -> int:
        return int(torch.randint(len(self), ()))

    def _read(self, index: int) -> Sample:
        """The photograph with this index, or the first one after it that can be read."""
        for step in range(len(self)):
            try:
                return self.dataset[(index + step) % len(self)]
            except ValueError as error:
                warnings.warn(f"{error}; the next image takes its place", stacklevel=2)
        raise ValueError(f"none of the {len(self)} training images can be read")


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of each epoch this process trains on: of each batch, the images at places rank, rank + replicas, ...

    So that several processes together see the batches that one process with a larger batch would see.
    """

    batch_size: int
    """Images a batch, in this process."""

    rank: int = 0
    replicas: int = 1
    accumulate: int = 1
    """Batches an optimizer step."""

    def batches(self, length: int) -> int:
        """Batches an epoch of `length` images: whole steps only, unless there are fewer images than one takes."""
        return max(length // (self.batch_size * self.replicas * self.accumulate), 1) * self.accumulate


class EpochBatches(Sampler[list[Key]]):
    """Every image once an epoch, in an order that the seed and the epoch decide, in batches of one size of view.

    Which batch comes next follows from how many there were, and from nothing that is counted here: after a resumed run
    has come back from the end of an epoch, Lightning's count of epochs is one too high, and it begins the same epoch
    twice. (Hence no `set_epoch`, which Lightning would call.)
    """

    def __init__(
        self,
        length: int,
        seed: int,
        share: Share,
        image_size: tuple[int, int],
        done: Callable[[], int],
        multi_scale: float = 0.0,
    ) -> None:
        """
        Args:
            length: images of the data set.
            done: how many batches there were; asked when an epoch begins.
            multi_scale: sides of the views vary by up to this share of `image_size`, from batch to batch.
        """
        self.length, self.seed, self.share = length, seed, share
        self.image_size, self.done, self.multi_scale = image_size, done, multi_scale

    def __len__(self) -> int:
        return self.share.batches(self.length)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, skip = divmod(self.done(), len(self))
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(self.length)
        sizes = [self._size(random) for _ in range(len(self))]
        together = self.share.batch_size * self.share.replicas
        for batch in range(skip, len(self)):
            # Where images are fewer than a step takes, they come again.
            places = np.arange(batch * together + self.share.rank, (batch + 1) * together, self.share.replicas)
            yield [(epoch, int(order[place % self.length]), sizes[batch]) for place in places]

    def _size(self, random: np.random.Generator) -> tuple[int, int]:
        if self.multi_scale == 0:
            return self.image_size
        factor = random.uniform(1 - self.multi_scale, 1 + self.multi_scale)
        height, width = (max(round(side * factor / SIZE_STEP), 2) * SIZE_STEP for side in self.image_size)
        return height, width


@dataclass(frozen=True, slots=True)
class EvaluationSample:
    """A photograph as the network sees it, and what is needed to lead its detections back."""

    image: Float[Tensor, "3 h w"]
    image_id: int
    size: tuple[int, int]
    """(height, width) of the photograph."""


class EvaluationSamples(Dataset[EvaluationSample]):
    """Photographs prepared exactly as in prediction. One that cannot be read counts as gray, hence without objects."""

    def __init__(self, dataset: CocoDataset, config: ModelConfig) -> None:
        self.dataset, self.config = dataset, config

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> EvaluationSample:
        record = self.dataset.records[index]
        try:
            pixels = torch.from_numpy(self.dataset.read(record))
            image = to_network_input(pixels.permute(2, 0, 1), self.config)
        except ValueError as error:
            warnings.warn(f"{error}; it counts as an image without detections", stacklevel=2)
            image = torch.zeros(3, *self.config.image_size)
        return EvaluationSample(image, record.image_id, record.size)


def collate(samples: list[tuple[Tensor, Target]]) -> tuple[Float[Tensor, "B 3 h w"], list[Target]]:
    """Images become one tensor; targets stay a list, as images have different numbers of objects."""
    images, targets = zip(*samples, strict=True)
    return torch.stack(images), list(targets)


def collate_evaluation(
    samples: list[EvaluationSample],
) -> tuple[Float[Tensor, "B 3 h w"], list[EvaluationSample]]:
    return torch.stack([sample.image for sample in samples]), samples


def prepare_worker(_: int) -> None:
    """Workers compute on one thread each: they are many, and the cores are the network's.

    Signals that reach all processes of a run are for the first: it still needs batches until its step is done. Workers
    end when it does.
    """
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def training_loader(samples: TrainingSamples, batches: EpochBatches, workers: int) -> DataLoader[tuple[Tensor, Target]]:
    """Batches of full size only."""
    return DataLoader(
        samples,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=prepare_worker,
        pin_memory=torch.cuda.is_available(),
    )


def evaluation_batches(images: int, batch_size: int, rank: int = 0, replicas: int = 1) -> list[list[int]]:
    """The batches of one process, as indices of images; all processes together have each image.

    Whole batches are dealt out in turn, so that who measures an image changes no digit of what is found in it. As
    processes that train together have to take as many batches each, some get one that another has, too.
    """
    batches = [list(range(i, min(i + batch_size, images))) for i in range(0, images, batch_size)]
    return [batches[(i + rank) % len(batches)] for i in range(0, len(batches), replicas)]


def evaluation_loader(
    samples: EvaluationSamples, batch_size: int, workers: int, rank: int = 0, replicas: int = 1
) -> DataLoader[EvaluationSample]:
    return DataLoader(
        samples,
        batch_sampler=evaluation_batches(len(samples), batch_size, rank, replicas),
        collate_fn=collate_evaluation,
        num_workers=workers,
        worker_init_fn=prepare_worker,
    )
