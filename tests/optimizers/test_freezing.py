"""For the first steps the backbone stays as it is, to the bit; then it learns as if new."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup import AssociativeModel, association_batches
from semisup.optimizers import freezing
from semisup.training.loop import make_train_step

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
LABELS = np.arange(40) % 2


def make_model(freeze_steps):
    keras.utils.set_random_seed(0)
    fixed = keras.layers.Dense(6, trainable=False, name="fixed")
    backbone = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            fixed,
            keras.layers.Dense(6, name="learns"),
            keras.layers.BatchNormalization(momentum=0.5, name="norm"),
        ]
    )
    images = keras.Input((8, 8, 1))
    network = keras.Model(images, keras.layers.Dense(4, name="embedding")(backbone(images)))
    model = AssociativeModel(network, 2)
    model.compile(freezing.optimizer(0.01, model, network, freeze_steps))
    model.optimizer.build(model.trainable_variables)
    return model, backbone


def values(model):
    return [np.array(variable) for variable in model.variables]


def test_backbone_and_its_statistics_stay_for_n_traced_steps_then_move():
    model, backbone = make_model(freeze_steps=3)
    batches = association_batches(IMAGES, LABELS, IMAGES, sup_per_batch=5, unsup_batch_size=10)
    step = make_train_step(model, batches.element_spec)
    frozen_step = make_train_step(model, batches.element_spec)
    with freezing.frozen(model.network):
        frozen_step.get_concrete_function()
    first, top = values(backbone), values(model.network.get_layer("embedding"))
    batch = iter(batches)
    for _ in range(3):
        frozen_step(*next(batch))
    for before, after in zip(first, values(backbone), strict=True):
        np.testing.assert_array_equal(before, after)
    assert np.any(top[0] != values(model.network.get_layer("embedding"))[0])
    step(*next(batch))
    moved = [bool(np.any(a != b)) for a, b in zip(first, values(backbone), strict=True)]
    paths = [variable.path.split("/")[-2:] for variable in backbone.variables]
    for (layer, name), has_moved in zip(paths, moved, strict=True):
        assert has_moved == (layer != "fixed"), (layer, name)


def test_what_was_frozen_before_is_frozen_after():
    model, backbone = make_model(freeze_steps=3)
    before = [layer.trainable for layer in backbone.layers]
    with pytest.raises(RuntimeError), freezing.frozen(model.network):
        assert not any(layer.trainable for layer in backbone.layers if layer.weights)
        assert model.network.get_layer("embedding").trainable
        raise RuntimeError
    assert [layer.trainable for layer in backbone.layers] == before
    assert False in before


def test_a_late_variable_moves_as_under_a_new_adam():
    gradients = [tf.constant(g) for g in RANDOM.normal(size=(30, 3)).astype(np.float32)]
    early, late, fresh = (keras.Variable(np.zeros(3, np.float32)) for _ in range(3))
    optimizer = freezing.LateAdam(0.01, late=[1], late_by=20)
    optimizer.build([early, late])
    reference = keras.optimizers.Adam(0.01)
    plain, other = keras.optimizers.Adam(0.01), keras.Variable(np.zeros(3, np.float32))
    for step, gradient in enumerate(gradients):
        plain.apply([gradient], [other])
        if step < 20:
            optimizer.apply([gradient], [early])
        else:
            optimizer.apply([gradient, gradient], [early, late])
            reference.apply([gradient], [fresh])
            np.testing.assert_allclose(late, fresh, rtol=1e-4)
    np.testing.assert_allclose(early, other, rtol=1e-6)


def test_the_optimizer_saves_with_the_model(tmp_path):
    model, _ = make_model(freeze_steps=3)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").optimizer
    assert (again.late, again.late_by) == (model.optimizer.late, 3)
    names = [model.trainable_variables[place].path.split("/")[-2] for place in again.late]
    assert names == ["learns", "learns", "norm", "norm"]
