"""SIGINT (Ctrl-C) and SIGTERM: handled the same, and deferred where it is not safe to stop."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Stopped(KeyboardInterrupt):
    """A signal stopped a run in training; its last step is saved.

    Args:
        result: what the run ended with, if the signal came after its last step.
    """

    def __init__(self, result: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.result = result


def treat_alike() -> None:
    """Have SIGTERM raise KeyboardInterrupt, as SIGINT does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def immediate() -> Iterator[None]:
    """A context in which SIGINT and SIGTERM end the process at once.

    For a call that waits outside of Python, whose handlers would not run until it returns.
    """
    with _handled_by(signal.SIG_DFL):
        yield


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """A context in which SIGINT and SIGTERM are only recorded.

    An exception in the middle of a TensorFlow call can abort the whole process, with
    nothing saved.

    Yields:
        A function that returns whether a signal was received.
    """
    received: list[int] = []
    with _handled_by(lambda number, _: received.append(number)):
        yield lambda: bool(received)


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    """Set both signals' handler; in threads other than the main one, which can't, do nothing."""
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
