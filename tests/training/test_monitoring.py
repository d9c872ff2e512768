"""Non-finite losses: which one was the first, and when; batch norm that has not settled."""

import dataclasses
import math
from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf

from semisup.errors import InputError
from semisup.evaluation import label_free
from semisup.losses import association, pseudo_labels
from semisup.runs import checkpoints
from semisup.runs.directory import RunDirectory
from semisup.training import loop, monitoring

pytestmark = pytest.mark.usefixtures("without_pictures")

FINE = {"loss": 1.0, "walker_loss": 0.5, "p_correct": 0.1}


def test_first_bad_loss_is_named_although_it_spoils_the_others(tmp_path):
    watch = monitoring.LossMonitor(tmp_path)
    watch.add(1, FINE)
    watch.check()
    watch.add(2, FINE)
    watch.add(3, {**FINE, "loss": float("inf"), "walker_loss": tf.constant(float("nan"))})
    watch.add(4, dict.fromkeys(FINE, float("nan")))
    with pytest.raises(InputError, match=r"^walker_loss no longer finite at step 3; the last good"):
        watch.check()


def test_what_is_no_loss_term_is_named_too(tmp_path):
    watch = monitoring.LossMonitor(tmp_path)
    watch.add(7, {**FINE, "p_correct": float("nan")})
    with pytest.raises(InputError, match=r"^p_correct no longer finite at step 7"):
        watch.check()


def test_watch_looks_by_itself_before_it_keeps_too_many(tmp_path):
    watch = monitoring.LossMonitor(tmp_path)
    watch.add(1, {"loss": float("nan")})
    with pytest.raises(InputError, match=r"^loss no longer finite at step 1"):
        for step in range(2, 200):
            watch.add(step, {"loss": float("nan")})
    assert step < 150


@pytest.mark.parametrize(
    ("module", "term", "log_interval", "save_interval"),
    [(association, "visit_loss", 20, 3), (pseudo_labels, "pseudo_label_loss", 6, 30)],
)
def test_run_stops_within_a_logging_interval_and_names_the_term(
    tiny, tmp_path, monkeypatch, module, term, log_interval, save_interval
):
    """The term is infinite at step 5; the run looks at step 6, where it would save, or logs."""
    step = tf.Variable(0)
    right = getattr(module, term)

    def bad_at_five(*arguments):
        return tf.where(step.assign_add(1) == 5, float("inf"), right(*arguments))

    monkeypatch.setattr(module, term, bad_at_five)
    # They compute losses, too, but are no step.
    monkeypatch.setattr(label_free, "scores", lambda *_: dict.fromkeys(label_free.NAMES, 0.5))
    recipe = dataclasses.replace(tiny, log_interval=log_interval, pseudo_label_weight=0.5)
    with pytest.raises(InputError, match=rf"^{term} no longer finite at step 5; the last good"):
        loop.train(recipe, tmp_path, save_interval=save_interval)
    assert int(step) == 6
    newest = checkpoints.newest(RunDirectory(tmp_path))
    assert newest.endswith("step-3" if save_interval == 3 else "step-0")


def test_check_finite_at_step_0_speaks_of_the_initial_weights(tmp_path):
    with pytest.raises(InputError, match="kernel not finite before the first step; give the"):
        monitoring.check_finite_values({"kernel": math.nan}, 0, tmp_path)


def test_unsettled_batch_norm_is_settled_with_steps_or_a_smaller_momentum():
    layer, fast = (keras.layers.BatchNormalization(momentum=m) for m in (0.99, 0.9))
    model, apart = (SimpleNamespace(separate_batches=separate) for separate in (False, True))
    assert "after 300 batches" in monitoring.unsettled_batch_norm(model, [layer], 300)
    assert monitoring.unsettled_batch_norm(model, [layer], 500) is None
    assert monitoring.unsettled_batch_norm(model, [fast], 300) is None
    assert monitoring.unsettled_batch_norm(model, [], 1) is None
    # A and B pass it one after the other.
    assert monitoring.unsettled_batch_norm(apart, [layer], 250) is None
    assert "after 300 batches" in monitoring.unsettled_batch_norm(apart, [layer], 150)
