import keras
import numpy as np
import pytest

from semisup import experiment, recipes, schedules
from semisup.errors import InputError


def build(mnist_dir, **changes):
    return experiment.build(recipes.get("mnist", data_dir=str(mnist_dir), **changes))


def test_the_same_recipe_gives_the_same_experiment(mnist_dir):
    one, same = build(mnist_dir), build(mnist_dir)
    for weight, other in zip(one.model.get_weights(), same.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)
    other = build(mnist_dir, seed=1)
    assert not np.array_equal(one.model.get_weights()[0], other.model.get_weights()[0])
    np.testing.assert_array_equal(one.split.labeled, other.split.labeled)


def test_batches_come_from_the_split(mnist_dir):
    setup = build(mnist_dir, sup_per_class=3, unsup_samples=25, sup_per_batch=2)
    train = setup.dataset.train_images
    for images, labels in setup.batches(start_step=4).take(10):
        images, labels = images.numpy(), labels.numpy()
        assert images.shape == (120, 28, 28, 1)
        np.testing.assert_array_equal(labels, [*np.repeat(np.arange(10), 2), *[-1] * 100])
        for image, label in zip(images, labels, strict=True):
            chosen = setup.split.unlabeled if label < 0 else setup.split.labeled
            [place] = [i for i in chosen if np.array_equal(train[i], image)]
            assert label in (-1, setup.dataset.train_labels[place])


def test_without_association_there_are_no_unlabelled_images(mnist_dir):
    setup = build(mnist_dir, walker_weight=0.0, visit_weight=0.0, sup_per_batch=3)
    _, labels = next(iter(setup.batches()))
    assert len(labels) == 30
    assert np.all(labels >= 0)


def test_visit_envelope_follows_the_walkers(mnist_dir):
    walker = {
        "walker_weight_envelope": "linear",
        "walker_weight_envelope_steps": 10,
        "walker_weight_envelope_delay": 5,
    }
    model = build(mnist_dir, visit_weight=0.5, **walker).model
    assert model.loss_schedules["visit_weight"].get_config() == {
        "final_weight": 0.5,
        "kind": "linear",
        "steps": 10,
        "delay": 5,
    }
    own = {
        "visit_weight_envelope": "sigmoid",
        "visit_weight_envelope_steps": 20,
        "visit_weight_envelope_delay": 0,
    }
    model = build(mnist_dir, **walker, **own).model
    assert model.loss_schedules["visit_weight"].get_config() == {
        "final_weight": 1.0,
        "kind": "sigmoid",
        "steps": 20,
        "delay": 0,
    }
    assert model.loss_schedules["walker_weight"].kind == "linear"


def test_settings_reach_the_model_and_its_optimizer(mnist_dir):
    setup = build(
        mnist_dir,
        architecture="svhn_model",
        emb_size=24,
        similarity="cosine",
        label_smoothing=0.1,
        virtual_embeddings=2,
        decay_steps=7,
        decay_factor=0.5,
        minimum_learning_rate=1e-5,
    )
    model = setup.model
    assert model.network.name == "svhn_model"
    assert model.network.output_shape == (None, 24)
    assert (model.similarity, model.label_smoothing, model.virtual_embeddings) == ("cosine", 0.1, 2)
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    schedule = model.optimizer._learning_rate
    assert isinstance(schedule, schedules.StepDecay)
    assert float(schedule(7)) == pytest.approx(5e-4)
    cosine = build(mnist_dir, learning_rate_schedule="cosine", warmup_share=0.25, max_steps=20)
    rate = cosine.model.optimizer._learning_rate
    assert float(rate(5)) == pytest.approx(1e-3)
    assert float(rate(20)) == pytest.approx(1e-6)


def test_unknown_names_are_refused(mnist_dir):
    with pytest.raises(InputError, match="unknown architecture 'vgg'"):
        build(mnist_dir, architecture="vgg")
    with pytest.raises(InputError, match="unknown envelope 'cubic'"):
        build(mnist_dir, walker_weight_envelope="cubic")
    with pytest.raises(InputError, match="unknown similarity 'l1'; known: dot, cosine, euclidean"):
        build(mnist_dir, similarity="l1")
