"""AssociativeModel as a Keras user meets it."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup.data.pipeline import association_batches
from semisup.errors import InputError
from semisup.losses import association, pseudo_labels, virtual_adversarial
from semisup.models.associative_model import AssociativeModel
from semisup.optimizers.schedules import Envelope

METRICS = {
    "loss",
    "classification_loss",
    "l2_loss",
    "walker_loss",
    "visit_loss",
    "p_correct",
    "estimated_accuracy",
    "visit_entropy",
    "error",
}


def network(emb_size=5, **kwargs):
    return keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(emb_size, **kwargs)]
    )


def batch(seed=0, labeled=8, unlabeled=10, classes=4):
    """Rows in any order: labels 0 ... classes - 1, and -1."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(labeled) % classes, np.full(unlabeled, -1)])
    images = random.normal(size=(len(labels), 6, 6, 1)).astype(np.float32)
    order = random.permutation(len(labels))
    return images[order], labels[order]


def compiled(optimizer="sgd", similarity="dot", **kwargs):
    keras.utils.set_random_seed(0)
    model = AssociativeModel(network(), 4, similarity=similarity, **kwargs)
    model.compile(optimizer)
    return model


def expected_losses(model, images, labels):
    outputs = model(images)
    A = outputs["embedding"].numpy()[labels >= 0]
    B = outputs["embedding"].numpy()[labels < 0]
    classification = association.classification_loss(
        outputs["logits"].numpy()[labels >= 0], labels[labels >= 0], model.label_smoothing
    )
    return association.association_losses(
        A, B, labels[labels >= 0], model.similarity, model.temperature
    ), classification


@pytest.mark.parametrize("similarity", ["dot", "cosine", "euclidean"])
def test_train_step_reports_the_losses_of_the_equations(similarity):
    model = compiled(
        similarity=similarity,
        label_smoothing=0.1,
        walker_weight=0.5,
        visit_weight=0.25,
        logit_weight=2.0,
    )
    images, labels = batch()
    walk, classification = expected_losses(model, images, labels)
    l2_loss = 1e-4 / 2 * float(np.sum(model.classifier.kernel.numpy() ** 2))
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert set(logs) == METRICS
    np.testing.assert_allclose(logs["l2_loss"], l2_loss, rtol=1e-5)
    np.testing.assert_allclose(logs["walker_loss"], walk.walker, rtol=1e-5)
    np.testing.assert_allclose(logs["visit_loss"], walk.visit, rtol=1e-5)
    np.testing.assert_allclose(logs["p_correct"], walk.p_correct, rtol=1e-5)
    np.testing.assert_allclose(logs["estimated_accuracy"], walk.estimated_accuracy, rtol=1e-5)
    np.testing.assert_allclose(logs["visit_entropy"], walk.visit_entropy, rtol=1e-5)
    np.testing.assert_allclose(logs["classification_loss"], classification, rtol=1e-5)
    total = 0.5 * walk.walker + 0.25 * walk.visit + 2.0 * classification + l2_loss
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)


def test_train_step_follows_the_gradient_of_the_total_loss():
    model = compiled(keras.optimizers.SGD(0.1))
    images, labels = batch()
    labeled, unlabeled = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    with tf.GradientTape() as tape:
        outputs = model(images)
        A, B = (tf.gather(outputs["embedding"], rows) for rows in (labeled, unlabeled))
        logits = tf.gather(outputs["logits"], labeled)
        losses = association.association_losses(A, B, labels[labeled])
        loss = losses.walker + losses.visit
        loss += association.classification_loss(logits, labels[labeled]) + sum(model.losses)
    weights = model.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    wanted = [w.numpy() - 0.1 * g.numpy() for w, g in zip(weights, gradients, strict=True)]
    model.train_on_batch(images, labels)
    for weight, value in zip(weights, wanted, strict=True):
        np.testing.assert_allclose(weight.numpy(), value, rtol=1e-4, atol=1e-6)


