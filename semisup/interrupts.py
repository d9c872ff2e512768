"""Ctrl-C and SIGTERM, put off until it is safe to stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Inside, SIGINT and SIGTERM do nothing but be remembered.

    An exception in the middle of a TensorFlow call can abort the whole process, with
    nothing saved. Outside the main thread signals can't be had, and stay as they are.

    Yields:
        A function that tells whether a signal has come.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda n, _: received.append(n)) for number in numbers]
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
