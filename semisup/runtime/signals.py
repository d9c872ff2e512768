"""Ctrl-C and SIGTERM: alike everywhere, and put off where it is not safe to stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stopped(KeyboardInterrupt):
    """A run was stopped that had begun; what it had done is saved."""


def treat_alike() -> None:
    """From now on SIGTERM raises KeyboardInterrupt, as SIGINT does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def immediate() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM end the process at once.

    For a call that waits outside of Python, where it would not learn of them.
    """
    with _handled_by(signal.SIG_DFL):
        yield


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Inside, SIGINT and SIGTERM do nothing but be remembered.

    An exception in the middle of a TensorFlow call can abort the whole process, with
    nothing saved.

    Yields:
        A function that tells whether a signal has come.
    """
    received: list[int] = []
    with _handled_by(lambda number, _: received.append(number)):
        yield lambda: bool(received)


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    """Inside, both signals are; outside the main thread they can't be had, and stay as they are."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, earlier in zip(numbers, before, strict=True):
            signal.signal(number, earlier)