def test_fit_evaluate_predict_with_plain_keras():
    """Four classes, one bright quarter each, with ten labels a class."""
    random = np.random.default_rng(0)
    classes = np.tile(np.arange(4), 100)
    images = random.normal(size=(400, 6, 6, 1)).astype(np.float32) * 0.3
    for image, c in zip(images, classes, strict=True):
        row, column = divmod(int(c), 2)
        image[row * 3 : row * 3 + 3, column * 3 : column * 3 + 3] += 1.0
    labels = np.where(np.arange(400) < 40, classes, -1)
    keras.utils.set_random_seed(0)
    model = AssociativeModel(network(16), 4)
    model.compile("adam", metrics=["accuracy"])
    history = model.fit(images, labels, batch_size=200, epochs=40, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    results = model.evaluate(images, classes, verbose=0, return_dict=True)
    assert set(results) == {"loss", "classification_loss", "l2_loss", "error", "accuracy"}
    outputs = model.predict(images, verbose=0)
    assert outputs["embedding"].shape == (400, 16)
    error = 100 * np.mean(outputs["logits"].argmax(axis=1) != classes)
    assert float(results["error"]) == pytest.approx(error)
    assert float(results["accuracy"]) == pytest.approx(1 - error / 100)
    assert error < 5


def test_metrics_see_labelled_rows_only():
    model = compiled(keras.optimizers.SGD(0.0))
    model.compile(keras.optimizers.SGD(0.0), metrics=["accuracy"])
    images, labels = batch()
    logs = model.train_on_batch(images, labels, return_dict=True)
    predicted = model(images)["logits"].numpy().argmax(axis=1)
    wrong = np.mean(predicted[labels >= 0] != labels[labels >= 0])
    assert float(logs["error"]) == pytest.approx(100 * wrong)
    assert float(logs["accuracy"]) == pytest.approx(1 - wrong)


@pytest.mark.parametrize("virtual", [0, 2])
@pytest.mark.parametrize(("labeled", "unlabeled"), [(0, 6), (6, 0)])
def test_associative_model_is_finite_for_batches_of_one_kind(labeled, unlabeled, virtual):
    model = compiled(virtual_embeddings=virtual)
    images, labels = batch(labeled=labeled, unlabeled=unlabeled)
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert all(np.isfinite(value) for name, value in logs.items() if name != "error")
    assert np.isfinite(logs["error"]) == (labeled > 0)  # of no labelled image it is not 0
    assert all(np.all(np.isfinite(weight)) for weight in model.get_weights())
    assert logs["walker_loss"] == 0
    without_walk = logs["classification_loss"] + logs["l2_loss"]
    assert logs["loss"] == pytest.approx(without_walk, rel=1e-6)


def test_separate_batches_of_one_kind_leave_batch_norm_intact():
    for labeled, unlabeled in ((0, 6), (6, 0)):
        inner = keras.Sequential(
            [keras.Input((6, 6, 1)), keras.layers.BatchNormalization(), keras.layers.Flatten()]
        )
        model = AssociativeModel(inner, 4, similarity="dot", separate_batches=True)
        model.compile("sgd")
        model.train_on_batch(*batch(labeled=labeled, unlabeled=unlabeled))
        assert all(np.all(np.isfinite(weight)) for weight in model.get_weights())


class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(5)

    def call(self, images):
        return self.dense(self.flatten(images))


def test_a_model_that_its_first_batch_built_is_loaded_as_it_was_saved(tmp_path):
    model = AssociativeModel(Subclassed(), 4, separate_batches=True, virtual_embeddings=2)
    model.compile("adam")
    images, labels = batch()
    model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", {"Subclassed": Subclassed})
    assert len(again.weights) == len(model.weights)
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert int(again.optimizer.iterations) == 1


def test_images_may_come_in_a_list_of_one():
    images, labels = batch()
    wanted = compiled().train_on_batch(images, labels)
    assert compiled().train_on_batch([images], labels) == pytest.approx(wanted)
    model = compiled()
    np.testing.assert_array_equal(
        model.predict([images], verbose=0)["logits"], model.predict(images, verbose=0)["logits"]
    )
    labeled = labels >= 0
    error = model.evaluate(images[labeled], labels[labeled], verbose=0, return_dict=True)["error"]
    batches = tf.data.Dataset.from_tensors(((images[labeled],), labels[labeled]))
    assert model.evaluate(batches, verbose=0, return_dict=True)["error"] == error


@pytest.mark.parametrize("apart", [False, True])
def test_subclassed_networks_take_bytes(apart):
    keras.utils.set_random_seed(0)
    model = AssociativeModel(Subclassed(), 4, separate_batches=apart)
    model.compile("sgd")
    images, labels = batch()
    as_bytes = np.clip(100 + 40 * images, 0, 255).astype(np.uint8)
    model.train_on_batch(as_bytes, labels)
    np.testing.assert_array_equal(
        model.predict(as_bytes, verbose=0)["embedding"],
        model.predict(as_bytes.astype(np.float32), verbose=0)["embedding"],
    )


def test_subclassed_networks_that_scale_bytes_themselves_get_them():
    class Scaling(keras.Model):
        def call(self, images):
            return keras.layers.Flatten()(tf.image.convert_image_dtype(images, tf.float32))

    images = np.full((2, 6, 6, 1), 255, np.uint8)
    embedding = AssociativeModel(Scaling(), 4, similarity="dot")(images)["embedding"]
    np.testing.assert_array_equal(embedding, np.ones((2, 36)))


def test_images_may_come_in_a_dict_of_one():
    images, labels = batch()
    inner = network()
    named = keras.Model({"image": inner.inputs[0]}, inner.outputs[0])
    model = AssociativeModel(named, 4, similarity="dot")
    model.compile("sgd")
    np.testing.assert_array_equal(
        model.predict({"image": images}, verbose=0)["embedding"], inner(images)
    )
    model.fit({"image": images}, labels, verbose=0)
    model.fit(tf.data.Dataset.from_tensors(({"image": images}, labels)), verbose=0)


def test_a_network_may_give_its_embedding_in_a_list():
    inner = network()
    model = AssociativeModel(keras.Model(inner.inputs, inner.outputs), 4, similarity="dot")
    images, _ = batch()
    np.testing.assert_array_equal(model(images)["embedding"], inner(images))


@pytest.mark.parametrize("in_batches", [False, True])
@pytest.mark.parametrize(
    ("scale", "largest", "warned"),
    [(1 / 255, 1.0, True), (1 / 127.5, 0.9, True), (1 / 255, 255.0, False), (1.0, 1.0, False)],
)
def test_fit_warns_of_pixels_that_are_divided_twice(scale, largest, warned, in_batches, caplog):
    rescaling = keras.layers.Rescaling(scale)
    model = AssociativeModel(keras.Sequential([rescaling, network()]), 4)
    model.compile("sgd")
    images = np.linspace(0, largest, 18 * 36, dtype=np.float32).reshape(18, 6, 6, 1)
    labels = np.concatenate([np.arange(8) % 4, np.full(10, -1)])
    given = images, labels
    if in_batches:
        given = (association_batches(images[:8], labels[:8], images, unsup_batch_size=4),)
    model.fit(*given, steps_per_epoch=1, verbose=0)
    assert ("divided by 255" in caplog.text) == warned
    caplog.clear()
    back = keras.Sequential([keras.layers.Rescaling(255.0), rescaling, network()])
    model = AssociativeModel(back, 4)
    model.compile("sgd")
    model.fit(*given, steps_per_epoch=1, verbose=0)
    assert "divided by 255" not in caplog.text


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("called", [False, True])
def test_associative_model_takes_subclassed_networks(called, apart):
    inner = Subclassed()
    if called:
        inner(batch()[0])
    model = AssociativeModel(inner, 4, separate_batches=apart)
    model.compile("adam")
    model.train_on_batch(*batch())  # builds it, too
    assert len(model.trainable_variables) == 4
    before = model.predict(batch()[0], verbose=0)["embedding"]
    model.train_on_batch(*batch())
    assert not np.allclose(before, model.predict(batch()[0], verbose=0)["embedding"])


def test_evaluate_weights_every_image_equally():
    model = compiled(logit_weight=3.0)
    images, labels = batch(labeled=33, unlabeled=0)
    images[-1] *= 100  # alone in the last batch of 32 and 1
    whole = model.evaluate(images, labels, batch_size=33, verbose=0, return_dict=True)
    parts = model.evaluate(images, labels, batch_size=32, verbose=0, return_dict=True)
    for name in ("loss", "classification_loss", "error"):
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-5)
    l2_loss = 1e-4 / 2 * float(np.sum(model.classifier.kernel.numpy() ** 2))
    wanted = 3 * whole["classification_loss"] + l2_loss
    np.testing.assert_allclose(whole["loss"], wanted, rtol=1e-5)


