"""The methods of scripts/compare.py against naive loops and published identities; its record."""

import dataclasses
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from comparison import checks, methods, report, running
from comparison.method import Batch, Method, Rows, ramp_up
from comparison.methods.adaptation import (
    MMD,
    AdversarialDomains,
    Coral,
    coral,
    mmd,
    reverse_gradient,
    squared_distances,
)
from comparison.methods.adversarial import VirtualAdversarial
from comparison.methods.consistency import MeanTeacher, PiModel, Transformations, one_class
from comparison.methods.pseudo_labels import FixMatch, PseudoLabels
from comparison.model import compared
from comparison.record import Record, held

from semisup import experiment, recipes
from semisup.config import ALWAYS, LABELS_ONLY, Recipe
from semisup.data import pipeline
from semisup.data.augmentation import AUGMENTATIONS
from semisup.errors import InputError
from semisup.evaluation.metrics import evaluate
from semisup.losses import virtual_adversarial
from semisup.models.associative_model import AssociativeModel
from semisup.runtime.machine import here_and_now

W = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare.py"


def model(images, training):
    """A linear classifier, as methods call the model."""
    return {"logits": tf.matmul(tf.convert_to_tensor(images), W)}


def batch(progress=0.5, view=True):
    random = np.random.default_rng(1)
    images = [random.normal(size=(n, 6)).astype("float32") for n in (4, 5, 5)]
    rows = [Rows(x, tf.constant(x), model(x, True)["logits"]) for x in images[:2]]
    labels = tf.constant([0, 1, 2, 0], tf.int64)
    seed = tf.constant([1, 2], tf.int64)
    return Batch(rows[0], labels, rows[1], images[2] if view else None, tf.constant(progress), seed)


def softmax(logits):
    logits = np.asarray(logits, np.float64)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_pseudo_labels_loss_is_that_of_a_loop_and_grows():
    of_batch = batch(progress=0.35)
    method = PseudoLabels(weight=3.0, begin=0.1, end=0.6)
    expected = np.mean([-math.log(max(row)) for row in softmax(of_batch.unlabeled.logits)])
    np.testing.assert_allclose(method.loss(model, of_batch), 3.0 * 0.5 * expected, rtol=1e-5)
    weights = [method.loss(model, of_batch._replace(progress=tf.constant(t))) for t in (0.05, 0.9)]
    np.testing.assert_allclose(weights, [0.0, 3.0 * expected], rtol=1e-5)


def test_fixmatch_loss_is_that_of_a_loop():
    of_batch, threshold = batch(), 0.7
    q, strong = softmax(of_batch.unlabeled.logits), softmax(of_batch.view @ W)
    losses = [
        -math.log(p[row.argmax()]) if row.max() >= threshold else 0.0
        for row, p in zip(q, strong, strict=True)
    ]
    assert 0 < np.count_nonzero(losses) < len(losses)
    loss = FixMatch(weight=2.0, threshold=threshold).loss(model, of_batch)
    np.testing.assert_allclose(loss, 2.0 * np.mean(losses), rtol=1e-5)


def test_fixmatch_teaches_the_strong_view_only():
    of_batch = batch()
    with tf.GradientTape() as tape:
        weak = tf.constant(of_batch.unlabeled.logits)
        tape.watch(weak)
        rows = of_batch.unlabeled._replace(logits=weak)
        loss = FixMatch(threshold=0.0).loss(model, of_batch._replace(unlabeled=rows))
    assert tape.gradient(loss, weak) is None


def test_pi_model_loss_is_that_of_a_loop():
    of_batch = batch(progress=0.1)
    p, q = softmax(of_batch.unlabeled.logits), softmax(of_batch.view @ W)
    terms = [(a - b) ** 2 for rows in zip(p, q, strict=True) for a, b in zip(*rows, strict=True)]
    weight = 7.0 * math.exp(-5.0 * (1.0 - 0.1 / 0.2) ** 2)
    loss = PiModel(weight=7.0, ramp=0.2).loss(model, of_batch)
    np.testing.assert_allclose(loss, weight * np.mean(terms), rtol=1e-5)
    assert float(ramp_up(tf.constant(0.9), 0.2)) == 1.0


def test_transformations_loss_is_that_of_a_loop():
    of_batch = batch()
    views = softmax(of_batch.unlabeled.logits), softmax(of_batch.view @ W)
    stability = np.mean([sum((a - b) ** 2) for a, b in zip(*views, strict=True)])
    exclusive = np.mean(
        [
            sum(f[k] * math.prod(1 - f[i] for i in range(3) if i != k) for k in range(3))
            for view in views
            for f in view
        ]
    )
    loss = Transformations(stability=2.0, exclusivity=0.5).loss(model, of_batch)
    np.testing.assert_allclose(loss, 2.0 * stability - 0.5 * exclusive, rtol=1e-4)
    certain_and_uniform = one_class(tf.constant([[50.0, 0, 0, 0], [1.0, 1, 1, 1]]))
    np.testing.assert_allclose(certain_and_uniform, [1.0, 0.75**3], rtol=1e-4)


