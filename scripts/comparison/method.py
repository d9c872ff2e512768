"""What a method of learning from unlabelled images is: a loss on a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from keras import ops

if TYPE_CHECKING:
    from comparison.model import ComparedModel

Tensor = Any

View = Literal["weak", "strong"]


class Rows(NamedTuple):
    """Rows of a batch, and what the model makes of them.

    Attributes:
        images: [n, ...], augmented.
        embedding: float32 [n, D].
        logits: float32 [n, classes].
    """

    images: Tensor
    embedding: Tensor
    logits: Tensor


class Batch(NamedTuple):
    """A batch as a method sees it.

    Attributes:
        labeled: A.
        labels: classes of A, int64 [N].
        unlabeled: B.
        view: the images of B, augmented otherwise, [M, ...]; [0, ...] if no method wants them.
        progress: the share of all training steps taken, float32 in [0, 1).
        seed: integers [2], others at each step, for random numbers.
    """

    labeled: Rows
    labels: Tensor
    unlabeled: Rows
    view: Tensor
    progress: Tensor
    seed: Tensor


@dataclass
class Method:
    """A loss on unlabelled rows, which is added to the classification loss.

    Its fields are the parameters, their defaults what was published.

    Attributes:
        paper: where it is from.
        view: the second view of B that it wants, if any.
        search: other parameters than the published ones to try on validation images.
    """

    paper: ClassVar[str] = ""
    view: ClassVar[View | None] = None
    search: ClassVar[Sequence[Mapping[str, float]]] = ()

    def change(self, config: dict[str, Any]) -> None:
        """Change the settings of the model, as `AssociativeModel.get_config` has them."""

    def build(self, model: "ComparedModel") -> list[Any]:
        """Make the method's own layers and variables, which become part of the model."""
        return []

    def loss(self, model: "ComparedModel", batch: Batch) -> Tensor:
        """The loss, with its weight, a float32 scalar."""
        raise NotImplementedError

    def after_step(self) -> None:
        """What follows a training step."""

    def evaluated(self) -> Sequence[tuple[Any, Any]]:
        """Variables of the model that have other values when it is evaluated, and these values."""
        return ()


def ramp_up(progress: Tensor, share: float) -> Tensor:
    """exp(-5 (1 - t)^2): from 0.7 % to 1 in this share of the steps (Laine and Aila, 2017)."""
    return ops.exp(-5.0 * (1.0 - ops.minimum(progress / share, 1.0)) ** 2)