def test_fit_stops_at_a_label_that_is_no_class():
    model = compiled()
    before = model.get_weights()
    images, labels = np.zeros((3, 6, 6, 1), np.float32), np.array([1, 2, 4])
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(3)
    calls = [
        lambda: model.fit(batches, verbose=0),  # known in the graph only
        lambda: model.evaluate(batches, verbose=0),
        lambda: model.train_on_batch(images, labels),
        lambda: model.test_on_batch(images, labels),
        lambda: model.fit(images, labels, verbose=0),
    ]
    for call in calls:
        with pytest.raises(InputError, match=r"^labels must be whole numbers in \[0, 4\).* 1 to 4"):
            call()
    for weight, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, now)


def test_fit_and_evaluate_refuse_images_without_any_label():
    images, labels = batch()
    model, none = compiled(), np.full(len(labels), -1)
    last = np.argsort(-labels)  # the unlabelled ones come last
    with pytest.raises(InputError, match=r"`validation_split=0\.2` takes the last 4 images"):
        model.fit(images[last], labels[last], validation_split=0.2, verbose=0)
    with pytest.raises(InputError, match="`validation_data` needs images with labels"):
        model.fit(images, labels, validation_data=(images, none), verbose=0)
    with pytest.raises(InputError, match="no image to train on has a label"):
        model.fit(images, none, verbose=0)
    # Keras passes over the split where there is `validation_data`.
    model.fit(
        *(images[last], labels[last]),
        validation_split=0.2,
        validation_data=(images[labels >= 0], labels[labels >= 0]),
        verbose=0,
    )
    with pytest.raises(InputError, match="are names"):
        model.fit(images, none.astype(str), verbose=0)
    with pytest.raises(InputError, match="evaluate needs images with labels"):
        model.evaluate(images, none, verbose=0)


def test_evaluate_on_nothing_is_nan_with_a_word(caplog):
    images, labels = batch()
    none = tf.data.Dataset.from_tensor_slices((images, np.full(len(labels), -1))).batch(9)
    stop = keras.callbacks.EarlyStopping("val_error", mode="min", restore_best_weights=True)
    model = compiled()
    history = model.fit(
        images, labels, validation_data=none, epochs=2, verbose=0, callbacks=[stop]
    ).history
    assert np.isnan([history[name] for name in history if name.startswith("val_")]).all()
    assert "no labelled image to evaluate on" in caplog.text
    assert np.isfinite(model.evaluate(images, labels, return_dict=True, verbose=0)["error"])


def test_endless_batches_need_a_number_of_steps():
    images, labels = batch()
    labeled = labels >= 0
    endless = association_batches(images[labeled], labels[labeled], images, unsup_batch_size=9)
    model = compiled()
    for call, argument in (
        (lambda: model.fit(endless), "steps_per_epoch"),
        (lambda: model.fit(images, labels, validation_data=endless), "validation_steps"),
        (lambda: model.evaluate(endless.map(lambda *pair: pair)), "steps"),
        (lambda: model.predict(endless.map(lambda images, _: images)), "steps"),
    ):
        with pytest.raises(InputError, match=f"infinite, so .* needs `{argument}`"):
            call()
    model.fit(endless, steps_per_epoch=1, verbose=0)


@pytest.mark.parametrize("floatx", ["float16", "bfloat16", "float64"])
def test_model_trains_whatever_floatx_is(floatx):
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)  # as it is where nothing has asked for it before
    try:
        model = AssociativeModel(network(kernel_regularizer="l2"), 4)
        model.compile("sgd")
        logs = model.train_on_batch(*batch(), return_dict=True)
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])
    assert np.isfinite([float(value) for value in logs.values()]).all()
    assert model.means["error"].dtype == "float32"


