import dataclasses
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup import experiment, recipes
from semisup.config import ALWAYS, Recipe
from semisup.data import adaptation, splits
from semisup.data.dataset import Dataset
from semisup.errors import InputError
from semisup.models import backbones
from semisup.optimizers import Muon, freezing, schedules
from semisup.runs import files
from semisup.runs.directory import RunDirectory


def build(mnist_dir, **changes):
    return experiment.build(recipes.get("mnist", data_dir=str(mnist_dir), **changes))


def test_the_same_recipe_gives_the_same_experiment(mnist_dir):
    one, same = build(mnist_dir), build(mnist_dir)
    for weight, other in zip(one.model.get_weights(), same.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)
    other = build(mnist_dir, seed=1)
    assert not np.array_equal(one.model.get_weights()[0], other.model.get_weights()[0])
    np.testing.assert_array_equal(one.data.split.labeled, other.data.split.labeled)
    first, same_first, other_first = (
        next(iter(each.batches()))[0].numpy() for each in (one, same, other)
    )
    np.testing.assert_array_equal(first, same_first)
    assert not np.array_equal(first, other_first)


def test_load_data_reads_images_as_the_recipe_says(monkeypatch):
    given, pixels = {}, np.zeros((2, 8, 8, 1), np.uint8)
    dataset = Dataset("photos", pixels, np.arange(2), pixels, np.arange(2), ("a", "b"))
    monkeypatch.setattr(
        experiment.data.registry,
        "load_dataset",
        lambda name, data_dir, **options: given.update(options) or dataset,
    )
    recipe = Recipe("folder", "photos", new_size=9, skip_unreadable=True, max_megapixels=3)
    experiment.load_data(recipe)
    wanted = {"new_size": 9, "skip_unreadable": True, "max_megapixels": 3, "resize_lazily": False}
    assert given == wanted


@pytest.mark.parametrize(
    ("name", "freeze_steps", "wanted"),
    [
        ("adam", 0, keras.optimizers.Adam),
        ("adam", 3, freezing.LateAdam),
        ("muon", 0, Muon),
        ("muon", 3, Muon),
    ],
)
def test_build_makes_the_optimizer_of_the_recipe(tiny, name, freeze_steps, wanted):
    recipe = dataclasses.replace(tiny, optimizer=name, freeze_steps=freeze_steps)
    model = experiment.build(recipe).model
    assert type(model.optimizer) is wanted
    if wanted is not keras.optimizers.Adam:
        assert model.optimizer.late_by == freeze_steps
        late = freezing.late_variables(model) if freeze_steps else []
        assert list(model.optimizer.late) == late and bool(late) == bool(freeze_steps)


