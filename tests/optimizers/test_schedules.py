import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup.errors import InputError
from semisup.optimizers.schedules import Envelope, StepDecay, cosine_with_warmup


def values(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_envelope_none_is_constant():
    assert values(Envelope(0.5), [0, 1, 10_000]) == [0.5, 0.5, 0.5]


def test_envelope_linear_counts_the_delay_once():
    envelope = Envelope(2.0, "linear", steps=100, delay=500)
    got = values(envelope, [0, 500, 525, 600, 601, 10_000])
    np.testing.assert_allclose(got, [0.0, 0.0, 0.5, 2.0, 2.0, 2.0])


def test_envelope_sigmoid_counts_the_delay_once():
    envelope = Envelope(2.0, "sigmoid", steps=100, delay=500)
    wanted = [1 + math.tanh(5 * (t / 100 - 0.5)) for t in (-500, 0, 30, 50, 100, 300)]
    got = values(envelope, [0, 500, 530, 550, 600, 800])
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    assert got[3] == pytest.approx(1.0)  # half of the final weight, half way
    assert got[4] == pytest.approx(2.0 * 0.99331, rel=1e-4)


def test_step_decay_falls_to_its_minimum():
    schedule = StepDecay(1e-3, decay_steps=5000, decay_rate=0.33, minimum=1e-4)
    got = values(schedule, [0, 4999, 5000, 9999, 10_000, 15_000, 1_000_000])
    np.testing.assert_allclose(got, [1e-3, 1e-3, 3.3e-4, 3.3e-4, 1.089e-4, 1e-4, 1e-4], rtol=1e-5)


def test_cosine_rises_then_falls_to_the_minimum():
    schedule = cosine_with_warmup(3e-3, total_steps=1100, warmup_steps=100, minimum=1e-5)
    wanted = [0.0, 1.5e-3, 3e-3, (3e-3 + 1e-5) / 2, 1e-5, 1e-5]
    np.testing.assert_allclose(values(schedule, [0, 50, 100, 600, 1100, 5000]), wanted, rtol=1e-4)


def test_cosine_without_warmup_starts_at_the_peak():
    schedule = cosine_with_warmup(1e-3, total_steps=10, minimum=1e-5)
    wanted = [1e-3, 5.05e-4, 1e-5, 1e-5]
    np.testing.assert_allclose(values(schedule, [0, 5, 10, 99]), wanted, rtol=1e-4)


@pytest.mark.parametrize(
    "schedule", [Envelope(0.7, "sigmoid", 20, 5), StepDecay(1e-2, 10, 0.5, 1e-3)]
)
def test_schedules_survive_serialisation_and_graphs(schedule):
    config = keras.saving.serialize_keras_object(schedule)
    again = keras.saving.deserialize_keras_object(config)
    in_graph = tf.function(again)
    for step in (0, 7, 15, 40):
        assert float(in_graph(tf.constant(step))) == pytest.approx(float(schedule(step)), rel=1e-6)


def test_envelope_with_steps_or_a_delay_grows():
    assert values(Envelope(2.0, steps=100), [0, 50, 100]) == [0.0, 1.0, 2.0]
    assert values(Envelope(2.0, delay=100), [0, 100, 101]) == [0.0, 0.0, 2.0]
    # A recipe's envelope may be none, whatever its steps are.
    assert values(Envelope(2.0, "none", 100, 5), [0, 50]) == [2.0, 2.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "cubic"}, "unknown envelope 'cubic'; known: none, sigmoid, linear"),
        ({"steps": 0}, "`steps` is 0; it must be at least 1"),
        ({"steps": "10"}, "`steps` is '10'; it must be a whole number"),
        ({"delay": -1}, "`delay` is -1"),
    ],
)
def test_envelope_refuses_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        Envelope(1.0, **arguments)


def test_envelope_and_cosine_refuse_bad_numbers():
    for weight in (-1.0, float("nan"), "1", None):
        with pytest.raises(InputError, match=f"`final_weight` is {weight!r}; it must be a number"):
            Envelope(weight)
    with pytest.raises(InputError, match="warm-up of 10 steps must end before the last step, 10"):
        cosine_with_warmup(1e-3, total_steps=10, warmup_steps=10)
    for rates in ({"peak": 0.0}, {"peak": 1e-3, "minimum": -1.0}, {"peak": float("nan")}):
        with pytest.raises(InputError, match="wanted above 0 and at least 0"):
            cosine_with_warmup(**rates, total_steps=10)