def test_own_batches_of_other_shapes_end_with_one_line():
    images, labels = batch()
    pairs = tf.data.Dataset.from_tensor_slices((images, labels))
    unlabeled = pairs.map(lambda image, _: image)
    other = tf.data.Dataset.from_tensors((images, labels[:5]))
    for batches, words in (
        (pairs, "are one number: batch the data set"),
        (tf.data.Dataset.zip((pairs.batch(2), unlabeled.batch(2))), "like images: a batch is a"),
        (other, "a batch has 5 labels for 18 images"),
    ):
        with pytest.raises(InputError, match=words):
            compiled().fit(batches, verbose=0)
    with pytest.raises(InputError, match="a batch has 5 labels for 18 images"):
        compiled().evaluate(other.map(lambda x, y: (x, tf.maximum(y, 0))), verbose=0)


def test_batches_without_unlabelled_images_are_told(caplog):
    images, labels = batch()
    labeled = labels >= 0
    batches = association_batches(images[labeled], labels[labeled], None)
    compiled(walker_weight=0, visit_weight=0).fit(batches, steps_per_epoch=1, verbose=0)
    assert not [each for each in caplog.records if each.name == "absl"]  # TensorFlow has notes, too
    compiled().fit(batches, steps_per_epoch=1, verbose=0)
    assert "so nothing was learned by association" in caplog.text


@pytest.mark.parametrize("as_batches", [False, True])
def test_fit_tells_of_images_without_a_use(as_batches, caplog):
    images, labels = batch()

    def fitted(images, labels):
        caplog.clear()
        data = tf.data.Dataset.from_tensors((images, labels)) if as_batches else images
        compiled().fit(data, None if as_batches else labels, verbose=0)
        return caplog.text

    assert "WARNING" not in fitted(images, labels)
    labeled = labels >= 0
    told = fitted(images[labeled], labels[labeled])
    assert "no batch had both labelled and unlabelled images" in told
    if as_batches:  # arrays are looked at before
        assert "no batch had a labelled image" in fitted(images, np.full_like(labels, -1))


def test_fit_refuses_arrays_with_a_nan_and_tells_of_weights_without_a_value(caplog):
    images, labels = batch()
    images = images.copy()
    images[3, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"images\[3\] of the array .* NaN or infinite"):
        compiled().fit(images, labels, verbose=0)
    compiled().fit(tf.data.Dataset.from_tensors((images, labels)), verbose=0)
    assert "weights are NaN or infinite, such as" in caplog.text


def test_labels_of_a_batch_may_be_a_list_or_a_column():
    images, labels = batch()
    results = []
    for given in (labels, labels.tolist(), labels[:, None], tf.constant(labels)):
        model = compiled()
        results.append(model.train_on_batch(images, given)[0])
        results.append(model.train_on_batch(images, labels[:, None])[0])
    np.testing.assert_allclose(results, 4 * results[:2], rtol=1e-5)
    model.test_on_batch(images, labels.tolist())
    with pytest.raises(InputError, match="they go from -1 to 7"):
        model.train_on_batch(images, np.where(labels == 0, 7, labels))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda labels: np.where(labels < 0, -2, labels), "they go from -2 to 3"),
        (lambda labels: np.where(labels < 0, np.nan, labels), "they go from .*nan"),
        (lambda labels: labels[:-2], "a batch has 16 labels for 18 images"),
        (lambda labels: np.append(labels, 0), "a batch has 19 labels for 18 images"),
    ],
)
def test_compute_loss_refuses_labels_that_are_no_classes(change, line):
    images, labels = batch()
    model = compiled()
    outputs = model(images)
    assert np.isfinite(model.compute_loss(y=labels, y_pred=outputs))
    with pytest.raises(InputError, match=line):
        model.compute_loss(y=change(labels), y_pred=outputs)


