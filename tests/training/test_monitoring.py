"""The warnings: on walks that are so by construction, and in a run."""

import dataclasses

import numpy as np
import pytest

from semisup.losses import association
from semisup.training import loop, monitoring

LABELS = np.repeat(np.arange(10), 10)
RANDOM = np.random.default_rng(0)


def logs(A, B):
    losses = association.association_losses(A, B, LABELS)
    return {
        "walker_loss": float(losses.walker),
        "visit_loss": float(losses.visit),
        "visit_entropy": float(losses.visit_entropy),
    }


def found(walk, progress=1.0, classes=10):
    return [sign for sign, _ in monitoring.signs(walk, 100, 100, progress, classes)]


CLUSTERS = 6.0 * np.eye(10)
HEALTHY = logs(CLUSTERS[LABELS], CLUSTERS[LABELS] + RANDOM.normal(0, 0.05, (100, 10)))


def test_healthy_walk_has_no_sign():
    assert HEALTHY["walker_loss"] < 2.4  # else it is no healthy one
    assert found(HEALTHY) == []


def test_walk_to_few_samples_is_seen():
    B = np.zeros((100, 10))
    B[::20] = 6.0  # like the samples of every class
    walk = logs(CLUSTERS[LABELS], B)
    signs = dict(monitoring.signs(walk, 100, 100, 1.0, 10))
    assert "it visits some 5 of 100 unlabelled images" in signs["few"]
    assert found(walk, progress=0.2) == []


def test_embeddings_that_are_all_alike_are_seen():
    walk = logs(np.ones((100, 10)), np.ones((100, 10)) + RANDOM.normal(0, 1e-3, (100, 10)))
    assert found(walk) == ["alike"]
    assert found(walk, progress=0.2) == []
    assert found(walk, classes=1) == []  # the same losses are then those of a good walk


def test_unlabelled_images_of_classes_without_labels_are_seen():
    """Half of B lies where no A does."""
    A, B = np.eye(20)[LABELS], np.eye(20)[np.arange(100) % 20]
    walk = logs(6.0 * A, 6.0 * B)
    assert found(walk) == ["visits"]
    assert found(walk, progress=0.4) == []


@pytest.mark.parametrize("virtual", [0, 6])
def test_run_warns_once_and_goes_on(tiny, tmp_path, caplog, virtual):
    # A learning rate at which nothing can be learned: the first weights' walks are uniform.
    tiny = dataclasses.replace(tiny, log_interval=2, virtual_embeddings=virtual)
    recipe = dataclasses.replace(tiny, learning_rate=1e-12, remove_classes=1, max_steps=8)
    loop.train(recipe, tmp_path)
    assert caplog.text.count("the walker has collapsed: all its steps are equally") == 1
    unlabelled_class = caplog.text.count("no image of 2 is labelled: the visit loss")
    assert unlabelled_class == (0 if virtual else 1)  # virtual embeddings are what it advises
    assert len(caplog.messages) == 1 + unlabelled_class


def test_losses_that_do_not_count_are_not_judged(tiny, tmp_path, caplog):
    tiny = dataclasses.replace(tiny, log_interval=2)
    recipe = dataclasses.replace(tiny, learning_rate=1e-12, max_steps=8, visit_weight=0.0)
    loop.train(recipe, tmp_path)
    assert caplog.messages == []
