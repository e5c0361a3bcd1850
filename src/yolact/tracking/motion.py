"""Where an object will be: a point that moves at a constant velocity, as a Kalman filter sees it.

Each coordinate of the point has a position x and a velocity v. Lengths are in multiples of the object's own size, since
a person close by moves and jitters by more pixels than one far away, and times in seconds, since frames may be dropped.
Both coordinates share one covariance P:

    predict      x ← x + v·t      P ← F P Fᵀ + a [[t³/3, t²/2], [t²/2, t]]      F = [[1, t], [0, 1]]
    correct      (x, v) ← (x, v) + (z − x) K      P ← P − K P₀      K = P₀ / (P₀₀ + r)

where t is the time that passed, z the observed position, and P₀ the first row of P.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

JITTER = 0.05**2
"""r: the variance of an observed position, in sizes²."""

START = 1.5**2
"""The variance of a velocity that nobody has seen yet, in sizes² a second²: a walker moves by his height a second."""

AGILITY = 8.0
"""a: how fast the velocity's variance grows while nobody looks, in sizes² a second³."""


@dataclass
class Motion:
    """The movement of one object. Positions and sizes are fractions of the frame's width and height."""

    position: Float64[np.ndarray, "2"]
    size: Float64[np.ndarray, "2"]
    velocity: Float64[np.ndarray, "2"]
    """A second."""

    covariance: Float64[np.ndarray, "2 2"]
    """P, in the object's sizes."""

    @classmethod
    def start(cls, position: Float64[np.ndarray, "2"], size: Float64[np.ndarray, "2"]) -> "Motion":
        return cls(position.copy(), size.copy(), np.zeros(2), np.diag([JITTER, START]))

    def predict(self, seconds: float) -> None:
        """Move on."""
        step = np.array([[1.0, seconds], [0.0, 1.0]])
        growth = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
        self.position = self.position + self.velocity * seconds
        self.covariance = step @ self.covariance @ step.T + AGILITY * growth

    def correct(self, position: Float64[np.ndarray, "2"], size: Float64[np.ndarray, "2"]) -> None:
        """Learn from where it was seen."""
        gain = self.covariance[0] / (self.covariance[0, 0] + JITTER)
        surprise = position - self.position
        self.position = self.position + gain[0] * surprise
        self.velocity = self.velocity + gain[1] * surprise
        self.covariance = self.covariance - np.outer(gain, self.covariance[0])
        self.size = size.copy()

    @property
    def spread(self) -> float:
        """How far off the predicted position may be: one standard deviation, in sizes."""
        return float(np.sqrt(self.covariance[0, 0] + JITTER))
