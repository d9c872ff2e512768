"""Progress of work that may take long: a bar on a terminal, a line now and then in a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

# Work that takes less shows nothing; in a log file, a line follows each time.
_QUIET_SECONDS = 2.0
_SECONDS_BETWEEN_LINES = 10.0

Item = TypeVar("Item")


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
    terminal = sys.stderr.isatty()
    shown = {"unit": " images", "delay": _QUIET_SECONDS, "leave": False}
    with tqdm(total=total, desc=description, disable=not terminal, **shown) as bar:
        written, done = time.monotonic(), 0
        for batch in batches:
            yield batch
            done = min(done + batch_size, total)
            bar.update(done - bar.n)
            if not terminal and time.monotonic() - written > _SECONDS_BETWEEN_LINES:
                print(f"{description}: {done:,} of {total:,} images", flush=True)
                written = time.monotonic()
