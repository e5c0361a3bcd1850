"""Batches: which image comes when, with which random numbers, and how images become a batch."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from yolact.config import ModelConfig
from yolact.data.annotations import read_image
from yolact.data.coco import CocoDataset
from yolact.data.transforms import AugmentKind, augment
from yolact.pixels import to_network_input
from yolact.structures import Target

Key = tuple[int, int]
"""(epoch, index of the image): together with the seed, all that a training sample depends on."""


class TrainingSamples(Dataset[tuple[Tensor, Target]]):
    """Augmented samples. The same seed, epoch and index give the same sample, in any process."""

    def __init__(
        self, dataset: CocoDataset, config: ModelConfig, seed: int, kind: AugmentKind = "ssd", zoom_out: float = 4.0
    ) -> None:
        self.dataset, self.config, self.seed = dataset, config, seed
        self.kind: AugmentKind = kind
        self.zoom_out = zoom_out

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> tuple[Tensor, Target]:
        epoch, index = key
        for step in range(len(self)):
            try:
                sample = self.dataset[(index + step) % len(self)]
                break
            except ValueError as error:
                warnings.warn(f"{error}; the next image takes its place", stacklevel=2)
        else:
            raise ValueError(f"none of the {len(self)} training images can be read")
        with torch.random.fork_rng(devices=[]):
            # Of the CPU only: torch.manual_seed also queues a call for a GPU that may never be used.
            torch.default_generator.manual_seed(
                int(np.random.SeedSequence((self.seed, epoch, index)).generate_state(1)[0])
            )
            return augment(sample, self.config, self.kind, self.zoom_out)


class EpochSampler(Sampler[Key]):
    """Every image once an epoch, in an order that the seed and the epoch decide.

    Epochs are counted here, one each time the sampler is drawn from: Lightning's own count is one too high after a
    resumed run has come back from the end of an epoch. (Hence no `set_epoch`, which Lightning would call.)
    """

    def __init__(
        self, length: int, seed: int, rank: int = 0, replicas: int = 1, first_epoch: int = 0, skip_once: int = 0
    ) -> None:
        """
        Args:
            rank: this process draws the images at places rank, rank + replicas, ... of the common order.
            skip_once: of the first epoch that is drawn, leave out this many images: an interrupted run had them.
        """
        self.length, self.seed, self.rank, self.replicas = length, seed, rank, replicas
        self.next_epoch, self.skip_once = first_epoch, skip_once

    def __len__(self) -> int:
        return self.length // self.replicas

    def __iter__(self) -> Iterator[Key]:
        epoch, skip = self.next_epoch, self.skip_once
        self.next_epoch, self.skip_once = epoch + 1, 0
        order = np.random.default_rng((self.seed, epoch)).permutation(self.length)
        own = order[self.rank : len(self) * self.replicas : self.replicas]
        yield from ((epoch, int(index)) for index in own[skip:])


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
            pixels = torch.from_numpy(read_image(record.path, record.size))
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


def seed_worker(_: int) -> None:
    """Workers compute on one thread each: they are many, and the cores are the network's."""
    torch.set_num_threads(1)


def training_loader(
    samples: TrainingSamples, sampler: EpochSampler, batch_size: int, workers: int
) -> DataLoader[tuple[Tensor, Target]]:
    """Batches of full size only, unless there are fewer images than one batch takes."""
    return DataLoader(
        samples,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=len(sampler) >= batch_size,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=seed_worker,
        pin_memory=torch.cuda.is_available(),
    )


def evaluation_loader(samples: EvaluationSamples, batch_size: int, workers: int) -> DataLoader[EvaluationSample]:
    return DataLoader(
        samples,
        batch_size=batch_size,
        collate_fn=collate_evaluation,
        num_workers=workers,
        worker_init_fn=seed_worker,
    )