def test_train_on_batch_in_a_callback_of_fit_has_a_layout_of_its_own():
    """The batches of `fit` begin with two labelled images, this one with unlabelled ones."""
    images, labels = batch()
    options = {"sup_per_batch": 1, "unsup_batch_size": 5}
    batches = association_batches(images[labels >= 0], labels[labels >= 0], images, **options)
    mixed = images[:6], np.array([-1, -1, 0, 1, -1, 2])
    model, losses = compiled(), []

    class Another(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            values = model.train_on_batch(*mixed, return_dict=True)
            losses.append(values["classification_loss"])

    other = compiled()
    other.fit(batches, steps_per_epoch=1, verbose=0)
    wanted = other.train_on_batch(*mixed, return_dict=True)["classification_loss"]
    model.fit(batches, steps_per_epoch=1, epochs=2, verbose=0, callbacks=[Another()])
    np.testing.assert_allclose(losses[0], wanted, rtol=1e-5)
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert model.means["visit_loss"].result() > 0


def test_a_nan_in_an_image_reaches_the_loss():
    images, labels = batch()
    images[0, 0, 0] = np.nan
    stop = keras.callbacks.TerminateOnNaN()
    batches = tf.data.Dataset.from_tensors((images, labels))  # arrays are looked at before
    model = compiled(similarity="cosine")
    history = model.fit(batches, epochs=3, verbose=0, callbacks=[stop])
    assert np.isnan(history.history["loss"][0])
    assert len(history.epoch) == 1


def test_loss_weights_can_be_read():
    model = compiled(visit_weight=0.25)
    assert float(model.visit_weight(7)) == 0.25
    assert float(model.walker_weight(7)) == 1.0
    with pytest.raises(AttributeError, match="has no attribute 'visit_wait'"):
        _ = model.visit_wait
    with pytest.raises(TypeError):  # the graph would pass it over
        model.loss_schedules["visit_weight"] = Envelope(0.0)


def test_a_weight_with_a_python_if_is_named():
    model = compiled(visit_weight=lambda step: 1.0 if step > 1 else 0.0)
    with pytest.raises(InputError, match="`visit_weight` has a Python `if` over the training step"):
        model.fit(*batch(), verbose=0)


def test_a_weight_may_be_of_any_type_of_number():
    images, labels = batch()
    wanted = compiled(visit_weight=0.5).train_on_batch(images, labels)
    model = compiled(visit_weight=lambda step: tf.cast(step, tf.float64) + 0.5)
    assert model.train_on_batch(images, labels) == pytest.approx(wanted)


def test_a_weight_that_a_graph_can_not_compute_is_named():
    model = compiled(visit_weight=lambda step: np.minimum(step, 3))
    with pytest.raises(InputError, match="`visit_weight` can't be computed from the training step"):
        model.fit(*batch(), verbose=0)


def test_vat_refuses_a_network_that_takes_integers():
    layers = [keras.layers.Embedding(9, 3), keras.layers.GlobalAveragePooling1D()]
    tokens = keras.Sequential([keras.Input((4,), dtype="int32"), *layers])
    model = AssociativeModel(tokens, 2, vat_weight=1.0)
    model.compile("sgd")
    with pytest.raises(InputError, match="needs a network that is differentiable by its input"):
        model.train_on_batch(np.ones((4, 4), np.int32), np.array([0, 1, -1, -1]))


def test_callbacks_know_which_metrics_should_rise():
    images, labels = batch()
    validation = (images[labels >= 0], labels[labels >= 0])
    modes = {"val_error": "min", "walker_loss": "min"}
    modes |= dict.fromkeys(("p_correct", "estimated_accuracy", "visit_entropy"), "max")
    stops = [keras.callbacks.EarlyStopping(name) for name in modes]
    compiled().fit(images, labels, validation_data=validation, callbacks=stops, epochs=2, verbose=0)
    assert [stop.mode for stop in stops] == list(modes.values())


def test_error_can_be_watched_by_callbacks(tmp_path):
    images, labels = batch()
    callbacks = [
        keras.callbacks.EarlyStopping("val_error"),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", "val_error", save_best_only=True),
    ]
    compiled().fit(
        images,
        labels,
        validation_data=(images[labels >= 0], labels[labels >= 0]),
        callbacks=callbacks,
        verbose=0,
    )
    assert (tmp_path / "best.keras").exists()


def test_results_of_evaluate_have_the_order_of_their_names():
    images, labels = batch()
    model = compiled()
    model.fit(images, labels, verbose=0)
    labeled = images[labels >= 0], labels[labels >= 0]
    expected = model.evaluate(*labeled, verbose=0, return_dict=True)
    listed = dict(zip(model.metrics_names, model.evaluate(*labeled, verbose=0), strict=False))
    assert listed["error"] == expected["error"] > 1


@pytest.mark.parametrize(("labeled", "warns"), [(8, True), (32, False), (64, False)])
def test_fit_warns_of_random_batches_with_few_labels(labeled, warns, caplog):
    images = np.random.default_rng(0).random((64, 6, 6, 1), np.float32)
    labels = np.r_[np.arange(labeled) % 4, np.full(64 - labeled, -1)]
    compiled().fit(images, labels, batch_size=16, verbose=0)
    assert ("a batch of 16 has 2.0 labelled images on average" in caplog.text) == warns
    assert bool(caplog.messages) == (warns or labeled == 64)  # that none is unlabelled


def test_fit_of_batches_has_no_warning_of_shuffling(recwarn):
    images, labels = batch()
    compiled().fit(tf.data.Dataset.from_tensors((images, labels)), verbose=0)
    assert not [w for w in recwarn if "shuffle" in str(w.message)]


def test_labels_may_be_a_column():
    images, labels = batch()
    row = compiled().train_on_batch(images, labels, return_dict=True)
    column = compiled().train_on_batch(images, labels[:, None], return_dict=True)
    assert row == column


def test_loss_weights_follow_their_schedules():
    model = compiled(visit_weight=Envelope(1.0, "linear", steps=2, delay=1), walker_weight=0.5)
    images, labels = batch()
    seen = []
    for _ in range(5):
        seen.append(float(model.loss_weights_now()["visit_weight"]))
        model.train_on_batch(images, labels)
    assert seen == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_virtual_embeddings_join_the_walk_as_classes_of_their_own():
    model = compiled(keras.optimizers.SGD(1.0), virtual_embeddings=3)
    images, labels = batch()
    outputs = model(images)
    embedding = outputs["embedding"].numpy()
    before = model.virtual.numpy()
    losses = association.association_losses(
        np.concatenate([embedding[labels >= 0], before]),
        embedding[labels < 0],
        np.concatenate([labels[labels >= 0], [4, 5, 6]]),
    )
    logs = model.train_on_batch(images, labels, return_dict=True)
    np.testing.assert_allclose(logs["walker_loss"], losses.walker, rtol=1e-5)
    assert outputs["logits"].shape == (18, 4)
    assert not np.allclose(model.virtual.numpy(), before)


def test_separate_batches_normalise_each_by_itself():
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.BatchNormalization(), keras.layers.Flatten()]
    )
    model = AssociativeModel(inner, 4, similarity="dot", separate_batches=True)
    model.compile("sgd")
    images, labels = batch()
    images[labels < 0] = images[labels < 0] * 5 + 3
    apart = model((tf.constant(images), tf.constant(labels)), training=True)["embedding"].numpy()
    for rows in (labels >= 0, labels < 0):
        values = images[rows]
        wanted = (values - values.mean()) / np.sqrt(values.var() + 1e-3)
        np.testing.assert_allclose(apart[rows], wanted.reshape(len(values), -1), atol=1e-4)
    logs = model.train_on_batch(images, labels, return_dict=True)
    together = association.association_losses(
        apart[labels >= 0], apart[labels < 0], labels[labels >= 0]
    )
    np.testing.assert_allclose(logs["walker_loss"], together.walker, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"virtual_embeddings": 2, "visit_weight": 0.25}])
