"""Show the progress of long work: a bar on a terminal, occasional lines in a log file."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

from tqdm import tqdm

# Work that takes less shows nothing on a terminal.
_QUIET_SECONDS = 2.0

# In a log file a line follows each time, whatever the process does: there is one clock for all.
# A little below the ten seconds that are promised, for a step or a batch takes time too.
SECONDS_BETWEEN_LINES = 8.0
_written = time.monotonic()

Item = TypeVar("Item")


def write_line(line: str) -> None:
    """Print a line, at once, above any bar."""
    global _written
    with tqdm.external_write_mode():
        print(line, flush=True)
    _written = time.monotonic()


def is_line_due() -> bool:
    """Whether no line has been written for long."""
    return time.monotonic() - _written > SECONDS_BETWEEN_LINES


def shows_bar(stream: TextIO) -> bool:
    """Whether a bar can be seen: on a terminal, but not on one that claims to have no columns."""
    if not stream.isatty():
        return False
    try:
        return os.get_terminal_size(stream.fileno()).columns > 0
    except (OSError, AttributeError):  # a window of a program's own
        return True


def tracked(
    batches: Iterable[Item], total: int, batch_size: int, description: str
) -> Iterator[Item]:
    """Yield the batches and show how many images are done.

    Args:
        batches: what to go through.
        total: images in all of them.
        batch_size: images in each but the last.
        description: what is being done, for instance "decoding".
    """
    terminal = shows_bar(sys.stderr)
    shown = {"unit": " images", "delay": _QUIET_SECONDS, "leave": False}
    with tqdm(total=total, desc=description, disable=not terminal, **shown) as bar:
        done = 0
        for batch in batches:
            yield batch
            done = min(done + batch_size, total)
            bar.update(done - bar.n)
            if not terminal and done < total and is_line_due():
                write_line(f"{description}: {done:,} of {total:,} images")
