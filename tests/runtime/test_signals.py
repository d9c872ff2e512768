"""Signals that are deferred."""

import signal

import pytest

from semisup.runtime import signals


def test_deferred_records_a_signal_and_gives_it_at_the_end():
    reached = []
    with pytest.raises(KeyboardInterrupt), signals.deferred() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        reached.append("the end of the block")
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_deferred_passes_on_what_ends_the_block():
    with pytest.raises(signals.Stopped), signals.deferred():
        signal.raise_signal(signal.SIGINT)
        raise signals.Stopped