def slopes(loss, kernel):
    """The slope of a loss in some direction of a kernel: by its gradient, and by a difference."""
    direction = np.random.default_rng(2).normal(size=kernel.shape).astype("float32")
    with tf.GradientTape() as tape:
        now = loss()
    by_gradient = float(tf.reduce_sum(tape.gradient(now, kernel) * direction))
    middle = kernel.numpy()
    kernel.assign(middle + 1e-3 * direction)
    above = float(loss())
    kernel.assign(middle - 1e-3 * direction)
    below = float(loss())
    kernel.assign(middle)
    return by_gradient, (above - below) / 2e-3


def loss_of(method, kernel):
    """The loss on a batch, as a function of the kernel of a linear classifier."""

    def linear(images, training):
        return {"logits": tf.matmul(tf.convert_to_tensor(images), kernel)}

    def loss():
        of_batch = batch()
        logits = linear(of_batch.unlabeled.images, True)["logits"]
        rows = of_batch.unlabeled._replace(logits=logits)
        return method.loss(linear, of_batch._replace(unlabeled=rows))

    return loss


@pytest.mark.parametrize(
    "method",
    [
        PiModel(weight=1.0),
        Transformations(exclusivity=0.0),
        Transformations(stability=0.0, exclusivity=1.0),
        FixMatch(threshold=0.0),
        PseudoLabels(),
        VirtualAdversarial(weight=0.0),
    ],
    ids=lambda method: type(method).__name__,
)
def test_gradient_of_a_loss_is_its_slope(method):
    """All that a loss depends on is learned; of FixMatch that is the strong view alone."""
    kernel = tf.Variable(W)
    found, expected = slopes(loss_of(method, kernel), kernel)
    assert abs(expected) > 0.01
    assert found == pytest.approx(expected, rel=2e-2)


def test_gradient_of_the_divergence_is_not_zero():
    """Its slope it is not: the direction of the change is taken for constant."""
    kernel = tf.Variable(W)
    with tf.GradientTape() as tape:
        loss = loss_of(VirtualAdversarial(entropy=0.0), kernel)()
    assert np.abs(tape.gradient(loss, kernel)).max() > 0.01


def test_vat_loss_is_divergence_and_entropy():
    of_batch = batch(view=False)
    entropy = VirtualAdversarial(weight=0.0).loss(model, of_batch)
    p = softmax(of_batch.unlabeled.logits)
    np.testing.assert_allclose(entropy, -np.mean(np.sum(p * np.log(p), axis=1)), rtol=1e-5)
    images, logits = of_batch.unlabeled.images, of_batch.unlabeled.logits
    lengths = np.linalg.norm(images, axis=1).mean()
    found = VirtualAdversarial(epsilon=0.1, entropy=0.0).loss(model, of_batch)
    noise = tf.random.stateless_normal(images.shape, of_batch.seed)
    changes = virtual_adversarial.adversarial_divergence(
        lambda x: model(x, True)["logits"], images, logits, noise, 0.01 * lengths
    )
    np.testing.assert_allclose(found, np.mean(changes), rtol=1e-5)
    # Nowhere else does as small a change change the predictions as much.
    random = np.random.default_rng(0)
    for _ in range(20):
        r = random.normal(size=(5, 6))
        r *= 0.01 * lengths / np.linalg.norm(r, axis=1, keepdims=True)
        q = softmax((of_batch.unlabeled.images + r) @ W)
        assert np.mean(np.sum(p * np.log(p / q), axis=1)) < 1.05 * float(found)


@pytest.mark.parametrize("kind", ["images", "features"])
def test_vat_changes_inputs_by_its_epsilon(kind):
    """Pixels by 255 epsilon, features by epsilon times a tenth of their mean length."""
    random = np.random.default_rng(0)
    shape, epsilon = ((5, 3, 2, 1) if kind == "images" else (5, 6)), 0.5
    inputs = tf.constant(random.uniform(0, 255, shape), tf.float32)
    given = []

    def of_pixels(images, training):
        given.append(tf.reshape(images, [5, 6]))
        return model(given[-1] / 255, training)

    rows = Rows(inputs, None, of_pixels(inputs, True)["logits"])
    VirtualAdversarial(epsilon=epsilon).loss(of_pixels, batch()._replace(unlabeled=rows))
    plain, *_, changed = given
    unit = 255 if kind == "images" else np.linalg.norm(plain, axis=1).mean() / 10
    np.testing.assert_allclose(np.linalg.norm(changed - plain, axis=1), epsilon * unit, rtol=1e-4)


