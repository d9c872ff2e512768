"""Signals that are deferred."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from semisup.runtime import signals


@pytest.fixture(autouse=True)
def ctrl_c():
    """SIGINT as a shell in the foreground gives it; in the background it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_deferred_only_records_a_signal():
    with signals.deferred() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_deferred_elsewhere_than_in_the_main_thread_changes_nothing():
    """Python lets only the main thread set handlers."""

    def look():
        with signals.deferred() as interrupted:
            return interrupted(), handlers()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(look).result(timeout=60) == (False, handlers())


def test_immediate_leaves_signals_to_the_system_and_takes_them_back():
    before = handlers()
    with signals.immediate():
        assert handlers() == [signal.SIG_DFL, signal.SIG_DFL]
    assert handlers() == before


def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_deferred_passes_on_what_ends_the_block():
    with pytest.raises(signals.Stopped), signals.deferred():
        signal.raise_signal(signal.SIGINT)
        raise signals.Stopped
