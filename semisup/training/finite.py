"""Losses and weights that are no longer finite: where it began, in one line."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semisup.errors import InputError

# Steps after which `LossWatch` looks at the latest, which bounds how many it keeps.
_LOOK_EVERY = 100


class LossWatch:
    """Finds the loss that was the first to be no number, and its step.

    A bad loss spoils the weights, hence all losses of the next step; and what a step reports
    is a mean since the last entry, in which one bad number is seen from then on. So each step's
    report is kept, as it is on its device, and read only if a later one is bad: to read every
    step's would make a GPU wait for the processor.

    Args:
        logdir: the run's folder, for the error.
    """

    def __init__(self, logdir: Path):
        self._logdir = logdir
        self._unread: list[tuple[int, Mapping[str, Any]]] = []

    def add(self, step: int, logs: Mapping[str, Any]) -> None:
        """Keep what a step reported: scalar tensors by name; now and then, `look`."""
        self._unread.append((step, logs))
        if len(self._unread) >= _LOOK_EVERY:
            self.look()

    def look(self) -> None:
        """Judge the steps since the last look.

        Raises:
            InputError: a number in them is not finite. Names the first step that has one, and
                of that step the loss terms, or else whatever is bad.
        """
        if self._unread and not _bad(self._unread[-1][1]):
            self._unread.clear()
        for step, logs in self._unread:
            terms = {name: value for name, value in logs.items() if name.endswith("_loss")}
            check_finite(terms, step, self._logdir)
            check_finite(logs, step, self._logdir)


def check_finite(values: Mapping[str, Any], step: int, logdir: Path) -> None:
    """Raises InputError that names those of the values that are not finite, and the step."""
    if bad := _bad(values):
        raise InputError(
            f"{', '.join(bad)} no longer finite at step {step}; the last good checkpoint is in "
            f"{logdir}; try a lower --learning_rate or other loss weights"
        )


def _bad(values: Mapping[str, Any]) -> list[str]:
    return [name for name, value in values.items() if not math.isfinite(value)]
