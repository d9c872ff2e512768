"""How far a run is: Keras's progress bar on a terminal, plain lines in a log file."""

import sys
import time
from collections.abc import Mapping

import keras


class Progress:
    """Shows the step, the newest values and the time left.

    Args:
        first_step: the step at which the run begins or resumes.
        last_step: the step at which it will end.
        names: of the values that will be shown.
    """

    def __init__(self, first_step: int, last_step: int, names: tuple[str, ...]):
        self.first_step, self.last_step = first_step, last_step
        self.values: dict[str, float] = {}
        self.started = time.monotonic()
        self.bar = None
        if sys.stdout.isatty():
            self.bar = keras.utils.Progbar(
                last_step - first_step, unit_name="step", stateful_metrics=names
            )

    def update(self, step: int, values: Mapping[str, float] | None = None) -> None:
        """Note a finished step and, now and then, new values; moves the bar."""
        self.values.update(values or {})
        if self.bar:
            self.bar.update(step - self.first_step, list(self.values.items()))

    def warn(self, line: str) -> None:
        """A line of its own, in a log file as on a terminal."""
        print(f"{chr(10) if self.bar else ''}warning: {line}", flush=True)

    def write_line(self, step: int) -> None:
        """Where there is no bar: a line with the step, the values and the time left."""
        if self.bar:
            return
        words = [f"step {step}/{self.last_step}"]
        words += [f"{name} {value:.4g}" for name, value in self.values.items()]
        if step > self.first_step:
            elapsed = time.monotonic() - self.started
            left = elapsed / (step - self.first_step) * (self.last_step - step)
            words.append(f"{left / 60:.1f} min left")
        print("  ".join(words), flush=True)