def test_build_says_in_a_line_that_the_memory_is_too_small(tiny, monkeypatch):
    def exhausted(**arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore")

    monkeypatch.setattr(experiment.model.architectures, "build", exhausted)
    with pytest.raises(InputError, match=r"fit into the memory: OOM when allocating; try a small"):
        experiment.build(tiny)


def test_batches_come_from_the_split(mnist_dir):
    setup = build(mnist_dir, sup_per_class=3, unsup_samples=25, sup_per_batch=2)
    train = setup.data.dataset.train_images
    for images, labels in setup.batches(start_step=4).take(10):
        images, labels = images.numpy(), labels.numpy()
        assert images.shape == (120, 28, 28, 1)
        np.testing.assert_array_equal(labels, [*np.repeat(np.arange(10), 2), *[-1] * 100])
        for image, label in zip(images, labels, strict=True):
            chosen = setup.data.split.unlabeled if label < 0 else setup.data.split.labeled
            [place] = [i for i in chosen if np.array_equal(train[i], image)]
            assert label in (-1, setup.data.dataset.train_labels[place])


def test_the_split_is_drawn_as_the_recipe_says(mnist_dir):
    recipe = recipes.get("mnist", data_dir=str(mnist_dir))
    folds = (np.arange(200), np.arange(200, 400))
    dataset = dataclasses.replace(experiment.load_data(recipe), folds=folds)
    drawn = {"sup_per_class": 3, "unsup_samples": 25, "fold": 1, "exclude_labeled": True}
    drawn["remove_classes"] = 2
    recipe = recipes.changed(recipe, sup_seed=7, **drawn)
    split = experiment.build(recipe, dataset).data.split
    assert split.hash == splits.choose_split(dataset, seed=7, **drawn).hash


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
        logit_weight=0.7,
        pseudo_label_weight=0.4,
        pseudo_label_weight_steps=11,
        pseudo_label_weight_delay=3,
        vat_weight=0.6,
        vat_epsilon=0.3,
        temperature=0.2,
        separate_batches=True,
        association_scope="replica",
        decay_steps=7,
        decay_factor=0.5,
        minimum_learning_rate=1e-5,
    )
    model = setup.model
    assert model.network.name == "svhn_model"
    assert model.network.output_shape == (None, 24)
    config = model.get_config()
    wanted = {"similarity": "cosine", "label_smoothing": 0.1, "virtual_embeddings": 2}
    wanted |= {"vat_epsilon": 0.3, "temperature": 0.2, "separate_batches": True}
    wanted |= {"association_scope": "replica"}
    assert {name: config[name] for name in wanted} == wanted
    weights = {name: each.get_config() for name, each in model.loss_schedules.items()}
    assert weights["logit_weight"]["final_weight"] == 0.7
    assert weights["vat_weight"]["final_weight"] == 0.6
    ramp = {"final_weight": 0.4, "kind": "linear", "steps": 11, "delay": 3}
    assert weights["pseudo_label_weight"] == ramp
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    schedule = model.optimizer._learning_rate
    assert isinstance(schedule, schedules.StepDecay)
    assert float(schedule(7)) == pytest.approx(5e-4)
    cosine = build(mnist_dir, learning_rate_schedule="cosine", warmup_share=0.25, max_steps=20)
    rate = cosine.model.optimizer._learning_rate
    assert float(rate(5)) == pytest.approx(1e-3)
    assert float(rate(20)) == pytest.approx(1e-6)
    slow = build(mnist_dir, learning_rate=1e-7).model.optimizer
    assert float(slow.learning_rate) == pytest.approx(1e-7)  # below the lowest rate


def test_learning_rate_and_similarity_suit_the_network_and_the_data(mnist_dir, tiny):
    on_digits = Recipe("mnist", str(mnist_dir), learning_rate_schedule="step")
    on_others = dataclasses.replace(tiny, learning_rate_schedule="step")
    for recipe, architecture, rate, similarity in (
        (on_digits, "mnist_model", 3e-3, "dot"),
        (on_digits, "svhn_model", 1e-3, "cosine"),
        (on_others, "mnist_model", 3e-3, "cosine"),
        (on_others, tiny.architecture, 1e-3, "cosine"),
    ):
        setup = experiment.build(dataclasses.replace(recipe, architecture=architecture))
        assert float(setup.model.optimizer.learning_rate) == pytest.approx(rate)
        assert setup.model.similarity == setup.recipe.similarity == similarity
        # What goes on record.
        assert setup.recipe.learning_rate == rate
        assert setup.recipe.temperature == setup.model.temperature
        assert setup.recipe.precision in ("float32", "mixed_bfloat16")
    given = dataclasses.replace(on_others, architecture="mnist_model", similarity="dot")
    assert experiment.build(given).model.similarity == "dot"


def test_averages_batch_norm_and_dropout_reach_the_model(mnist_dir, tiny):
    name = "stl10_batch_norm_model"
    model = build(mnist_dir, architecture=name, ema=0.7, batch_norm_decay=0.8).model
    assert (model.optimizer.use_ema, model.optimizer.ema_momentum) == (True, 0.7)
    assert not build(mnist_dir).model.optimizer.use_ema
    assert model.network.get_layer("conv4_batch_norm").momentum == 0.8
    dropping = dataclasses.replace(tiny, dropout=0.3)
    head = experiment.build(dropping).model.network.get_layer("head")
    assert head.get_layer("dropout").rate == 0.3
    on_features = dataclasses.replace(dropping, augmentation="none", freeze_steps=ALWAYS)
    assert experiment.build(on_features).model.network.get_layer("dropout").rate == 0.3


