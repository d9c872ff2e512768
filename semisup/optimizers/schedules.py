"""Values that change with the training step: loss weights and learning rates.

Both are Keras schedules: they are called with a step, and saved with a model. A loss weight
grows by an `Envelope`; a learning rate falls by `StepDecay`, or by Keras's `CosineDecay` after
a warm-up.
"""

import numbers
from typing import Any

import keras
from keras import ops

from semisup.errors import InputError, check_known
from semisup.runtime.arguments import whole_number

ENVELOPES = ("none", "sigmoid", "linear")


@keras.saving.register_keras_serializable(package="semisup")
class Envelope(keras.optimizers.schedules.LearningRateSchedule):
    """A loss weight that grows from 0 to its final value, as in the authors' trainer.

    With t = step - delay, the value is final_weight times
        none:     1, from the first step on, whatever `steps` and `delay` are
        linear:   t / steps, clipped to [0, 1]
        sigmoid:  (1 + tanh(5 (t / steps - 1/2))) / 2: 0.7 % at t = 0, 99.3 % at t = steps

    The authors' sigmoid counts the delay twice; here, as in their linear one, it counts once.

    Args:
        final_weight: the value at the end, at least 0.
        kind: "none", "sigmoid" or "linear"; by default "linear" if `steps` or `delay` is given,
            else "none".
        steps: training steps of the growth, after the delay, at least 1.
        delay: training steps before the growth, at least 0.

    Raises:
        InputError: an argument is outside its range.

    Examples:
        >>> weight = semisup.Envelope(0.5, kind="linear", steps=100, delay=50)
        >>> [float(weight(step)) for step in (0, 50, 100, 150, 900)]
        [0.0, 0.0, 0.25, 0.5, 0.5]
    """

    def __init__(
        self, final_weight: float, kind: str | None = None, steps: int = 1, delay: int = 0
    ):
        super().__init__()
        self.steps: int = whole_number("steps", steps, minimum=1)
        self.delay: int = whole_number("delay", delay, minimum=0)
        if kind is None:
            kind = "none" if (self.steps, self.delay) == (1, 0) else "linear"
        check_known("envelope", kind, ENVELOPES)
        if not isinstance(final_weight, numbers.Real) or not final_weight >= 0:
            raise InputError(f"`final_weight` is {final_weight!r}; it must be a number, at least 0")
        self.final_weight: float = final_weight
        self.kind: str = kind

    def __call__(self, step: Any) -> Any:
        """The weight at `step` (a number or a scalar tensor), float32."""
        with keras.name_scope("Envelope"):
            grown = (ops.cast(step, "float32") - self.delay) / self.steps
            if self.kind == "linear":
                share = ops.clip(grown, 0.0, 1.0)
            elif self.kind == "sigmoid":
                share = (1.0 + ops.tanh(5.0 * (grown - 0.5))) / 2.0
            else:
                share = ops.ones_like(grown)
            return self.final_weight * share

    def get_config(self) -> dict[str, Any]:
        return {
            "final_weight": self.final_weight,
            "kind": self.kind,
            "steps": self.steps,
            "delay": self.delay,
        }


@keras.saving.register_keras_serializable(package="semisup")
class StepDecay(keras.optimizers.schedules.ExponentialDecay):
    """The authors' learning rate: multiplied by `decay_rate` every `decay_steps`, to a minimum.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: steps between two drops.
        decay_rate: the factor of each drop.
        minimum: the lowest rate.
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float, minimum: float
    ):
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase=True)
        self.minimum = minimum

    def __call__(self, step: Any) -> Any:
        """The learning rate at `step`, a float32 scalar."""
        return ops.maximum(super().__call__(step), self.minimum)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["staircase"], config["name"]
        return {**config, "minimum": self.minimum}


def cosine_with_warmup(
    peak: float, total_steps: int, warmup_steps: int = 0, minimum: float = 0.0
) -> keras.optimizers.schedules.CosineDecay:
    """A linear rise from 0 to `peak`, then half a cosine down to `minimum`.

    Args:
        peak: the largest learning rate, reached at `warmup_steps`; above 0.
        total_steps: the step at which `minimum` is reached; more than `warmup_steps`.
        warmup_steps: steps of the rise; 0 starts at the peak.
        minimum: the last learning rate, at least 0; above `peak` the rate rises to it.

    Raises:
        InputError: the warm-up does not end before the last step, or a rate is out of its range.
    """
    if not peak > 0 or not minimum >= 0:
        raise InputError(f"`peak` is {peak}, `minimum` {minimum}; wanted above 0 and at least 0")
    if not 0 <= warmup_steps < total_steps:
        raise InputError(
            f"the learning rate's warm-up of {warmup_steps} steps must end before the last "
            f"step, {total_steps}"
        )
    decay_steps = total_steps - warmup_steps
    if warmup_steps == 0:
        return keras.optimizers.schedules.CosineDecay(peak, decay_steps, alpha=minimum / peak)
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps, alpha=minimum / peak, warmup_target=peak, warmup_steps=warmup_steps
    )
