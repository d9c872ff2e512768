"""A and B of a batch, whether they are searched for or known; and XLA, which knows all sizes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup.data.pipeline import association_batches
from semisup.errors import InputError
from semisup.losses import blockwise
from semisup.models import batch_rows
from semisup.models.associative_model import AssociativeModel
from semisup.training.loop import make_train_step

IMAGES = np.random.default_rng(0).normal(size=(18, 6, 6, 1)).astype(np.float32)
LABELS = np.repeat(np.arange(4), 2)
RATE = 0.1


def batches():
    return association_batches(IMAGES[:8], LABELS, IMAGES[8:], sup_per_batch=2, unsup_batch_size=10)


def make_model(jit=False, **options):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Flatten(), keras.layers.BatchNormalization(), keras.layers.Dense(5)]
    network = keras.Sequential([keras.Input((6, 6, 1)), *layers])
    model = AssociativeModel(network, 4, **options)
    model.compile(keras.optimizers.SGD(RATE), jit_compile=jit)
    return model


def operations(model, data):
    """The kinds of operations in the graph of a step; it is taken."""
    step = make_train_step(model, data)
    step(*next(iter(data)))
    return {op.type for op in step.get_concrete_function().graph.get_operations()}


@pytest.mark.parametrize("shares", [1, 2])
def test_batch_rows_that_are_known_are_those_that_are_found(shares):
    labels = tf.constant(np.tile([2, 0, 1, -1, -1], shares), tf.int64)
    tensor = tf.reshape(tf.range(10 * shares), (-1, 2))
    known, found = batch_rows.find(labels, 3)._replace(shares=shares), batch_rows.find(labels)
    for part in ("of_A", "of_B"):
        a, b = (getattr(rows, part)(tensor) for rows in (known, found))
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(known.labels_of_A(), np.tile([2, 0, 1], shares))
    assert float(known.has_both()) == float(found.has_both()) == 1.0
    assert float(batch_rows.find(labels[:3], 3).has_both()) == 0.0
    for rows in (known, found):
        B, counts = rows.B_or_all()
        np.testing.assert_array_equal(tf.gather(tensor, B), found.of_B(tensor))
        np.testing.assert_array_equal(counts, np.ones(2 * shares))
    B, counts = batch_rows.find(labels[:3]).B_or_all()
    np.testing.assert_array_equal(B, [0, 1, 2])
    np.testing.assert_array_equal(counts, np.zeros(3))
    np.testing.assert_array_equal(found.in_order(found.of_A(tensor), found.of_B(tensor)), tensor)


@pytest.mark.parametrize("options", [{}, {"separate_batches": True}])
def test_step_on_our_batches_searches_no_labels_and_computes_the_same(options):
    ours = batches()
    known, searched = make_model(**options), make_model(**options)
    assert "Where" not in operations(known, ours)
    assert "Where" in operations(searched, ours.map(lambda *batch: batch))
    for ours, theirs in zip(known.weights, searched.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7)


def test_fit_forgets_the_layout_of_earlier_batches():
    model = make_model()
    model.fit(batches(), steps_per_epoch=1, verbose=0)
    traced = model.train_function
    model.fit(batches(), steps_per_epoch=1, verbose=0)
    assert model.train_function is traced
    assert model.labeled_first is None
    order = np.random.default_rng(0).permutation(18)
    labels = np.concatenate([LABELS, np.full(10, -1)])[order]
    copy = make_model()
    copy.set_weights(model.get_weights())
    logs = [m.train_on_batch(IMAGES[order], labels, return_dict=True) for m in (model, copy)]
    assert logs[0] == pytest.approx(logs[1], rel=1e-6)


def test_fit_refuses_our_batches_of_other_classes():
    model = AssociativeModel(make_model().network, 3)
    model.compile("sgd")
    with pytest.raises(InputError, match=r"in \[0, 3\), as `num_classes` says.* from -1 to 3"):
        model.fit(batches(), steps_per_epoch=1, verbose=0)


def test_jit_compile_is_off_unless_asked_for(monkeypatch):
    model = make_model()
    # With a GPU, Keras itself would take XLA.
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda *_: [gpu])
    model.compile("sgd")
    assert not model.jit_compile


# Where XLA sums in another order, float32 differs in its last bits; hence the tolerance.
@pytest.mark.parametrize(
    "options",
    [
        {"virtual_embeddings": 1, "pseudo_label_weight": 0.5, "vat_weight": 0.5},
        pytest.param({"separate_batches": True}, marks=pytest.mark.slow),
        pytest.param({"similarity": "euclidean"}, marks=pytest.mark.slow),
    ],
)
def test_jit_compile_gives_the_same_losses_and_gradients(options, monkeypatch):
    # XLA draws other numbers of the same seed.
    plain, jitted = make_model(**options), make_model(jit=True, **options)
    noise = np.random.default_rng(1).normal(size=(1, 6, 6, 1)).astype(np.float32)
    monkeypatch.setattr(tf.random, "stateless_normal", lambda *_, alg: noise)
    first = plain.get_weights()
    logs = [model.fit(batches(), steps_per_epoch=1, verbose=0).history for model in (plain, jitted)]
    assert jitted.jit_compile
    for name, value in logs[0].items():
        np.testing.assert_allclose(logs[1][name], value, rtol=1e-5, err_msg=name)
    for before, ours, theirs in zip(first, plain.get_weights(), jitted.get_weights(), strict=True):
        np.testing.assert_allclose((theirs - before) / RATE, (ours - before) / RATE, atol=2e-5)


def test_jit_compile_walks_over_large_batches_without_blocks(monkeypatch):
    monkeypatch.setattr(blockwise, "LARGEST_MATRIX", 10)
    history = make_model(jit=True).fit(batches(), steps_per_epoch=1, verbose=0).history
    assert 0.1 < history["walker_loss"][0] < 10


@pytest.mark.parametrize("options", [{"virtual_embeddings": 1}, {"separate_batches": True}])
def test_jit_compile_of_mixed_rows_refuses_what_xla_can_not_compile(options):
    labels = np.concatenate([LABELS, np.full(10, -1)])[::-1]
    with pytest.raises(InputError, match=r"`jit_compile=True` with `.*` needs batches that begin"):
        make_model(jit=True, **options).train_on_batch(IMAGES, labels)


@pytest.mark.parametrize("label", [-1, 2])
def test_jit_compile_of_a_batch_of_one_row_agrees(label):
    plain, jitted = make_model(), make_model(jit=True)
    for step in ("train_on_batch", "test_on_batch"):
        logs = [
            getattr(model, step)(IMAGES[:1], np.array([label]), return_dict=True)
            for model in (plain, jitted)
        ]
        assert logs[1] == pytest.approx(logs[0], rel=1e-5, nan_ok=True)
    for ours, theirs in zip(plain.get_weights(), jitted.get_weights(), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=2e-6)
        assert np.isfinite(theirs).all()


def test_sizes_of_a_batch_of_unknown_size_are_not_negative():
    sizes = []

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def rows(labels):
        found = batch_rows.find(labels, 3)
        sizes.append(found.sizes)
        return found.B_or_all()

    B, counts = rows(tf.constant([2, 0, 1], tf.int64))
    assert sizes == [(3, 0)]
    np.testing.assert_array_equal(B, [0, 1, 2])
    np.testing.assert_array_equal(counts, np.zeros(3))


def test_jit_compile_of_mixed_rows_agrees_and_a_wrong_label_makes_it_nan():
    order = np.random.default_rng(0).permutation(18)
    labels = np.concatenate([LABELS, np.full(10, -1)])[order]
    plain, jitted = make_model(), make_model(jit=True)
    logs = [m.train_on_batch(IMAGES[order], labels, return_dict=True) for m in (plain, jitted)]
    assert logs[1] == pytest.approx(logs[0], rel=1e-5)
    for wrong in (4, -2):
        bad = np.where(np.arange(18) == 3, wrong, labels)
        batches = tf.data.Dataset.from_tensors((IMAGES[order], bad))
        assert np.isnan(jitted.fit(batches, verbose=0).history["loss"])