def test_l2_weight_is_the_authors_or_the_papers(mnist_dir):
    losses = {}
    for name in ("mnist", "mnist_paper"):
        setup = experiment.build(recipes.get(name, data_dir=str(mnist_dir)))
        layer = setup.model.network.get_layer("conv1_1")
        losses[name] = float(layer.kernel_regularizer(layer.kernel))
        np.testing.assert_allclose(
            losses[name],
            {"mnist": 1e-3, "mnist_paper": 1e-4}[name] / 2 * np.sum(np.square(layer.kernel)),
            rtol=1e-5,
        )
        rate = setup.model.optimizer.learning_rate
        assert float(rate) == pytest.approx(1e-3)
        setup.model.optimizer.iterations.assign(19_999)
        last = {"mnist": 1e-3 * 0.33**3, "mnist_paper": 1e-3}[name]
        assert float(setup.model.optimizer.learning_rate) == pytest.approx(last)


def test_target_gives_unlabelled_and_test_images(mnist_dir, tmp_path):
    random = np.random.default_rng(0)
    target = {
        f"{split}_{kind}": array
        for split in ("train", "test")
        for kind, array in (
            ("images", random.integers(0, 256, (30, 16, 16, 3), dtype=np.uint8)),
            ("labels", np.arange(30) % 10),
        )
    }
    np.savez(tmp_path / "target.npz", **target)
    place = {"target_dataset": "npz", "target_data_dir": str(tmp_path / "target.npz")}
    setup = build(mnist_dir, sup_per_batch=1, unsup_batch_size=7, new_size=16, **place)
    np.testing.assert_array_equal(setup.data.dataset.test_images, target["test_images"])
    images, _ = next(iter(setup.batches()))
    assert images.shape == (17, 16, 16, 3)
    unlabelled = {image.tobytes() for image in images.numpy()[10:]}
    assert unlabelled <= {image.tobytes() for image in target["train_images"]}
    with pytest.raises(InputError, match="differ in size, 28x28 and 16x16"):
        build(mnist_dir, **place)


def test_augmentation_changes_the_batches_and_nothing_else(mnist_dir):
    plain, changed, inverted = (
        next(iter(build(mnist_dir, augmentation=name).batches()))[0].numpy()
        for name in ("none", "digits", "inversion")
    )
    assert changed.shape == plain.shape
    assert changed.dtype == np.uint8
    assert all(not np.array_equal(a, b) for a, b in zip(plain, changed, strict=True))
    np.testing.assert_array_equal(inverted[100:], plain[100:])
    turned = np.all(inverted[:100] == 255 - plain[:100], axis=(1, 2, 3))
    assert 25 < turned.sum() < 75


@pytest.mark.parametrize("name", ["inversion", "framing", "colouring", "blending"])
def test_augmentation_that_is_of_the_source_leaves_unlabelled_images(mnist_dir, name):
    recipe = recipes.get("mnist", data_dir=str(mnist_dir))
    dataset = adaptation.as_rgb(experiment.load_data(recipe))
    plain, changed = (
        next(iter(experiment.build(each, dataset).batches()))[0].numpy()
        for each in (recipe, recipes.changed(recipe, augmentation=name))
    )
    np.testing.assert_array_equal(changed[100:], plain[100:])
    assert np.any(changed[:100] != plain[:100])


