"""An exponential moving average of the weights: what is validated and saved."""

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from yolact.model import Yolact
from yolact.training.module import TrainingModule


class AveragedWeights(WeightAveraging):
    """The average takes the place of the weights during validation.

    It forgets faster in the first steps: the random start should not linger in it.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(avg_fn=_Average(decay))

    @property
    def model(self) -> AveragedModel | None:
        """Averages of the whole module, during a fit."""
        return self._average_model

    def network(self) -> Yolact | None:
        """The averaged network, during a fit."""
        if self._average_model is None:
            return None
        assert isinstance(self._average_model.module, TrainingModule)
        return self._average_model.module.network


class _Average:
    """A class and no closure, as it travels to other processes."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, average: Tensor, current: Tensor, count: int | Tensor) -> Tensor:
        if not average.is_floating_point():
            return current  # batch norm's count of batches
        decay = min(self.decay, (1 + float(count)) / (10 + float(count)))
        return average.lerp(current, 1 - decay)