def test_saved_model_loads_in_safe_mode_and_agrees(tmp_path, options):
    model = compiled("adam", walker_weight=Envelope(1.0, "sigmoid", 10, 2), **options)
    images, labels = batch()
    model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    one, other = model.predict(images, verbose=0), again.predict(images, verbose=0)
    for name in ("embedding", "logits"):
        np.testing.assert_array_equal(one[name], other[name])
    # Training goes on as if nothing had happened. (Keras 3.5 does not begin a new mean by itself.)
    model.reset_metrics()
    assert model.train_on_batch(images, labels) == again.train_on_batch(images, labels)
    for weight, other_weight in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other_weight)


def test_associative_model_builds_a_network_by_its_first_batch():
    unbuilt = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(5)])
    model = AssociativeModel(unbuilt, 4)
    model.compile("adam")
    model.train_on_batch(*batch())
    assert model.predict(batch()[0], verbose=0)["embedding"].shape == (18, 5)


def test_outputs_are_float32_under_mixed_precision():
    inner = network(dtype="mixed_bfloat16")
    model = AssociativeModel(inner, 4)
    outputs = model(batch()[0])
    assert outputs["embedding"].dtype == tf.float32
    assert outputs["logits"].dtype == tf.float32


def test_associative_model_refuses_bad_use():
    with pytest.raises(InputError, match=r"must map images to embeddings \[batch, D\]"):
        AssociativeModel(keras.Sequential([keras.Input((6, 6, 1)), keras.layers.ReLU()]), 4)
    model = AssociativeModel(network(), 4)
    model.compile("sgd", loss="mse")
    with pytest.raises(InputError, match="has its own losses"):
        model.train_on_batch(*batch())
    model = compiled()
    with pytest.raises(InputError, match="no sample weights"):
        model.train_on_batch(*batch(), sample_weight=np.ones(18))
    with pytest.raises(InputError, match="takes no sample weights or class weights; leave them"):
        model.fit(*batch(), class_weight={0: 2.0}, verbose=0)
    with pytest.raises(InputError, match="takes no sample weights; give `validation_data=\\(im"):
        model.fit(*batch(), validation_data=(*batch(), np.ones(18)), verbose=0)
    weighted = AssociativeModel(network(), 4)
    weighted.compile("sgd", loss_weights=[2.0])
    with pytest.raises(InputError, match="has its own losses: leave out `loss` and `loss_weights`"):
        weighted.train_on_batch(*batch())
    with pytest.raises(InputError, match="call compile"):
        AssociativeModel(network(), 4).loss_weights_now()
    with pytest.raises(InputError, match=r"labels must be an array .* but are a list"):
        model.compute_loss(y=[0, 1], y_pred=model(batch()[0]))
    one_hot = np.eye(4)[np.arange(18) % 4]
    with pytest.raises(InputError, match="one-hot labels into numbers with argmax"):
        model.train_on_batch(batch()[0], one_hot)
    with pytest.raises(InputError, match="`walker_weight` is -1; it must be at least 0"):
        AssociativeModel(network(), 4, walker_weight=-1.0)
    for smoothing in (-0.1, 1.0):
        with pytest.raises(InputError, match=r"`label_smoothing` is .*; it must be in \[0, 1\)"):
            AssociativeModel(network(), 4, label_smoothing=smoothing)
    for weight in (tf.Variable(1.0), "1", None):  # of a variable only the first value would count
        with pytest.raises(InputError, match="must be a number, or a function of the training"):
            AssociativeModel(network(), 4, visit_weight=weight)
    with pytest.raises(InputError, match="`walker_weight` is set when a model is made"):
        model.walker_weight = 0.0  # else it would go on with the one it has
    with pytest.raises(InputError, match="`temperature` is set when a model is made"):
        model.temperature = 1.0
    for wrong in (tf.constant(-1.0), "0.1"):
        with pytest.raises(InputError, match=r"`temperature` is .*; it must be a number"):
            AssociativeModel(network(), 4, temperature=wrong)
    with pytest.raises(InputError, match="`walker_weight` is nan"):
        AssociativeModel(network(), 4, walker_weight=math.nan)
    with pytest.raises(
        InputError, match=r"`network` must be a Keras model .* is <function network"
    ):
        AssociativeModel(network, 4)
    two = keras.Input((4,))
    with pytest.raises(InputError, match="but it gives several or a dict; take one"):
        AssociativeModel(keras.Model(two, [two, two]), 4)
    for apart in (False, True):
        with pytest.raises(InputError, match="there are no labels"):
            compiled(separate_batches=apart).fit(batch()[0], verbose=0)