def test_compat_is_in_what_the_authors_code_does_otherwise(mnist_dir):
    ours = build(mnist_dir, new_size=32, augmentation="inversion")
    theirs = build(mnist_dir, new_size=32, augmentation="inversion", compat="authors")
    assert ours.model.optimizer.epsilon == 1e-7
    assert theirs.model.optimizer.epsilon == 1e-8
    slow = build(mnist_dir, compat="authors", learning_rate=1e-7).model.optimizer
    assert float(slow.learning_rate) == pytest.approx(1e-6)  # their minimum
    original = build(mnist_dir).data.dataset
    whole = original.train_images[0, ::7, ::7]  # every eighth pixel is read where one is
    np.testing.assert_array_equal(theirs.data.dataset.train_images[0, ::8, ::8], whole)
    assert not np.array_equal(ours.data.dataset.train_images[0, ::8, ::8], whole)
    # Labelled and unlabelled images are inverted alike.
    plain = build(mnist_dir, new_size=32, compat="authors")
    images, inverted = (next(iter(each.batches()))[0].numpy() for each in (plain, theirs))
    turned = np.all(inverted == 255 - images, axis=(1, 2, 3))
    assert 25 < turned[:100].sum() < 75
    assert 25 < turned[100:].sum() < 75


def test_compat_leaves_images_that_are_resized_as_they_are_read(digits_folder):
    recipe = recipes.get("mnist", dataset="folder", data_dir=str(digits_folder), new_size=16)
    ours = experiment.load_data(recipe)
    theirs = experiment.load_data(recipes.changed(recipe, compat="authors"))
    np.testing.assert_array_equal(ours.train_images, theirs.train_images)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"architecture": "keras:MobileNetV2", "freeze_steps": -1}, "imagenet"),
        ({"architecture": "keras:MobileNetV2", "freeze_steps": -1, "weights": "none"}, "none"),
        ({"architecture": "keras:MobileNetV2", "freeze_steps": 100}, "none"),
        ({"architecture": "keras:MobileNetV2"}, "none"),
        ({"architecture": "mine.keras", "freeze_steps": -1}, "none"),
        ({"architecture": "inception_model", "freeze_steps": -1}, "none"),
        ({"architecture": "inception_model", "weights": "imagenet"}, "imagenet"),
    ],
)
def test_a_network_of_keras_that_stays_frozen_has_trained_weights(changes, wanted):
    assert experiment.settings.initial_weights(Recipe(**changes)) == wanted


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        (
            {"architecture": "keras:MobileNetV2", "freeze_steps": -1, "weights": "none"},
            "stays froz",
        ),
        (
            {"architecture": "keras:MobileNetV2", "freeze_steps": 99},
            "is frozen for the first 99 st",
        ),
        ({"architecture": "keras:MobileNetV2", "freeze_steps": 800}, "stays frozen"),
        ({"architecture": "inception_model", "freeze_steps": -1}, "stays frozen"),
        ({"freeze_steps": -1}, "stays frozen"),
        ({"architecture": "keras:MobileNetV2", "freeze_steps": -1}, None),
        ({"architecture": "keras:MobileNetV2"}, None),
        ({"architecture": "mine.keras", "freeze_steps": -1}, None),
        ({"freeze_steps": -1, "init_from": "runs/before"}, None),
    ],
)
def test_random_weights_that_are_frozen_have_a_warning(changes, warning, caplog):
    experiment.warn_of_random_backbone(Recipe(**changes))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (warning is not None)
    assert warning is None or warning in said[0]


def test_a_temperature_on_record_as_a_whole_number_is_taken(mnist_dir, tmp_path):
    theirs = build(mnist_dir, similarity="cosine", temperature=1)
    RunDirectory(tmp_path).claim(theirs.recipe, theirs.data.split_on_record.as_json(), [])
    ours = experiment.with_defaults(Recipe(init_from=str(tmp_path)))
    assert (ours.similarity, ours.temperature) == ("cosine", 1.0)


def test_errors_of_the_target_name_its_folder(mnist_dir):
    recipe = Recipe(target_dataset="mnist3", target_data_dir="/nowhere")
    with pytest.raises(InputError, match="/nowhere, which `target_data_dir` names"):
        experiment.load_data(recipe)
    with pytest.raises(InputError, match="data set usps needs `target_data_dir`"):
        experiment.load_data(Recipe(target_dataset="usps"))


