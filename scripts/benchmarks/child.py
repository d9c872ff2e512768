"""A process of its own for a measurement."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from semisup.errors import InputError


def output_of(what: str, words: Sequence[str], folder: Path | None = None) -> str:
    """What Python prints on standard output, given these words.

    Args:
        what: the part of the benchmark and its size, for the error.
        words: of the command line, after the interpreter.
        folder: where to run it; here by default.

    Raises:
        InputError: it failed.
    """
    result = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, errors="replace"
    )
    if result.returncode == 0:
        return result.stdout
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    said = lines[-1].strip().removeprefix("error: ") if lines else "nothing on standard error"
    # By the kernel, as a rule.
    why = ", perhaps for want of memory" if result.returncode == -signal.SIGKILL else ""
    raise InputError(f"the part {what} failed (status {result.returncode}{why}): {said}")