@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
def test_pseudo_labels_add_their_loss(similarity):
    """The total grows by the weight, at this step, times the loss; without a weight by nothing."""
    images = np.random.default_rng(0).normal(size=(30, 6)).astype("float32") * 9
    labels = np.r_[np.arange(12) % 3, np.full(18, -1)]

    def first_step(**options):
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
        model = AssociativeModel(network, 3, similarity=similarity, **options)
        model.compile(keras.optimizers.SGD(0.0))
        return model, model.train_on_batch(images, labels, return_dict=True)

    _, plain = first_step()
    model, logs = first_step(pseudo_label_weight=0.5)
    assert "pseudo_label_loss" not in plain
    assert logs["pseudo_label_loss"] > 0.01
    total = plain["loss"] + 0.5 * logs["pseudo_label_loss"]
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)
    A, B = model(images[:12])["embedding"], model(images[12:])
    mass = pseudo_labels.class_mass(A, B["embedding"], labels[:12], 3, similarity)
    expected = pseudo_labels.pseudo_label_loss(B["logits"], mass)
    np.testing.assert_allclose(logs["pseudo_label_loss"], expected, rtol=1e-5)
    assert "pseudo_label_loss" not in model.evaluate(images, labels, return_dict=True, verbose=0)

    later = Envelope(1.0, "linear", steps=10, delay=5)
    model, logs = first_step(pseudo_label_weight=later)
    assert logs["loss"] == pytest.approx(plain["loss"])
    assert model.uses_pseudo_labels


def test_virtual_adversarial_training_adds_its_loss():
    """The total grows by the weight times the loss of B's images, each changed by 30 %."""
    images, labels = batch()
    plain = compiled(keras.optimizers.SGD(0.0)).train_on_batch(images, labels, return_dict=True)
    model = compiled(keras.optimizers.SGD(0.0), vat_weight=0.5, vat_epsilon=0.3)
    assert "vat_loss" not in plain
    B = tf.constant(images[labels < 0])
    logits = model(B)["logits"]
    lengths = 0.3 * np.sqrt((B.numpy() ** 2).sum(axis=(1, 2, 3)))
    for step in (0, 1):
        model.reset_metrics()
        logs = model.train_on_batch(images, labels, return_dict=True)
        assert logs["loss"] == pytest.approx(plain["loss"] + 0.5 * logs["vat_loss"], rel=1e-5)
        noise = tf.random.stateless_normal([1, 6, 6, 1], [step, 0], alg="philox")
        change = virtual_adversarial.adversarial_divergence(
            lambda x: model(x)["logits"], B, logits, noise, lengths
        )
        expected = np.mean(change + virtual_adversarial.entropy(logits))
        assert expected > 0.01
        assert logs["vat_loss"] == pytest.approx(expected, rel=1e-5)
    assert "vat_loss" not in model.evaluate(images, labels, return_dict=True, verbose=0)


@pytest.mark.parametrize("weight", ["pseudo_label_weight", "vat_weight"])
def test_losses_beyond_the_paper_are_learned(weight):
    """By themselves they change the network, all the way down."""
    alone = {"walker_weight": 0.0, "visit_weight": 0.0, "logit_weight": 0.0, weight: 1.0}
    model = compiled(keras.optimizers.SGD(1.0), **alone)
    kernel = model.network.trainable_variables[0]
    before = kernel.numpy()
    images, labels = batch()
    model.train_on_batch(images * 9, labels)
    assert np.abs(kernel.numpy() - before).max() > 1e-3


def test_virtual_adversarial_training_passes_the_network_as_in_training():
    """Batch norm normalises the changed images by themselves, and counts them in its averages."""
    means = {}
    for vat_weight in (0.0, 0.5):
        keras.utils.set_random_seed(0)
        norm = keras.layers.BatchNormalization(momentum=0.5)
        model = AssociativeModel(keras.Sequential([network(), norm]), 4, vat_weight=vat_weight)
        model.compile(keras.optimizers.SGD(0.0))
        images, labels = batch()
        model.train_on_batch(images + 1, labels)
        means[vat_weight] = norm.moving_mean.numpy()
    assert np.all(np.abs(means[0.5] - means[0.0]) > 0.01)


@pytest.mark.parametrize("apart", [False, True])
def test_virtual_adversarial_training_of_a_batch_without_unlabeled_images_is_zero(apart):
    images, labels = batch(unlabeled=0)
    model = compiled(vat_weight=0.5, separate_batches=apart)
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert logs["vat_loss"] == 0
    assert np.isfinite(logs["loss"])
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_virtual_adversarial_training_leaves_the_losses_that_layers_add_for_the_batch():
    logs = []
    for vat_weight in (0.0, 0.5):
        keras.utils.set_random_seed(0)
        inner = network(activity_regularizer=keras.regularizers.L2(0.1))
        model = AssociativeModel(inner, 4, vat_weight=vat_weight)
        model.compile("sgd")
        logs.append(model.train_on_batch(*batch(), return_dict=True))
    assert logs[0]["l2_loss"] > 0.1
    assert logs[1]["l2_loss"] == pytest.approx(logs[0]["l2_loss"], rel=1e-5)


