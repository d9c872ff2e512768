"""Runs with `freeze_steps=-1`: a head is trained on features, and a whole model comes out."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import pytest

from semisup import experiment
from semisup.config import ALWAYS, Recipe
from semisup.data.labeled_data import PseudoLabels
from semisup.data.lazy_images import FeaturedImages, network_inputs
from semisup.errors import InputError
from semisup.evaluation.metrics import evaluate, predict
from semisup.inference import active_learning, exporter, predictor, saved_run
from semisup.models import backbones, features
from semisup.models.associative_model import AssociativeModel
from semisup.optimizers.ema import averaged_weights
from semisup.runs import checkpoints
from semisup.runs.directory import RunDirectory
from semisup.training import loop, pseudo_labels
from semisup.visualization import paper_figures

NEW_SIZE = 32  # what keras.applications take at least


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("features")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(features.CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of colour images; its batch norm has seen some."""
    keras.utils.set_random_seed(3)
    network = keras.Sequential(
        [
            keras.Input((NEW_SIZE, NEW_SIZE, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(32, NEW_SIZE),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    network.get_layer(index=2).moving_variance.assign(np.linspace(0.01, 0.1, 32))
    path = tmp_path_factory.mktemp("backbone") / "mine.keras"
    network.save(path)
    return path


@pytest.fixture(scope="module")
def recipe(digits_folder: Path, backbone: Path) -> Recipe:
    return Recipe(
        "folder",
        str(digits_folder),
        new_size=NEW_SIZE,
        sup_per_class=5,
        sup_per_batch=2,
        unsup_batch_size=20,
        architecture=str(backbone),
        freeze_steps=ALWAYS,
        max_steps=20,
        eval_interval=10,
        warmup_share=0.0,
        learning_rate=0.01,
        precision="float32",
    )


VARIANTS: Mapping[str, Mapping[str, object]] = {
    "default": {},
    "all at once": {
        "similarity": "dot",
        "emb_size": 6,
        "ema": 0.9,
        "virtual_embeddings": 2,
        "select": "label_free",
        "dropout": 0.1,
        "train_in_pool": True,
        "cluster_share": 0.2,
    },
}


@pytest.fixture(scope="module")
def default_run(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = RunDirectory(tmp_path_factory.mktemp("default"))
    loop.train(recipe, run.path)
    return run


@pytest.fixture(
    scope="module",
    params=["default", pytest.param("all at once", marks=pytest.mark.slow)],
)
def finished(request, recipe: Recipe, default_run: RunDirectory, tmp_path_factory):
    """A recipe and the folder of its run."""
    if request.param == "default":
        return recipe, default_run
    changed = dataclasses.replace(recipe, **VARIANTS[request.param])
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    loop.train(changed, run.path)
    return changed, run


@pytest.fixture(scope="module")
def tuned(recipe: Recipe, default_run: RunDirectory, tmp_path_factory) -> RunDirectory:
    """A run that has trained the backbone of `default_run` too."""
    run = RunDirectory(tmp_path_factory.mktemp("tuned"))
    loop.train(fine_tuning(recipe, default_run), run.path)
    return run


def fine_tuning(recipe: Recipe, run: RunDirectory, **changes) -> Recipe:
    size = recipe.emb_size or backbones.EMB_SIZE
    changes = {"emb_size": size, "max_steps": 2, "eval_interval": 2, **changes}
    return dataclasses.replace(recipe, init_from=str(run), freeze_steps=0, **changes)


def restored(recipe: Recipe, run: RunDirectory, first_weights: bool = False):
    """The experiment as semisup-eval rebuilds it, with the weights of the result."""
    setup = experiment.rebuild(run.read_begun_recipe(), run, first_weights)
    if recipe.select == "label_free":
        setup.load_weights(run.model)
    else:
        checkpoints.restore(setup.model, checkpoints.newest(run))
    return setup


def load(run: RunDirectory) -> AssociativeModel:
    return keras.models.load_model(run.model, compile=False)


def assert_alike(model, images, other, other_images, rtol=1e-4) -> None:
    for one, two in zip(predict(model, images), predict(other, other_images), strict=True):
        np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol * np.abs(two).max())


def weights_of_backbone(network: keras.Model) -> list[np.ndarray]:
    return [weight.numpy() for weight in network.layers[-2].weights]


def test_run_learns_and_its_model_is_whole(finished):
    recipe, run = finished
    setup = restored(recipe, run)
    images = setup.data.dataset.test_images
    assert isinstance(images, FeaturedImages)
    model = load(run)
    assert model.network.input_shape == (None, NEW_SIZE, NEW_SIZE, 1)
    with averaged_weights(setup.model):
        assert_alike(model, np.asarray(images), setup.model, images)
    logits = predict(model, np.asarray(images)).logits
    wrong = np.mean(logits.argmax(axis=1) != setup.data.dataset.test_labels)
    assert run.read_result()["test_error"] == pytest.approx(100 * wrong)
    assert model.similarity == (recipe.similarity or "cosine")
    if model.similarity == "cosine":
        assert wrong < 0.3


def test_run_leaves_the_backbone_as_it_was(finished, backbone):
    _, run = finished
    wanted = keras.models.load_model(backbone).get_weights()
    assert len(wanted) == 6
    for weight, other in zip(weights_of_backbone(load(run).network), wanted, strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.slow
def test_run_on_an_application_in_half_precision(recipe, tmp_path):
    changed = dataclasses.replace(
        recipe,
        architecture="keras:MobileNetV3Small",
        weights="none",
        precision="mixed_bfloat16",
        optimizer="muon",
        max_steps=2,
        eval_interval=1,
    )
    run = RunDirectory(tmp_path)
    loop.train(changed, tmp_path)
    setup, model = restored(changed, run), load(run)
    images, pixels = (each(setup.data.dataset.test_images) for each in (lambda x: x, np.asarray))
    # bfloat16 rounds otherwise in another graph.
    assert_alike(model, pixels, setup.model, images, rtol=0.03)
    first = experiment.build(changed).backbone.features.get_weights()
    for weight, other in zip(weights_of_backbone(model.network), first, strict=True):
        np.testing.assert_array_equal(weight, other)
    again = experiment.build(fine_tuning(changed, run, emb_size=None))
    for one, two in zip(predict(again.model, pixels), predict(model, pixels), strict=True):
        np.testing.assert_array_equal(one, two)


def test_run_stays_with_its_backbone(recipe, default_run, backbone, tmp_path):
    changed = tmp_path / "changed.keras"
    network = keras.models.load_model(backbone)
    network.save(changed)
    moved = dataclasses.replace(recipe, architecture=str(changed))
    experiment.rebuild(moved, default_run)
    unfinished = RunDirectory(tmp_path / "unfinished")
    unfinished.claim(moved, *claimed_by(moved))
    unfinished.claim(moved, *claimed_by(moved))
    network.weights[0].assign(network.weights[0].numpy() * 1.01)
    network.save(changed)
    with pytest.raises(InputError, match=r"mine\.keras has changed since"):
        experiment.rebuild(moved, default_run)
    with pytest.raises(InputError, match=r"changed\.keras has changed since"):
        unfinished.claim(moved, *claimed_by(moved))


@pytest.mark.parametrize("freeze_steps", [ALWAYS, 0])
def test_run_stays_with_the_layers_of_its_network(recipe, backbone, tmp_path, freeze_steps):
    """The same weights, but the images are scaled in another way."""
    changed = tmp_path / "changed.keras"
    network = keras.models.load_model(backbone)
    network.save(changed)
    begun = dataclasses.replace(recipe, architecture=str(changed), freeze_steps=freeze_steps)
    run = RunDirectory(tmp_path / "run")
    run.claim(begun, *claimed_by(begun))
    experiment.rebuild(begun, run)
    layers = [keras.layers.Rescaling(1 / 127.5, -1), *network.layers[1:]]
    keras.Sequential([keras.Input(network.input_shape[1:]), *layers]).save(changed)
    with pytest.raises(InputError, match=r"changed\.keras has changed since"):
        experiment.rebuild(begun, run)


def claimed_by(recipe: Recipe) -> tuple:
    setup = experiment.build(recipe)
    return setup.data.split.as_json(), [], setup.recipe, setup.network_hashes


def test_run_computes_nothing_that_an_earlier_one_did(recipe, default_run, monkeypatch):
    monkeypatch.setattr(features, "_compute", None)
    more = dataclasses.replace(recipe, sup_per_class=9, sup_seed=4, emb_size=5, seed=1)
    setup = experiment.build(more)
    assert setup.labeled_in_batch == 20
    image, _ = next(iter(setup.batches()))
    assert image.shape == (40, 32)


def test_run_without_a_cache_is_the_same(recipe, default_run, monkeypatch):
    cached = experiment.build(recipe).data.dataset
    monkeypatch.setenv(features.CACHE_VARIABLE, "none")
    computed = experiment.build(recipe).data.dataset
    for name in ("train_images", "test_images", "unlabeled_images"):
        ours, others = (getattr(each, name) for each in (cached, computed))
        np.testing.assert_array_equal(network_inputs(ours), network_inputs(others))


def test_run_that_was_interrupted_ends_as_if_it_had_not_been(finished, tmp_path, monkeypatch):
    recipe, run = finished
    real = loop.make_train_step

    def make_interrupted(model, spec):
        train_step, calls = real(model, spec), []

        def step(*batch):
            calls.append(0)
            if len(calls) > recipe.eval_interval:
                raise KeyboardInterrupt
            return train_step(*batch)

        step.get_concrete_function = train_step.get_concrete_function
        return step

    with monkeypatch.context() as patch:
        patch.setattr(loop, "make_train_step", make_interrupted)
        with pytest.raises(KeyboardInterrupt):
            loop.train(recipe, tmp_path)
    half = saved_run.load(RunDirectory(tmp_path))  # a run that has not ended
    assert half.model.network.input_shape[1:] == half.labeled.image_shape
    loop.train(recipe, tmp_path)
    whole, resumed = (load(each).get_weights() for each in (run, RunDirectory(tmp_path)))
    for weight, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(weight, other)


def test_predict_images_takes_pixels(finished):
    recipe, run = finished
    opened = saved_run.load(run)
    assert opened.labeled.images.dtype == np.uint8
    setup = restored(recipe, run)
    images = np.asarray(setup.data.dataset.train_images[setup.data.split.labeled])
    found = predictor.predict_images(opened, [str(i) for i in range(len(images))], images)
    # Each labelled image is its own nearest one.
    assert min(each.cosine_similarity for each in found) > 0.9999
    names = setup.data.dataset.train_names(setup.data.split.labeled)
    agree = [each.nearest_labeled == name for each, name in zip(found, names, strict=True)]
    assert np.mean(agree) > 0.9


def test_export_takes_pixels(default_run, tmp_path):
    opened = saved_run.load(default_run)
    out = tmp_path / "classifier.keras"
    difference = exporter.export(opened.model, "keras", out, opened.labeled.images)
    assert difference <= exporter.TOLERANCES["keras"]


def test_figures_and_suggestions_are_drawn(finished, tmp_path):
    recipe, run = finished
    setup = restored(recipe, run, first_weights=True)
    dataset, out = setup.data.dataset, RunDirectory(tmp_path)
    with averaged_weights(setup.model):
        evaluation = evaluate(
            setup.model, dataset.test_images, dataset.test_labels, dataset.class_names
        )
        assert evaluation.report.error == run.read_result()["test_error"]
        untrained = setup.untrained_model()
        paths = paper_figures.write_figures(
            out.path, setup.data, setup.model, evaluation, untrained=untrained, step=1
        )
        assert all(path.stat().st_size > 10_000 for path in paths)
        assert len(active_learning.write(out, setup.data, setup.model, 3)) == 3
        assert all(path.stat().st_size > 100 for path in out.suggestions)


def test_fine_tuning_starts_from_the_predictions_of_the_run(finished):
    recipe, run = finished
    changed = fine_tuning(recipe, run)
    setup = experiment.build(changed)
    assert setup.backbone is None
    images = np.asarray(setup.data.dataset.test_images)
    assert len(setup.model.trainable_variables) > 5
    for one, two in zip(predict(setup.model, images), predict(load(run), images), strict=True):
        np.testing.assert_array_equal(one, two)


def test_fine_tuning_without_its_embedding_size_is_refused(recipe, default_run):
    changed = dataclasses.replace(fine_tuning(recipe, default_run), emb_size=None)
    with pytest.raises(InputError, match=r"cannot take the weights.*`emb_size`"):
        experiment.build(changed)


def test_another_head_begins_with_the_weights_of_the_run(finished):
    recipe, run = finished
    again = experiment.build(dataclasses.replace(recipe, init_from=str(run), sup_seed=1))
    images = again.data.dataset.test_images
    assert_alike(again.model, images, load(run), np.asarray(images))


def test_augmentation_keeps_the_same_network(recipe, default_run):
    changed = dataclasses.replace(recipe, augmentation="digits", init_from=str(default_run))
    setup = experiment.build(changed)
    assert setup.backbone is None
    images = np.asarray(setup.data.dataset.test_images)
    assert_alike(setup.model, images, load(default_run), images)


def test_a_backbone_that_was_trained_is_refused_as_another_one(recipe, tuned):
    size = backbones.EMB_SIZE
    changed = dataclasses.replace(recipe, init_from=str(tuned), emb_size=size)
    with pytest.raises(InputError, match=r"has been trained; .* give `architecture=.*model.keras`"):
        experiment.build(changed)
    # As the message says, it can be the backbone.
    changed = dataclasses.replace(recipe, architecture=str(tuned.model))
    setup = experiment.build(changed)
    images = setup.data.dataset.test_images
    network = load(tuned).network
    np.testing.assert_allclose(
        network_inputs(images), network.predict_on_batch(np.asarray(images)), rtol=1e-5, atol=1e-6
    )


def test_a_head_of_another_size_is_refused(recipe, default_run):
    changed = dataclasses.replace(recipe, init_from=str(default_run), emb_size=6)
    with pytest.raises(InputError, match=r"cannot take the weights.*`emb_size`"):
        experiment.build(changed)


def test_teacher_and_student_may_both_have_a_frozen_backbone(recipe, default_run, tmp_path):
    changed = dataclasses.replace(
        recipe, teacher=str(default_run), teacher_share=0.5, max_steps=10, sup_per_batch=3
    )
    result = loop.train(changed, tmp_path)
    assert RunDirectory(tmp_path).pseudo_labels.is_file()
    assert result["test_error"] < 30
    images, _ = next(iter(restored(changed, RunDirectory(tmp_path)).batches()))
    assert images.shape == (50, 32)


def test_pseudo_labels_of_clusters_are_kept_and_need_a_loss_on_unlabelled_images(
    recipe, default_run, tmp_path
):
    changed = dataclasses.replace(recipe, cluster_share=0.2)
    data, run = experiment.build(changed).data, RunDirectory(tmp_path)
    labels = pseudo_labels.of_run(run, changed, data)
    count = len(data.split.unlabeled)  # of a folder of their own
    assert 0.2 * count <= len(labels.indices) <= 0.2 * count + data.dataset.num_classes
    few = PseudoLabels(labels.indices[:3], labels.labels[:3])
    pseudo_labels.keep(run, few)
    np.testing.assert_array_equal(pseudo_labels.of_run(run, changed, data).labels, few.labels)
    without = {"labels only": {"walker_weight": 0.0, "visit_weight": 0.0}}
    without["its backbone is trained"] = {"freeze_steps": 0}
    for name, changes in without.items():
        other = dataclasses.replace(changed, **changes)
        assert pseudo_labels.of_run(RunDirectory(tmp_path / "other"), other, data) is None, name
        said = [line for line in pseudo_labels.describe(other, data) if "No pseudo-labels" in line]
        assert len(said) == other.associates, name
    of_teachers_run = dataclasses.replace(changed, teacher=str(default_run), teacher_share=0.5)
    of_teacher = pseudo_labels.of_run(RunDirectory(tmp_path / "other"), of_teachers_run, data)
    assert len(of_teacher.indices) == round(0.5 * count)


def test_a_student_may_train_its_backbone(recipe, default_run, tmp_path):
    changed = dataclasses.replace(
        recipe, teacher=str(default_run), freeze_steps=0, max_steps=2, eval_interval=2
    )
    assert loop.train(changed, tmp_path)["steps"] == 2
