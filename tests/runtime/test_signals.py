"""Signals that are deferred."""

import signal

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


def test_deferred_passes_on_what_ends_the_block():
    with pytest.raises(signals.Stopped), signals.deferred():
        signal.raise_signal(signal.SIGINT)
        raise signals.Stopped