def test_reverse_gradient_is_the_negated_one():
    x = tf.constant([[1.0, -2.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        plain = tf.reduce_sum(x**3)
        reversed_ = tf.reduce_sum(reverse_gradient(x, tf.constant(0.5)) ** 3)
    assert float(plain) == float(reversed_)
    np.testing.assert_allclose(tape.gradient(reversed_, x), -0.5 * tape.gradient(plain, x))


def test_dann_loss_is_that_of_a_loop_and_reversed_for_the_embeddings_only():
    dann = AdversarialDomains(weight=0.5)
    dann.build(SimpleNamespace(classifier=SimpleNamespace(kernel=W)))
    of_batch = batch(progress=0.1)
    A, B = of_batch.labeled.embedding, of_batch.unlabeled.embedding
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([A, B])
        loss = dann.loss(model, of_batch)
        source, target = (dann.domain(x)[:, 0] for x in (A, B))
        plain = tf.reduce_mean(tf.nn.softplus(-source)) + tf.reduce_mean(tf.nn.softplus(target))
        plain = 0.5 * plain
    of_source = [-math.log(1 / (1 + math.exp(-d))) for d in source.numpy()]
    of_target = [-math.log(1 - 1 / (1 + math.exp(-d))) for d in target.numpy()]
    expected = (np.mean(of_source) + np.mean(of_target)) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    scale = 0.5 * (2 / (1 + math.exp(-10 * 0.1)) - 1)
    for part in (A, B):
        wanted = -scale * tape.gradient(plain, part)
        np.testing.assert_allclose(tape.gradient(loss, part), wanted, rtol=1e-4, atol=1e-7)
    for weight in dann.domain.trainable_variables:
        found, wanted = (tape.gradient(each, weight.value) for each in (loss, plain))
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-7)


def test_mmd_is_that_of_a_loop_and_0_of_equal_samples():
    random = np.random.default_rng(0)
    A, B = random.normal(size=(4, 3)), random.normal(1.0, size=(5, 3))
    both = np.concatenate([A, B])
    width = np.mean([np.sum((a - b) ** 2) for a in both for b in both])

    def kernel(x, y):
        distance = np.sum((x - y) ** 2) / width
        return np.mean([math.exp(-distance / s) for s in (0.25, 0.5, 1, 2, 4)])

    def mean(X, Y):
        return np.mean([kernel(x, y) for x in X for y in Y])

    found = mmd(*(tf.constant(each, tf.float32) for each in (A, B)))
    np.testing.assert_allclose(found, mean(A, A) + mean(B, B) - 2 * mean(A, B), rtol=1e-4)
    same = tf.constant(A, tf.float32)
    np.testing.assert_allclose(mmd(same, same), 0.0, atol=1e-6)


def test_mmd_has_its_weight_and_a_width_without_gradient():
    of_batch = batch()
    A, B = of_batch.labeled.embedding, of_batch.unlabeled.embedding
    both = tf.concat([A, B], axis=0)
    width = float(tf.reduce_mean(squared_distances(both, both)))

    def kernel(X, Y):
        distances = squared_distances(X, Y) / width
        scales = (0.25, 0.5, 1, 2, 4)
        return sum(tf.reduce_mean(tf.exp(-distances / s)) for s in scales) / 5

    with tf.GradientTape(persistent=True) as tape:
        tape.watch([A, B])
        loss = MMD(weight=2.0).loss(model, of_batch)
        at_width = 2.0 * (kernel(A, A) + kernel(B, B) - 2.0 * kernel(A, B))
    np.testing.assert_allclose(loss, 2.0 * mmd(A, B), rtol=1e-6)
    for part in (A, B):
        found, wanted = (tape.gradient(each, part) for each in (loss, at_width))
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_coral_is_the_distance_of_covariances():
    random = np.random.default_rng(0)
    A, B = random.normal(size=(7, 3)), random.normal(2.0, 3.0, size=(5, 3))
    expected = np.linalg.norm(np.cov(A.T) - np.cov(B.T)) ** 2 / (4 * 3**2)
    found = coral(*(tf.constant(each, tf.float32) for each in (A, B)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    of_batch = batch()
    shifted = of_batch._replace(
        unlabeled=of_batch.labeled._replace(logits=1 + of_batch.labeled.logits)
    )
    np.testing.assert_allclose(Coral().loss(model, shifted), 0.0, atol=1e-6)
    expected = 2.0 * coral(of_batch.labeled.logits, of_batch.unlabeled.logits)
    assert float(expected) > 0.01
    np.testing.assert_allclose(Coral(weight=2.0).loss(model, of_batch), expected, rtol=1e-6)


@pytest.fixture(scope="module")
def small(tiny):
    """An experiment, and what makes a model of it with the losses of methods."""
    settings = {"learning_rate": 1e-2, "label_smoothing": 0.0, "max_steps": 3, "vat_weight": 0.5}
    recipe = dataclasses.replace(tiny, **settings)
    setup = experiment.build(recipe)
    return setup, lambda *used: compared(setup, used, recipe.unsup_batch_size if used else 0)


def one_step(model, batches):
    for images, labels in batches.take(1):
        model.train_step((images, labels))
    return [weight.numpy() for weight in (*model.network.weights, *model.classifier.weights)]


def test_compared_model_without_methods_learns_from_labels_only(small):
    setup, make = small
    alone = dataclasses.replace(setup.recipe, **LABELS_ONLY)
    plain = experiment.build_model(alone, setup.data.dataset)
    expected = one_step(plain, dataclasses.replace(setup, recipe=alone).batches())
    for ours, other in zip(one_step(make(), running._batches(setup, ())), expected, strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-6)


def test_compared_model_walks_as_the_recipe_does_whatever_views_there_are(small):
    setup, make = small
    plain = one_step(setup.untrained_model(), setup.batches())
    walk = methods.make("association", {})
    silent = [*walk, FixMatch(weight=0.0)]
    for used in (walk, silent):
        ours = one_step(make(*used), running._batches(setup, used))
        for found, other in zip(ours, plain, strict=True):
            np.testing.assert_allclose(found, other, atol=1e-6)


class Noted(Method):
    """A loss of 3 that notes its batches."""

    view = "weak"

    def __init__(self):
        self.batches = []

    def loss(self, model, batch):
        self.batches.append(batch)
        return 3.0


def test_compared_model_adds_the_losses_of_its_methods_on_the_batch(small):
    setup, make = small
    noted = Noted()
    of_noted, plain = make(noted), make()
    for step, (images, labels) in enumerate(running._batches(setup, [noted]).take(2)):
        losses = []
        for each, rows in ((of_noted, slice(None)), (plain, slice(6))):
            each.reset_metrics()
            losses.append(float(each.train_step((images[rows], labels[rows]))["loss"]))
        assert losses[0] == pytest.approx(losses[1] + 3.0, rel=1e-5)
        of_batch = noted.batches[step]
        np.testing.assert_array_equal(of_batch.labeled.images, images[:6])
        np.testing.assert_array_equal(of_batch.labels, labels[:6])
        np.testing.assert_array_equal(of_batch.unlabeled.images, images[6:14])
        np.testing.assert_array_equal(of_batch.view, images[14:])
    first, second = noted.batches
    np.testing.assert_allclose([first.progress, second.progress], [0, 1 / 3], rtol=1e-6)
    assert not np.array_equal(first.seed, second.seed)


def test_association_has_factors_of_the_recipes_weights(small):
    setup, _ = small
    recipe = dataclasses.replace(setup.recipe, visit_weight=0.5, walker_weight=0.25)
    plain = experiment.build_model(recipe, setup.data.dataset)
    walk = methods.make("association", {"association": {"visit": 3.0}})
    made = compared(dataclasses.replace(setup, recipe=recipe, model=plain), walk, 8)
    weights = [float(made.loss_schedules[f"{name}_weight"](9)) for name in ("visit", "walker")]
    assert weights == [1.5, 0.25]


def test_mean_teacher_begins_with_the_students_weights(small):
    _, make = small
    teacher = MeanTeacher(decay=0.6)
    student = make(teacher)
    assert len(teacher.evaluated()) == len(student.trainable_variables)
    for weight, average in teacher.evaluated():
        np.testing.assert_array_equal(weight, average)
    for step in range(4):
        for weight, average in teacher.evaluated():
            weight.assign(tf.zeros(weight.shape))
            average.assign(tf.ones(weight.shape))
        teacher.after_step()
        for _, average in teacher.evaluated():
            np.testing.assert_allclose(average, min(1 - 1 / (step + 1), 0.6), rtol=1e-6)


def test_mean_teacher_is_the_average_of_its_students(small):
    setup, make = small
    teacher = MeanTeacher(decay=0.6)
    of_teacher = make(teacher)
    expected, kernel = 0.0, of_teacher.classifier.kernel
    for step, pair in enumerate(running._batches(setup, [teacher]).take(3)):
        of_teacher.train_step(pair)
        decay = min(1 - 1 / (step + 1), 0.6)
        expected = decay * expected + (1 - decay) * kernel.numpy()
    student = kernel.numpy()
    with of_teacher.evaluated():
        np.testing.assert_allclose(kernel.numpy(), expected, atol=1e-6)
        assert not np.allclose(expected, student)
    np.testing.assert_array_equal(kernel.numpy(), student)
    # Were the target the student's own prediction, the loss of equal views would be 0.
    images = next(iter(running._batches(setup, [teacher])))[0][-8:]
    outputs = of_teacher(images)
    same = Rows(images, outputs["embedding"], outputs["logits"])
    of_views = Batch(same, None, same, images, tf.constant(1.0), None)
    with keras.StatelessScope(
        [(s, t.value) for s, t in zip(teacher.student, teacher.teacher, strict=True)]
    ):
        target = softmax(of_teacher(images)["logits"])
    wanted = 100.0 * np.mean((softmax(outputs["logits"]) - target) ** 2)
    assert wanted > 0
    np.testing.assert_allclose(teacher.loss(of_teacher, of_views), wanted, rtol=1e-3)


def test_mean_teacher_teaches_the_student_alone(small):
    setup, make = small
    teacher = MeanTeacher()
    student = make(teacher)
    images = next(iter(running._batches(setup, [teacher])))[0]

    def loss():
        outputs = student(images[6:14])
        rows = Rows(images[6:14], outputs["embedding"], outputs["logits"])
        return teacher.loss(student, Batch(rows, None, rows, images[14:], tf.constant(1.0), None))

    found, expected = slopes(loss, student.classifier.kernel.value)
    assert abs(expected) > 1e-3
    assert found == pytest.approx(expected, rel=2e-2)


def test_mean_teacher_draws_other_dropout_at_each_step():
    layers = [keras.Input((6,)), keras.layers.Dropout(0.5), keras.layers.Dense(4)]
    with_dropout = AssociativeModel(keras.Sequential(layers), 3)
    teacher = MeanTeacher(ramp=1e-3)
    teacher.build(with_dropout)
    of_images = batch()
    losses = {float(teacher.loss(with_dropout, of_images)) for _ in range(4)}
    assert len(losses) == 4


def test_dann_trains_its_classifier_of_the_domain(small):
    setup, make = small
    used = methods.make("dann", {})
    of_dann = make(*used)
    assert len(of_dann.trainable_variables) == 4 + len(setup.model.trainable_variables)
    before = used[0].domain.get_weights()
    one_step(of_dann, running._batches(setup, used))
    assert not np.array_equal(before[0], used[0].domain.get_weights()[0])


def test_batches_have_unlabelled_rows_for_a_strong_view(small):
    setup, _ = small
    images, labels = next(iter(running._batches(setup, [FixMatch()])))
    assert images.shape == (6 + 8 + 8, 8, 8, 1)
    assert labels.numpy().tolist() == [0, 0, 1, 1, 2, 2, *[-1] * 16]
    assert images.dtype == tf.uint8


def views_of_a_batch(setup, method, **settings):
    """The unlabelled images of the first batch and their second view."""
    changed = dataclasses.replace(setup, recipe=dataclasses.replace(setup.recipe, **settings))
    images = next(iter(running._batches(changed, [method])))[0].numpy()
    return images[6:14], images[14:]


def test_strong_view_is_of_the_unlabelled_images_in_their_order(small, monkeypatch):
    setup, _ = small
    unlabeled, view = views_of_a_batch(setup, FixMatch(), augmentation="none")
    assert (unlabeled != view).any(axis=(1, 2, 3)).all()
    monkeypatch.setattr(running, "_strong", lambda weak: lambda images, seed: images)
    unlabeled, view = views_of_a_batch(setup, FixMatch(), augmentation="none")
    np.testing.assert_array_equal(unlabeled, view)


def test_weak_views_are_the_same_images_with_other_random_numbers(small, monkeypatch):
    setup, _ = small

    def negative_with_noise(images, seed):
        noise = tf.random.stateless_uniform(tf.shape(images[:, :1]), seed, 0, 256, tf.int32)
        return tf.concat([tf.cast(noise, images.dtype), 255 - images[:, 1:]], axis=1)

    monkeypatch.setattr(
        experiment.Experiment, "augment_unlabeled", lambda setup: negative_with_noise
    )
    unlabeled, view = views_of_a_batch(setup, PiModel())
    np.testing.assert_array_equal(unlabeled[:, 1:], view[:, 1:])
    assert (unlabeled[:, 0] != view[:, 0]).any(axis=(1, 2)).all()


def test_strong_view_of_features_drops_half_of_their_values():
    view = running._strong(None)(tf.ones([4, 1000]), tf.constant([1, 2])).numpy()
    assert set(np.unique(view)) == {0, 2}
    assert np.mean(view == 0) == pytest.approx(0.5, abs=0.05)


def test_run_is_alone_in_its_process(tiny, monkeypatch):
    def build(job):
        raise InputError("alone" if running._alone.locked() else "with others")

    monkeypatch.setattr(running, "_build", build)
    with pytest.raises(InputError, match="alone"):
        running.run(running.Job("labels_only", {}, tiny))
    assert not running._alone.locked()


def test_run_records_errors_of_the_averages_and_losses(tiny, monkeypatch):
    seen = []

    def noted(model, images, labels, names):
        found = evaluate(model, images, labels, names)
        seen.append((model.classifier.kernel.numpy(), len(labels), found.report.error))
        return found

    monkeypatch.setattr(running, "evaluate", noted)
    recipe = dataclasses.replace(tiny, max_steps=2, eval_interval=1, learning_rate=0.01)
    job = running.Job("mean_teacher", {}, recipe)
    evaluations = running.run(job)["evaluations"]
    _, again, batches = running._build(job)
    steps = [again.train_step(pair) for pair in batches.take(2)]
    kernels, counts, errors = zip(*seen, strict=True)
    student = again.classifier.kernel.numpy()
    with again.evaluated():
        np.testing.assert_allclose(kernels[1], again.classifier.kernel, rtol=1e-4, atol=1e-5)
    assert np.abs(kernels[1] - student).max() > 1e-3
    assert counts == (9, 9)
    losses = [float(logs["loss"]) for logs in steps]  # each the mean so far
    assert [step for step, *_ in evaluations] == [1, 2]
    assert tuple(error for _, error, _ in evaluations) == errors and max(errors) > 1
    assert [loss for *_, loss in evaluations] == pytest.approx(losses, rel=1e-4)


def test_runs_of_a_seed_begin_with_the_same_random_weights(tiny):
    """Also those of a method's own layers, and whatever was drawn before."""

    def first_weights(seed):
        job = running.Job("dann", {}, dataclasses.replace(tiny, seed=seed))
        _, model, _ = running._build(job)
        return model.methods[0].domain.get_weights()[0]

    first, again, other = (first_weights(seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("validation", "images"), [(True, 12), (False, 9)])
def test_search_is_on_validation_images_and_other_runs_on_test_images(tiny, validation, images):
    setup, *_ = running._build(running.Job("labels_only", {}, tiny, validation))
    assert len(setup.data.dataset.test_labels) == images


def test_validation_images_are_training_images(tiny):
    whole, held_out = (running._dataset(running._of_data(tiny), v) for v in (False, True))
    assert (len(held_out.train_labels), len(held_out.test_labels)) == (48, 12)
    every = {image.tobytes() for image in whole.train_images}
    parts = (held_out.train_images, held_out.test_images)
    found = [{image.tobytes() for image in part} for part in parts]
    assert found[0] | found[1] == every
    assert not found[0] & found[1]


def test_source_is_not_in_the_pool_of_the_search(tiny):
    """A target with unlabelled images of its own, whose training images are in the pool."""
    place = Path(tiny.data_dir).with_name("target.npz")
    arrays = dict(np.load(tiny.data_dir))
    np.savez(place, **arrays, unlabeled_images=arrays["test_images"])
    target = {"target_dataset": "npz", "target_data_dir": str(place), "train_in_pool": True}
    recipe = running._of_data(dataclasses.replace(tiny, **target))
    assert len(running._dataset(recipe, False).unlabeled_pool) == 60 + 9
    assert len(running._dataset(recipe, True).unlabeled_pool) == 48 + 9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freeze_steps": ALWAYS}, "--freeze_steps is here for a pretrained network"),
        ({"cluster_share": 0.1}, "--cluster_share needs a pretrained network that stays frozen"),
        ({"fold": 0}, "--fold can't be given with --search"),
    ],
)
def test_refuse_ignored_names_what_would_be_ignored(settings, message):
    with pytest.raises(InputError, match=message):
        checks.refuse_ignored(Recipe(**settings), search=True)
    checks.refuse_ignored(Recipe(fold=0), search=False)
    photos = recipes.get("photos")
    checks.refuse_ignored(photos, search=True)
    with pytest.raises(InputError, match="the whole network would be trained"):
        checks.refuse_ignored(dataclasses.replace(photos, augmentation="photos"), search=False)


def test_views_differ_where_unlabelled_images_are_augmented(small):
    setup, _ = small
    for name in AUGMENTATIONS:
        recipe = dataclasses.replace(setup.recipe, augmentation=name)
        changes = dataclasses.replace(setup, recipe=recipe).augment_unlabeled() is not None
        assert checks.views_differ(recipe) == changes, name
    assert checks.views_differ(Recipe(augmentation="none", dropout=0.1))


@pytest.mark.parametrize(
    ("settings", "parts", "message"),
    [
        ({"augmentation": "none"}, ["vat", "pi_model", "fixmatch"], "from them: pi_model"),
        ({"augmentation": "none"}, ["mean_teacher", "transformations"], "teacher, transformations"),
        ({"augmentation": "digits"}, ["pi_model", "mean_teacher", "transformations"], None),
        ({"label_smoothing": 0.1}, ["fixmatch"], "below the threshold of fixmatch"),
        ({"label_smoothing": 0.1}, ["association", "pseudo_labels"], None),
        ({"label_smoothing": 0.0}, ["fixmatch"], None),
        ({}, ["vat", "dann", "mmd", "coral"], "no target domain here, .*: dann, mmd, coral"),
        ({"target_dataset": "usps"}, ["dann", "mmd", "coral"], None),
    ],
)
def test_notes_say_which_methods_learn_less_here(settings, parts, message):
    lines = list(checks.notes(dataclasses.replace(Recipe(label_smoothing=0.0), **settings), parts))
    assert len(lines) == (message is not None), lines
    if message:
        assert re.search(f"{message}($|,)", lines[0])


def test_parts_of_names_what_is_unknown():
    assert methods.parts_of("association+fixmatch") == ["association", "fixmatch"]
    assert methods.parts_of("labels_only") == []
    with pytest.raises(InputError, match="unknown 'fixmtch'; known: labels_only, association"):
        methods.parts_of("association+fixmtch")
    with pytest.raises(InputError, match="labels_only stands alone, not in 'labels_only"):
        methods.parts_of("labels_only+vat")
    with pytest.raises(InputError, match=r"'vat\+vat' names a method twice"):
        methods.parts_of("vat+vat")
    with pytest.raises(InputError, match=r"'fixmatch\+pi_model' can't be combined"):
        methods.parts_of("fixmatch+pi_model")


def test_parameters_are_said_with_their_method_where_there_are_several():
    chosen = methods.parameters_of("dann+mmd", {"dann": {"weight": 0.3}})
    assert report.by_name(chosen) == "DANN: weight 0.3"
    assert report.by_name({"dann": chosen["dann"]}) == "weight 0.3"
    assert report.by_name(methods.parameters_of("dann+mmd", {})) == "published"


def test_page_says_where_the_methods_are_from(tmp_path):
    record = Record(tmp_path / "r.json", "mnist5k", Recipe(max_steps=10))
    record.add(a_run("association+vat", 0, 3.0))
    page = report.page(record, ["labels_only", "association+vat"], {}, {}, 1)
    assert "- association: Haeusser" in page
    assert "- VAT and entropy: Miyato" in page


def a_run(method, seed, error, steps=10, **values):
    parameters = methods.parameters_of(method, {})
    evaluations = [[5, 2 * error, 1.0], [steps, error, 0.5]]
    run = {"method": method, "parameters": parameters, "seed": seed, "steps": steps}
    run |= {"validation": False, **here_and_now(), "evaluations": evaluations}
    return {**run, **values}


def test_record_goes_on_and_refuses_another_comparison(tmp_path):
    path = tmp_path / "of" / "digits.json"
    recipe = Recipe(dataset="folder", data_dir="/cats", max_steps=10)
    run = a_run("vat", 0, 3.0)
    Record(path, "photos", recipe).add(run)
    again = Record(path, "photos", dataclasses.replace(recipe, seed=7))
    assert len(list(again.matching(method="vat"))) == 1
    key = {name: value for name, value in run.items() if name != "evaluations"}
    assert again.find(key) and not again.find({**key, "seed": 1})
    for name, value in {
        "ema": 0.9,
        "max_steps": 11,
        "data_dir": "/other/cats",
        "architecture": "/other/network.keras",
        "precision": "float32",
        "init_from": "/run",
    }.items():
        now = dataclasses.replace(recipe, **{name: value})
        with pytest.raises(InputError, match=rf"\({name} was .*, is {value!r}\); choose another"):
            Record(path, "photos", now)
    with pytest.raises(InputError, match="recipe was 'photos', is 'mnist'"):
        Record(path, "mnist", recipe)


def test_record_of_an_earlier_version_does_not_go_on():
    earlier = SCRIPT.parents[1] / "docs" / "studies" / "comparison_mnist5k.json"
    with pytest.raises(InputError, match="an earlier version, which did not record all settings"):
        Record(earlier, "mnist5k", recipes.get("mnist5k"))


def test_held_lets_one_command_write(tmp_path):
    with held(tmp_path / "of" / "digits"):
        with pytest.raises(InputError, match=r"in use by process .* choose another --out"):
            held(tmp_path / "of" / "digits").__enter__()
        with held(tmp_path / "of" / "signs"):
            pass


def test_milliseconds_per_step_are_of_the_graph_that_fit_trains(monkeypatch):
    digits = np.zeros((4, 8, 8, 1), np.uint8)
    batches = pipeline.association_batches(
        digits, np.arange(4) % 2, digits, sup_per_batch=2, unsup_batch_size=3
    )
    model = AssociativeModel(keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()]), 2)
    model.compile("sgd")
    monkeypatch.setattr(running, "_build", lambda job: (None, model, batches))
    rows = []
    monkeypatch.setattr(model, "compute_loss", noting(rows, model.compute_loss))
    times = running.milliseconds_per_step([running.Job("association", {}, Recipe())])
    assert times["association"] > 0
    assert rows[0].are_known()


def noting(rows, compute_loss):
    """`compute_loss`, which notes the rows that it is given."""

    def noted(x, y, *others, **named):
        rows.append(y)
        return compute_loss(x, y, *others, **named)

    return noted


def test_measure_times_measures_all_in_turn_if_one_is_missing(tmp_path, monkeypatch, capsys):
    taken = []

    def measured(jobs):
        taken.append([job.method for job in jobs])
        return {job.method: 70.0 + len(taken) for job in jobs}

    now = here_and_now()  # once, as midnight may come
    monkeypatch.setattr(running, "here_and_now", lambda: now)
    monkeypatch.setattr(running, "milliseconds_per_step", measured)
    recipe = Recipe(max_steps=400)
    record = Record(tmp_path / "r.json", "mnist5k", recipe)
    running.measure_times(record, ["vat"], {}, recipe)
    assert record.milliseconds == {"association": 71.0, "vat": 71.0}
    assert record.content["times"]["vat"] == {"milliseconds": 71.0, **now}
    running.measure_times(record, ["vat"], {}, recipe)
    assert "measured again" not in capsys.readouterr().out
    running.measure_times(record, ["dann"], {}, recipe)
    assert taken == [["association", "vat"], ["association", "dann", "vat"]]
    assert record.milliseconds == {"association": 72.0, "vat": 72.0, "dann": 72.0}
    assert "The times on record are measured again" in capsys.readouterr().out
    record.content["times"]["dann"]["versions"] = {"keras": "3.1"}
    monkeypatch.setattr(running, "hardware", lambda: "an abacus")
    running.measure_times(record, ["vat"], {}, recipe)  # they are those of the record
    with pytest.raises(InputError, match="times of other hardware"):
        running.measure_times(record, ["coral"], {}, recipe)
    monkeypatch.undo()
    monkeypatch.setattr(running, "milliseconds_per_step", measured)
    running.measure_times(record, ["vat"], {}, recipe)
    assert taken[2:] == [["association", "vat", "dann"]]
    assert record.content["times"]["dann"]["versions"] == now["versions"]


def test_steps_in_time_are_all_of_associations(tmp_path):
    record = Record(tmp_path / "r.json", "mnist5k", Recipe(max_steps=400))
    time = 187.41885401922283
    assert int(400 * time / time) == 399
    of = {"association": time, "pi_model": 2 * time, "vat": 1000 * time}
    record.content["times"] = {name: {"milliseconds": each} for name, each in of.items()}
    assert record.steps_in_time(list(of)) == {"association": 400, "pi_model": 200, "vat": 1}


@pytest.fixture
def drawn(monkeypatch):
    """The axes of each figure of a report, as they are made."""
    made = []
    plot = report.Figure.add_subplot

    def kept(figure):
        made.append(plot(figure))
        return made[-1]

    monkeypatch.setattr(report.Figure, "add_subplot", kept)
    return made


def test_report_leaves_out_seeds_beyond_those_asked_for(tmp_path, drawn):
    record = Record(tmp_path / "r.json", "mnist5k", Recipe(max_steps=10))
    for seed, error in enumerate((3.0, 9.0, 4.0, 1.0, 20.0)):
        record.add(a_run("association", seed, error))
    for seed, error in enumerate((5.0, 6.0, 7.0)):
        record.add(a_run("vat", seed, error))
    names = ["association", "vat"]
    association, vat = report.table(record, names, {}, {}, 3).split("\n")[2:]
    assert " | 4.00 (3.00 to 9.00) | 3 | " in association
    assert " | 6.00 (5.00 to 7.00) | 3 | " in vat
    report.figure(record, names, {}, {}, 3, tmp_path / "r.png")
    medians = [list(line.get_ydata()) for line in drawn[0].lines]
    assert medians == [[8.0, 4.0], [12.0, 6.0]]
    bands = [band.get_paths()[0].vertices[:, 1] for band in drawn[0].collections]
    assert [(min(band), max(band)) for band in bands] == [(3.0, 18.0), (5.0, 14.0)]


def test_table_has_medians_at_equal_steps_and_in_equal_time(tmp_path, drawn):
    record = Record(tmp_path / "r.json", "mnist5k", Recipe(max_steps=10))
    for seed, error in enumerate((3.0, 9.0, 4.0)):
        record.add(a_run("association", seed, error))
        record.add(a_run("pi_model", seed, error - 1))
        record.add(a_run("pi_model", seed, error + 1, steps=6))
    other = {"association": {"visit": 3.0, "walker": 1.0}}  # of a search that chose otherwise
    record.add(a_run("association", 0, 20.0, parameters=other))
    times = {"association": 100.0, "pi_model": 160.0}
    record.content["times"] = {name: {"milliseconds": time} for name, time in times.items()}
    names = ["association", "pi_model"]
    text = report.table(record, names, {}, {"association": 10, "pi_model": 6}, 5)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.split("\n")[2:]]
    first = "association|published|4.00 (3.00 to 9.00)|3|100.0|1|4.00 (3.00 to 9.00)|10"
    second = "Pi-model|published|3.00 (2.00 to 8.00)|3|160.0|2|5.00 (4.00 to 10.00)|6"
    assert rows == [first.split("|"), second.split("|")]
    record.add(a_run("pi_model", 3, 3.0))
    more = report.table(record, names, {}, {"association": 10, "pi_model": 6}, 5)
    assert " | 4, in the same time 3 | " in more
    for steps_of, errors in (({}, [6.0, 3.0]), ({"association": 10, "pi_model": 6}, [10.0, 5.0])):
        report.figure(record, names, {}, steps_of, 5, tmp_path / "r.png")
        association, pi_model = drawn[-1].lines
        assert list(association.get_ydata()) == [8.0, 4.0]
        assert list(pi_model.get_ydata()) == errors
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_that_diverged_is_told_and_counts_in_no_median(tmp_path, drawn):
    record = Record(tmp_path / "r.json", "mnist5k", Recipe(max_steps=10))
    for seed, error in enumerate((3.0, 9.0)):
        record.add(a_run("association", seed, error))
        record.add(a_run("vat", seed, error))
    assert "diverged" not in report.page(record, ["vat"], {}, {}, 3)
    nan = {"evaluations": [[5, 8.0, 1.0], [10, 0.5, None]]}  # right by chance
    for kind in (False, True):
        record.add({**a_run("vat", 2, 0.5, validation=kind), **nan})
    text = report.page(record, ["association", "vat"], {}, {}, 3)
    assert "| association | published | 6.00 (3.00 to 9.00) | 2 |" in text
    assert "| VAT and entropy | published | 6.00 (3.00 to 9.00); 1 diverged | 3 |" in text
    assert "| VAT and entropy | published | diverged |" in text
    assert "it counts in no median" in text
    assert report.spread([math.inf]) == "1 diverged"
    report.figure(record, ["vat"], {}, {}, 3, tmp_path / "r.png")
    assert list(drawn[0].lines[0].get_ydata()) == [12.0, 6.0]


