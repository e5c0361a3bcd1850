"""What the parts of the package hand to each other.

Dimension key, for every shape in the code and its documentation:

    B  images of a batch            H W    height and width; of what, the text says
    A  anchors of an image          Hp Wp  height and width of the prototypes (a quarter of the network input)
    C  foreground classes           Hs Ws  height and width of P3 (an eighth of the network input)
    K  prototypes                   N      instances

Boxes are (x1, y1, x2, y2) unless the name says otherwise. Inside the model, the losses and the detection they are
fractions of the network input; `yolact.instances.Instances`, at the border, has pixels of the original image.
"""

from dataclasses import dataclass, fields, replace

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Target:
    """The ground truth of one training image, crowds included."""

    boxes: Float[Tensor, "N 4"]
    """Fractions of the network input."""

    labels: Int[Tensor, " N"]
    """Foreground classes from 0. The label of a crowd is not used."""

    masks: Bool[Tensor, "N H W"]
    """At the size of the network input."""

    is_crowd: Bool[Tensor, " N"]
    """A region with many objects of a class: no anchor is matched to it, and none is called background for it."""


@dataclass(frozen=True, slots=True)
class RawOutput:
    """What the network computes for a batch, before any decision."""

    class_logits: Float[Tensor, "B A C1"]
    """C1 = C + 1: logit 0 is background; softmax turns them into probabilities."""

    box_deltas: Float[Tensor, "B A 4"]
    """Offsets from the anchors, see `yolact.boxes.decode`."""

    coefficients: Float[Tensor, "B A K"]
    """In -1..1 (tanh)."""

    prototypes: Float[Tensor, "B K Hp Wp"]
    """At least 0 (ReLU), unbounded."""

    anchors_cxcywh: Float[Tensor, "A 4"]
    """Center, width and height as fractions of the network input. The same for each image."""

    image_size: tuple[int, int]
    """(height, width) of the network input in pixels."""

    semantic_logits: Float[Tensor, "B C Hs Ws"] | None = None
    """Per-pixel classes for the training-only loss; None in evaluation mode."""

    def float(self) -> "RawOutput":
        """The same in float32, as losses and scores need it: bfloat16 has three digits."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: each.float() for name, each in tensors.items() if isinstance(each, Tensor)})


@dataclass(frozen=True, slots=True)
class Detections:
    """The best N candidates of each image, by descending score, padded to the same N for all of them."""

    boxes: Float[Tensor, "B N 4"]
    """Fractions of the network input, not clipped to 0..1."""

    scores: Float[Tensor, "B N"]
    """Class probabilities; 0 in padding."""

    labels: Int[Tensor, "B N"]
    """Foreground classes from 0."""

    coefficients: Float[Tensor, "B N K"]

    prototypes: Float[Tensor, "B K Hp Wp"]
    """Of the whole image. What makes a mask of them is in `yolact.detect.masks`."""

    mask_scores: Float[Tensor, "B N"]
    """`scores`, times the predicted mask IoU where the model has mask rescoring (YOLACT++); 0 in padding."""

    valid: Bool[Tensor, "B N"]
    """False in padding, which always comes last."""
