"""For the first steps the backbone stays the same bit for bit; then it is trained as if new."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup import AssociativeModel, association_batches
from semisup.optimizers import freezing
from semisup.optimizers.muon import Muon
from semisup.training.loop import make_train_step

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
LABELS = np.arange(40) % 2


def make_model(late_by, optimizer=freezing.LateAdam):
    keras.utils.set_random_seed(0)
    fixed = keras.layers.Dense(6, trainable=False, name="fixed")
    backbone = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            fixed,
            keras.layers.Dense(6, name="late"),
            keras.layers.BatchNormalization(momentum=0.5, name="norm"),
        ]
    )
    images = keras.Input((8, 8, 1))
    network = keras.Model(images, keras.layers.Dense(4, name="embedding")(backbone(images)))
    model = AssociativeModel(network, 2)
    model.compile(optimizer(0.01, late=freezing.late_variables(model), late_by=late_by))
    model.optimizer.build(model.trainable_variables)
    return model, backbone


def values(model):
    return [np.array(variable) for variable in model.variables]


@pytest.mark.parametrize("optimizer", [freezing.LateAdam, Muon])
def test_frozen_keeps_backbone_statistics_and_momentums_for_n_traced_steps(optimizer):
    model, backbone = make_model(late_by=3, optimizer=optimizer)
    batches = association_batches(IMAGES, LABELS, IMAGES, sup_per_batch=5, unsup_batch_size=10)
    step = make_train_step(model, batches)
    frozen_step = make_train_step(model, batches)
    with freezing.frozen(model.network):
        frozen_step.get_concrete_function()
    first, top = values(backbone), values(model.network.get_layer("embedding"))
    batch = iter(batches)
    for _ in range(3):
        frozen_step(*next(batch))
    for before, after in zip(first, values(backbone), strict=True):
        np.testing.assert_array_equal(before, after)
    assert np.any(top[0] != values(model.network.get_layer("embedding"))[0])
    for index, momentum in enumerate(model.optimizer._momentums):
        assert np.any(momentum) == (index not in model.optimizer.late)
    step(*next(batch))
    moved = [bool(np.any(a != b)) for a, b in zip(first, values(backbone), strict=True)]
    paths = [variable.path.split("/")[-2:] for variable in backbone.variables]
    for (layer, name), has_moved in zip(paths, moved, strict=True):
        assert has_moved == (layer != "fixed"), (layer, name)


def test_frozen_restores_what_was_trainable_before():
    model, backbone = make_model(late_by=3)
    before = [layer.trainable for layer in backbone.layers]
    with pytest.raises(RuntimeError), freezing.frozen(model.network):
        assert not any(layer.trainable for layer in backbone.layers if layer.weights)
        assert model.network.get_layer("embedding").trainable
        raise RuntimeError
    assert [layer.trainable for layer in backbone.layers] == before
    assert False in before


@pytest.mark.parametrize("shape", [(3,), (4, 3)])
@pytest.mark.parametrize(
    ("late_optimizer", "its_like"), [(freezing.LateAdam, keras.optimizers.Adam), (Muon, Muon)]
)
def test_late_variable_moves_as_under_a_new_optimizer(late_optimizer, its_like, shape):
    random = np.random.default_rng(0)
    gradients = [tf.constant(g) for g in random.normal(size=(30, *shape)).astype(np.float32)]
    early, late, fresh, other = (keras.Variable(np.zeros(shape, np.float32)) for _ in range(4))
    optimizer = late_optimizer(0.01, late=[1], late_by=20)
    optimizer.build([early, late])
    reference, plain = its_like(0.01), its_like(0.01)
    for step, gradient in enumerate(gradients):
        plain.apply([gradient], [other])
        if step < 20:
            optimizer.apply([gradient], [early])
        else:
            optimizer.apply([gradient, gradient], [early, late])
            reference.apply([gradient], [fresh])
            np.testing.assert_allclose(late, fresh, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(early, other, rtol=1e-6)


@pytest.mark.parametrize("optimizer", [freezing.LateAdam, Muon])
def test_late_optimizer_is_saved_with_the_model(tmp_path, optimizer):
    model, _ = make_model(late_by=3, optimizer=optimizer)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").optimizer
    assert (again.late, again.late_by) == (model.optimizer.late, 3)
    names = [model.trainable_variables[place].path.split("/")[-2] for place in again.late]
    assert names == ["late", "late", "norm", "norm"]
    assert type(again) is type(model.optimizer)