def test_similarity_is_that_of_the_run_of_the_initial_weights(mnist_dir, tmp_path, caplog):
    theirs = build(mnist_dir, similarity="euclidean", temperature=3.0)
    run = RunDirectory(tmp_path)
    run.claim(theirs.recipe, theirs.data.split_on_record.as_json(), [])
    theirs.model.save(run.model)
    for given, wanted in (
        ({}, ("euclidean", 3.0)),
        ({"temperature": 2.0}, ("euclidean", 2.0)),
        ({"similarity": "euclidean"}, ("euclidean", 3.0)),
    ):
        ours = build(mnist_dir, **{"similarity": None, **given}, init_from=str(run)).recipe
        assert (ours.similarity, ours.temperature) == wanted
    assert "its classifier was trained" not in caplog.text
    ours = build(mnist_dir, similarity="cosine", init_from=str(run)).recipe
    assert (ours.similarity, ours.temperature) == ("cosine", 0.16)
    assert f"the run in {run} has euclidean, on which its classifier was trained" in caplog.text
    # Of a run of another version only its model is needed.
    record = files.read_json(run.recipe)
    del record["recipe"]["vat_weight"]
    files.write_json(run.recipe, record)
    assert build(mnist_dir, similarity=None, init_from=str(run)).recipe.similarity == "euclidean"
    run.recipe.write_text("rubbish")
    assert build(mnist_dir, similarity=None, init_from=str(run)).recipe.similarity == "dot"


def test_split_file_and_initial_weights(mnist_dir, tmp_path, caplog):
    first = build(mnist_dir, sup_seed=3, seed=4, sup_per_class=5, unsup_samples=50)
    first.model.save(tmp_path / "model.keras")
    files.write_json(tmp_path / "split.json", first.data.split.as_json())
    second = build(mnist_dir, split_file=str(tmp_path / "split.json"), init_from=str(tmp_path))
    assert second.data.split.hash == first.data.split.hash
    for weight, other in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)
    assert int(second.model.optimizer.iterations) == 0
    with pytest.raises(InputError, match=r"cannot take the weights of .*model\.keras"):
        build(mnist_dir, init_from=str(tmp_path), architecture="svhn_model")
    run = RunDirectory(tmp_path / "run")
    run.claim(first.recipe, first.data.split.as_json(), [])
    shutil.copy(tmp_path / "model.keras", run.model)
    with pytest.raises(InputError, match=r"cannot take .*\(`architecture=mnist_model`\)"):
        build(mnist_dir, init_from=str(run), architecture="svhn_model")
    names = first.data.dataset.class_names
    for there, message in ((names[::-1], "in another order"), (("a", *names[1:]), "")):
        np.savez(run.labeled, class_names=np.array(there))
        if message:
            with pytest.raises(InputError, match=f"has the classes of mnist {message}; rename"):
                build(mnist_dir, init_from=str(run))
        else:
            build(mnist_dir, init_from=str(run))
    assert "class 0 is 'a' there, '0' here; the classifier begins with its weights" in caplog.text
    (tmp_path / "model.keras").write_bytes(b"rubbish")
    with pytest.raises(InputError, match=r"cannot load the model .*model\.keras"):
        build(mnist_dir, init_from=str(tmp_path))
    with pytest.raises(InputError, match=r"there is no finished run in .*; `init_from` must name"):
        build(mnist_dir, init_from=str(mnist_dir))