def test_losses_that_a_layer_adds_for_each_row_are_summed():
    class Ones(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(keras.ops.ones(keras.ops.shape(inputs)[0]))
            return inputs

    images, labels = batch()
    plain = compiled().train_on_batch(images, labels, return_dict=True)
    keras.utils.set_random_seed(0)
    model = AssociativeModel(keras.Sequential([network(), Ones()]), 4, similarity="dot")
    model.compile("sgd")
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert logs["loss"] == pytest.approx(plain["loss"] + len(labels), rel=1e-5)


def test_separate_batches_take_losses_of_the_batch_where_the_rows_are_known():
    images, labels = batch()
    inner = network(activity_regularizer=keras.regularizers.L2(0.1))
    model = AssociativeModel(inner, 4, separate_batches=True)
    model.compile("sgd")
    with pytest.raises(InputError, match="needs batches that begin with the labelled images"):
        model.train_on_batch(images, labels)
    known = association_batches(
        images[labels >= 0], labels[labels >= 0], images, sup_per_batch=2, unsup_batch_size=10
    )
    drawn, _ = next(iter(known))
    squares = np.sum(np.square(inner(drawn), dtype=np.float64), axis=1)
    expected = 0.1 * (squares[:8].mean() + squares[8:].mean())  # of A and of B
    expected += 1e-4 / 2 * np.sum(np.square(model.classifier.kernel, dtype=np.float64))
    history = model.fit(known, steps_per_epoch=1, verbose=0).history
    assert history["l2_loss"][0] == pytest.approx(expected, rel=1e-5)


def test_network_must_take_one_tensor():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    embedding = keras.layers.Dense(3)(keras.layers.Concatenate()([a, b]))
    for inputs in ([a, b], {"a": a, "b": b}):
        with pytest.raises(InputError, match="the network must take one tensor of images"):
            AssociativeModel(keras.Model(inputs, embedding), 4)

    class Sum(keras.Model):
        def call(self, inputs):
            return inputs[0] + inputs[1]

    model = AssociativeModel(Sum(), 4)
    model.compile("sgd")
    images, labels = np.ones((8, 4), np.float32), np.arange(8) % 4
    with pytest.raises(InputError, match=r"but takes \(\(8, 4\), \(8, 4\)\)"):
        model.fit(tf.data.Dataset.from_tensors(((images, images), labels)), verbose=0)


def test_virtual_adversarial_training_bears_accumulated_gradients():
    model = AssociativeModel(network(), 4, vat_weight=1.0)
    model.compile(keras.optimizers.Adam(gradient_accumulation_steps=2))
    assert np.isfinite(model.train_on_batch(*batch(), return_dict=True)["vat_loss"])


def test_vat_epsilon_must_be_above_0():
    with pytest.raises(InputError, match=r"`vat_epsilon` is 0\.0; it must be above 0"):
        AssociativeModel(network(), 4, vat_epsilon=0)


@pytest.mark.parametrize("similarity", ["dot", "cosine", "euclidean"])
def test_temperature_divides_the_similarities(similarity):
    images, labels = batch()
    model = compiled(similarity=similarity, temperature=0.5, pseudo_label_weight=1.0)
    outputs = {name: value.numpy() for name, value in model(images).items()}
    A, B = (outputs["embedding"][rows] for rows in (labels >= 0, labels < 0))
    if similarity == "cosine":
        kernel, bias = (weight.numpy() for weight in model.classifier.weights)
        logits = 0.5**-0.5 * outputs["embedding"] @ kernel + bias
        np.testing.assert_allclose(outputs["logits"], logits, rtol=1e-5, atol=1e-5)
    walk = association.association_losses(A, B, labels[labels >= 0], similarity, 0.5)
    mass = pseudo_labels.class_mass(A, B, labels[labels >= 0], 4, similarity, 0.5)
    pseudo_label = pseudo_labels.pseudo_label_loss(outputs["logits"][labels < 0], mass)
    logs = model.train_on_batch(images, labels, return_dict=True)
    np.testing.assert_allclose(logs["walker_loss"], walk.walker, rtol=1e-5)
    np.testing.assert_allclose(logs["visit_loss"], walk.visit, rtol=1e-5)
    np.testing.assert_allclose(logs["pseudo_label_loss"], pseudo_label, rtol=1e-5)


def test_temperature_of_dot_products_is_one_by_default():
    assert compiled(similarity="dot").temperature == 1.0


def test_default_similarity_is_the_cosine_which_the_classifier_sees_too(tmp_path):
    images, _ = batch()
    keras.utils.set_random_seed(0)
    model = AssociativeModel(network(), 4)
    assert (model.similarity, model.temperature) == ("cosine", 0.16)
    raw = model.network(images).numpy()
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    outputs = model(images)
    np.testing.assert_allclose(outputs["embedding"], unit, rtol=1e-5, atol=1e-6)
    # On a sphere of radius 2.5: its dot products are the walk's similarities.
    logits = 2.5 * unit @ model.classifier.kernel.numpy() + model.classifier.bias.numpy()
    np.testing.assert_allclose(outputs["logits"], logits, rtol=1e-5, atol=1e-5)
    M = association.similarity_matrix(unit, unit, "cosine", model.temperature)
    np.testing.assert_allclose(M, (2.5 * unit) @ (2.5 * unit).T, rtol=1e-4, atol=1e-5)
    model.compile("sgd")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for name, value in again(images).items():
        np.testing.assert_array_equal(value, outputs[name])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_cosine_gives_the_same_for_embeddings_of_any_length(scale):
    images, _ = batch()
    model = compiled(similarity="cosine")
    before = model(images)["logits"].numpy()
    for weight in model.network.weights:
        weight.assign(weight * scale)
    np.testing.assert_allclose(model(images)["logits"], before, rtol=1e-3, atol=1e-4)


def test_models_saved_without_a_temperature_load_unless_they_would_classify_otherwise():
    config = compiled(temperature=0.25).get_config()
    assert AssociativeModel.from_config(dict(config)).temperature == 0.25
    del config["temperature"]
    assert AssociativeModel.from_config(dict(config)).temperature == 1.0
    with pytest.raises(InputError, match=r"saved by semisup 0\.1, whose classifier"):
        AssociativeModel.from_config({**config, "similarity": "cosine"})


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_temperature_must_be_above_zero(temperature):
    with pytest.raises(InputError, match=r"`temperature` is .*; it must be a number above 0"):
        compiled(temperature=temperature)