def test_how_made_names_every_machine_and_day():
    first = {"hardware": "an abacus", "versions": {"python": "3", "keras": "3.1"}, "date": "1"}
    second = {**first, "hardware": "fingers", "date": "2"}
    assert report.how_made([first]) == "an abacus; python 3, keras 3.1; 1."
    assert report.how_made([second, first]) == "an abacus; fingers; python 3, keras 3.1; 1 to 2."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--backend=threading", "should be one of <loky|dask>"),
        ("--walker_weight=0 --visit_weight=0", "has no loss on unlabelled images"),
        ("--recipe=mnist_fast --walker_weight=0 --visit_weight=0", "has no loss on unlabelled"),
        ("--seed=3", "--seed can't be given here"),
        ("--eval_images=9", "--eval_images can't be given here"),
        ("--dataset=usps", "--dataset and --architecture change a recipe; name one"),
        ("--recipe=photos --methods=association --seeds=1", "folder needs --data_dir"),
    ],
)
def test_what_can_not_be_compared_is_refused(words, message, tmp_path):
    command = [sys.executable, SCRIPT, f"--out={tmp_path / 'out'}"]
    result = subprocess.run([*command, *words.split()], capture_output=True, text=True)
    assert result.returncode == 1
    assert message in result.stderr and result.stderr.count("\n") == 1, result.stderr


def test_search_table_lists_errors_by_seed(tmp_path):
    record = Record(tmp_path / "r.json", "mnist5k", Recipe(max_steps=10))
    for seed, error in ((101, 9.0), (100, 3.0)):  # as they end, side by side
        record.add(a_run("vat", seed, error, validation=True))
    assert "| VAT and entropy | published | 3.0, 9.0 |" in report.search_table(record, ["vat"])
