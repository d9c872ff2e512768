"""Milliseconds of a block of code, and the peak of a process's memory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def timed(times: list[float]) -> Iterator[None]:
    """Appends the milliseconds spent inside."""
    started = time.perf_counter()
    yield
    times.append(1e3 * (time.perf_counter() - started))


def peak_mb() -> float:
    """The peak of this process's memory so far, in megabytes."""
    # Not `getrusage`, whose peak begins with that of the process that started this one.
    return _megabytes("VmHWM")


def memory_mb() -> float:
    """This process's memory now, in megabytes."""
    return _megabytes("VmRSS")


def _megabytes(name: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024
