"""Optimizers, and learning rates over the steps of a run."""

import math
from collections.abc import Callable, Iterable

from torch import nn, optim

from yolact.training.config import TrainConfig

REFERENCE_BATCH = 8
"""The paper's batch, which learning rates refer to."""

WARMUP_FROM = 0.1
"""The share of the learning rate that warm-up starts from: the original's 1e-4 of 1e-3."""

LONGEST_WARMUP = 0.1
"""As a share of the run: the original's 500 steps would be the whole of a short one."""

COSINE_END = 0.01
"""The share of the learning rate that a cosine ends at."""


def learning_rate(config: TrainConfig, devices: int = 1) -> float:
    """The learning rate for the batch that is really used, all devices together (linear scaling)."""
    rate = config.learning_rate
    if rate is None:
        rate = 1e-3 if config.optimizer == "sgd" else 2e-4
    return rate * config.images * config.accumulate * devices / REFERENCE_BATCH


def share_of_rate(config: TrainConfig, steps: int) -> Callable[[int], float]:
    """What the learning rate is multiplied with at each step of a run of `steps`."""
    warmup = min(config.warmup_steps, int(steps * LONGEST_WARMUP))

    def share(step: int) -> float:
        if step < warmup:
            return WARMUP_FROM + (1 - WARMUP_FROM) * step / warmup
        if config.schedule == "cosine":
            progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
            return COSINE_END + (1 - COSINE_END) * (1 + math.cos(math.pi * progress)) / 2
        return 0.1 ** sum(step >= at * steps for at in config.decay_at)

    return share


def build_optimizer(parameters: Iterable[nn.Parameter], config: TrainConfig, rate: float) -> optim.Optimizer:
    """SGD with momentum as in the paper, or AdamW. Frozen parameters are left out.

    SGD decays every parameter, as the original does; AdamW only those of more than one dimension.
    """
    trained = [p for p in parameters if p.requires_grad]
    decay = config.weight_decay
    if config.optimizer == "sgd":
        return optim.SGD(trained, lr=rate, momentum=0.9, weight_decay=5e-4 if decay is None else decay)
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": 0.05 if decay is None else decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return optim.AdamW(groups, lr=rate)
