"""The optimizer of a run, by name."""

from typing import Any

import keras

from semisup.errors import InputError
from semisup.optimizers.freezing import LateAdam, late_variables
from semisup.optimizers.muon import Muon

OPTIMIZERS = ("adam", "muon")


def make_optimizer(
    name: str, learning_rate: Any, model: keras.Model, freeze_steps: int = 0, **options: Any
) -> keras.optimizers.Optimizer:
    """The optimizer called `name`.

    Args:
        name: "adam" or "muon".
        learning_rate: a number or a schedule.
        model: the `AssociativeModel` that it trains.
        freeze_steps: training steps for which the model's backbone is frozen, see
            `semisup.optimizers.freezing`.
        options: as those of keras.optimizers.Adam.

    Raises:
        InputError: there is no such optimizer.
    """
    if name not in OPTIMIZERS:
        raise InputError(f"unknown `optimizer` {name!r}; known: {', '.join(OPTIMIZERS)}")
    if freeze_steps > 0:
        options |= {"late": late_variables(model), "late_by": freeze_steps}
    if name == "muon":
        return Muon(learning_rate, **options)
    if freeze_steps > 0:
        return LateAdam(learning_rate, **options)
    return keras.optimizers.Adam(learning_rate, **options)