def test_l2_weight_that_reaches_no_layer_is_refused(mnist_dir, tmp_path):
    inputs = keras.Input((28, 28, 1))
    outputs = keras.layers.Flatten()(keras.layers.AveragePooling2D(7)(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "own.keras")
    own = {"architecture": str(tmp_path / "own.keras"), "l2_weight": 1e-3}
    with pytest.raises(
        InputError, match=r"`l2_weight=0\.001` reaches no layer of .*own\.keras; `l2_weight=0"
    ):
        build(mnist_dir, **own)
    assert len(build(mnist_dir, emb_size=8, **own).model.network.losses) == 1


def test_target_data_dir_needs_a_target():
    with pytest.raises(InputError, match="`target_data_dir` is given without a target"):
        experiment.load_data(recipes.get("mnist5k", target_data_dir="elsewhere"))


def test_eval_images_are_drawn_in_proportion_to_the_classes(mnist_dir):
    recipe = recipes.get("mnist", data_dir=str(mnist_dir), eval_images=20)
    setup = experiment.build(recipe)
    dataset = setup.data.dataset
    assert np.bincount(dataset.test_labels).tolist() == [2] * 10
    assert setup.test_images_left_out == 80
    every = experiment.load_data(recipe)
    places = [
        int(np.flatnonzero((every.test_images == image).all(axis=(1, 2, 3)))[0])
        for image in dataset.test_images
    ]
    np.testing.assert_array_equal(every.test_labels[places], dataset.test_labels)
    assert len(set(places)) == 20


def test_unknown_names_are_refused(mnist_dir):
    with pytest.raises(InputError, match="unknown architecture 'vgg'"):
        build(mnist_dir, architecture="vgg")
    with pytest.raises(InputError, match="stl10 changes colours, but the images have 1 channel"):
        build(mnist_dir, augmentation="stl10")
    with pytest.raises(InputError, match="unknown augmentation 'cutout'"):
        build(mnist_dir, augmentation="cutout")
    with pytest.raises(InputError, match="unknown `walker_weight_envelope` 'cubic'"):
        build(mnist_dir, walker_weight_envelope="cubic")
    with pytest.raises(InputError, match="unknown `similarity` 'l1'; known: dot, cosine"):
        build(mnist_dir, similarity="l1")


@pytest.mark.parametrize(("given", "wanted"), [("imagenet", backbones.RESTORED), ("none", "none")])
def test_a_resumed_run_loads_no_initial_weights_but_keeps_what_depends_on_them(given, wanted):
    """Random weights have another momentum of batch norm than pretrained ones."""
    recipe = Recipe(architecture="keras:MobileNetV3Small", weights=given)
    assert experiment.from_run(recipe, RunDirectory("run")).weights == wanted


def test_layers_that_were_saved_as_not_trainable_have_a_warning(mnist_dir, tmp_path, caplog):
    layers = [keras.layers.Flatten(), keras.layers.Dense(9), keras.layers.Dense(5)]
    network = keras.Sequential([keras.Input((28, 28, 1)), *layers])
    layers[1].trainable = False
    network.save(tmp_path / "mine.keras")
    settings = {"architecture": str(tmp_path / "mine.keras"), "similarity": "dot"}
    experiment.warn_at_start(build(mnist_dir, **settings, freeze_steps=0))
    assert "1 of the 2 layers with weights of" in caplog.text
    assert "trainable=True" in caplog.text
    caplog.clear()
    experiment.warn_at_start(build(mnist_dir, **settings, freeze_steps=-1))
    assert "trainable" not in caplog.text


def test_labelled_images_of_an_earlier_run_among_the_test_images_have_a_warning(
    digits_folder, finished_run, tmp_path, caplog
):
    recipe = RunDirectory(finished_run).read_recipe()
    again = dataclasses.replace(recipe, init_from=str(finished_run))
    experiment.warn_at_start(experiment.build(again))
    assert "may be test images now" not in caplog.text
    names = np.load(RunDirectory(finished_run).labeled)["names"]
    dataset = experiment.load_data(recipe)
    fewer = np.flatnonzero(~np.isin(dataset.train_files.astype(str), names[:3]))
    held_out = dataclasses.replace(
        dataset,
        train_images=dataset.train_images[fewer],
        train_labels=dataset.train_labels[fewer],
        train_files=dataset.train_files[fewer],
    )
    experiment.warn_at_start(experiment.build(again, held_out))
    assert f"3 images with whose labels the run in {finished_run}" in caplog.text
