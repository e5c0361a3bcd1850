"""How many prototypes there really are among k: what they span, how alike they are, which are used."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from yolact.instances import Instances

ENERGY = 0.99
DEAD = 1e-3
"""A prototype that spreads less than this share of the widest one shows nothing."""

Prototypes = Float[np.ndarray, "K n"]
"""A row each, over the cells of one image or of many."""


def effective_rank(singular_values: Float[np.ndarray, " K"]) -> float:
    """exp of the entropy of the singular values (Roy and Vetterli 2007): k if all are equal, 1 if only one is not 0."""
    total = singular_values.sum()
    if total == 0:
        return 0.0
    shares = singular_values[singular_values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def rank_of_energy(singular_values: Float[np.ndarray, " K"], energy: float = ENERGY) -> int:
    """How many of the largest singular values hold this share of the sum of squares."""
    squares = np.sort(singular_values)[::-1] ** 2
    if squares.sum() == 0:
        return 0
    return int(np.searchsorted(np.cumsum(squares) / squares.sum(), energy * (1 - 1e-12)) + 1)


def is_alive(prototypes: Prototypes) -> np.ndarray:
    """(K,) bool: those that spread over the cells."""
    spread = prototypes.std(axis=1)
    return spread > DEAD * max(spread.max(initial=0.0), 1e-12)


def correlations(prototypes: Prototypes) -> Float[np.ndarray, "L L"]:
    """Pearson's, between the prototypes that are alive."""
    alive = prototypes[is_alive(prototypes)].astype(np.float64)
    if len(alive) == 0:
        return np.zeros((0, 0))
    centered = alive - alive.mean(axis=1, keepdims=True)
    unit = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    return unit @ unit.T


def mean_correlation(matrix: Float[np.ndarray, "L L"]) -> float:
    """The mean of its absolute values beside the diagonal; 0 for a single prototype."""
    if len(matrix) < 2:
        return 0.0
    return float(np.abs(matrix[~np.eye(len(matrix), dtype=bool)]).mean())


def nearest_twin(matrix: Float[np.ndarray, "L L"]) -> float:
    """The mean over prototypes of the largest absolute correlation with another one."""
    if len(matrix) < 2:
        return 0.0
    return float((np.abs(matrix) - np.eye(len(matrix))).max(axis=1).mean())


def effective_number(weights: Float[np.ndarray, "N K"]) -> float:
    """exp of the entropy of each row's shares, averaged: how many prototypes an instance mixes. NaN without rows."""
    return float(np.mean([effective_rank(np.abs(row)) for row in weights])) if len(weights) else float("nan")


def measure(found: Mapping[int, Instances], score_threshold: float = 0.3) -> dict[str, Any]:
    """All of the above, of the photographs of a data set together.

    Args:
        found: the instances of each photograph, by its id, with their prototypes.
        score_threshold: of the instances whose coefficients count.
    """
    flat = [instances.prototypes.reshape(len(instances.prototypes), -1) for instances in found.values()]
    prototypes = np.concatenate(flat, axis=1).astype(np.float64)
    singular_values = spectrum(prototypes)
    matrix = correlations(prototypes)
    sure = np.concatenate([i.coefficients[i.scores > score_threshold] for i in found.values()])
    spread = prototypes.std(axis=1)
    usage = np.abs(sure).mean(axis=0) * spread if len(sure) else np.zeros(len(spread))
    return {
        "singular_values": singular_values.tolist(),
        "effective_rank": effective_rank(singular_values),
        "rank_99": rank_of_energy(singular_values),
        "rank_99_of_an_image": float(np.mean([rank_of_energy(spectrum(each)) for each in flat])),
        "mean_correlation": mean_correlation(matrix),
        "nearest_twin": nearest_twin(matrix),
        "dead": 1 - float(is_alive(prototypes).mean()),
        "correlation_matrix": np.round(matrix, 3).tolist(),
        "mean_coefficient": float(np.abs(sure).mean()) if len(sure) else float("nan"),
        "usage": usage.tolist(),
        "mixed": effective_number(np.abs(sure) * spread),
        "instances": len(sure),
    }


def spectrum(prototypes: Prototypes) -> Float[np.ndarray, " K"]:
    """Singular values of the prototypes less their means: through K times K products, as n is large."""
    centered = prototypes - prototypes.mean(axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(centered @ centered.T)[::-1]
    return np.sqrt(np.maximum(eigenvalues, 0.0))


def of_rank(instances: Instances, basis: Float[np.ndarray, "K r"], means: Float[np.ndarray, " K"]) -> Instances:
    """The same instances, their prototypes projected on a few directions: what is lost when fewer are there.

    Args:
        basis: orthonormal columns, see `directions`.
        means: of each prototype, which stay.
    """
    from dataclasses import replace

    prototypes = instances.prototypes
    flat = prototypes.reshape(len(prototypes), -1) - means[:, None]
    projected = basis @ (basis.T @ flat) + means[:, None]
    return replace(instances, prototypes=projected.reshape(prototypes.shape).astype(np.float32))


def directions(found: Mapping[int, Instances]) -> tuple[Float[np.ndarray, "K K"], Float[np.ndarray, " K"]]:
    """The principal directions of the prototypes of all photographs, as columns, the widest first; and the means."""
    flat = [i.prototypes.reshape(len(i.prototypes), -1) for i in found.values()]
    prototypes = np.concatenate(flat, axis=1).astype(np.float64)
    means = prototypes.mean(axis=1)
    centered = prototypes - means[:, None]
    return np.linalg.eigh(centered @ centered.T)[1][:, ::-1], means
