"""Milliseconds of a block of code."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(times: list[float]) -> Iterator[None]:
    """Appends the milliseconds spent inside."""
    started = time.perf_counter()
    yield
    times.append(1e3 * (time.perf_counter() - started))
