import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from semisup import recipes
from semisup.config import LABELS_ONLY, Recipe
from semisup.data import registry
from semisup.errors import InputError


def test_changes_override_the_recipe():
    recipe = recipes.get("mnist", max_steps=7, visit_weight=0.25)
    assert (recipe.dataset, recipe.max_steps, recipe.visit_weight) == ("mnist", 7, 0.25)
    assert recipe.learning_rate == recipes.RECIPES["mnist"].learning_rate


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_names_what_there_is(name):
    from semisup.data.augmentation import AUGMENTATIONS
    from semisup.data.registry import DATASETS
    from semisup.models.architectures import ARCHITECTURES
    from semisup.models.backbones import is_backbone

    recipe = recipes.RECIPES[name]
    assert recipe.dataset in DATASETS
    assert recipe.target_dataset in (None, *DATASETS)
    assert recipe.architecture in ARCHITECTURES or is_backbone(recipe.architecture)
    assert recipe.augmentation in ("none", *AUGMENTATIONS)


MAIN_SETTINGS = {
    # Of the paper, tables 1 and 2 and section 4.2, and the authors' code.
    "svhn": {
        "dataset": "svhn",
        "architecture": "svhn_model",
        "similarity": "dot",
        "sup_per_class": 100,
        "augmentation": "svhn",
        "walker_weight": 1.0,
        "visit_weight": 0.25,
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "learning_rate_schedule": "step",
        "decay_factor": 0.33,
        "decay_steps": 60_000,
        "max_steps": 100_000,
    },
    "stl10": {
        "dataset": "stl10",
        "architecture": "stl10_model",
        "similarity": "dot",
        "sup_per_class": 100,
        "augmentation": "stl10",
        "walker_weight": 1.0,
        "visit_weight": 1.0,
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "learning_rate_schedule": "step",
        "decay_factor": 0.33,
        "decay_steps": 60_000,
        "max_steps": 100_000,
    },
    "photos": {
        "dataset": "folder",
        "architecture": "keras:EfficientNetV2B0",
        "freeze_steps": -1,
        "new_size": 160,
        "train_in_pool": True,
        "dropout": 0.2,
        "emb_size": 128,
        "sup_per_class": -1,
        "sup_per_batch": 20,
        "unsup_batch_size": 500,
        "cluster_share": 0.1,
        "visit_weight": 1.0,
        "optimizer": "adam",
        "learning_rate": 2e-3,
        "warmup_share": 0.0,
        "max_steps": 300,
    },
    "mnist_fast": {
        "dataset": "mnist",
        "architecture": "mnist_model",
        "similarity": "cosine",
        "sup_per_class": 10,
        "unsup_batch_size": 200,
        "augmentation": "digits_mild",
        "l2_weight": 1e-4,
        "visit_weight": 1.0,
        "pseudo_label_weight": 1.0,
        "pseudo_label_weight_delay": 150,
        "pseudo_label_weight_steps": 150,
        "label_smoothing": 0.1,
        "optimizer": "muon",
        "learning_rate": None,
        "ema": 0.98,
        "max_steps": 500,
    },
}


@pytest.mark.parametrize("name", MAIN_SETTINGS)
def test_recipes_have_the_settings_that_they_were_measured_with(name):
    recipe, wanted = recipes.RECIPES[name], MAIN_SETTINGS[name]
    assert {setting: getattr(recipe, setting) for setting in wanted} == wanted


@pytest.mark.parametrize(
    ("name", "changes", "wanted"),
    [
        ("mnist5k", {}, "digits_mild"),
        ("mnist5k", {"dataset": "usps"}, "digits"),
        ("mnist", {}, "digits"),
        ("mnist5k", {"dataset": "stl10"}, "stl10"),
        ("svhn", {"dataset": "synth"}, "svhn"),
        ("stl10", {}, "stl10"),
        # The recipe's own comes before the data set's.
        ("mnist5k_to_mnistm_local", {}, "inversion"),
        ("mnist5k", {"dataset": "folder"}, "photos"),
        ("mnist5k", {"dataset": "npz"}, None),
        ("mnist5k", {"dataset": "tfds:cifar10"}, None),
    ],
)
def test_augmentation_true_and_false_become_names(name, changes, wanted):
    assert recipes.get(name, augmentation="false", **changes).augmentation == "none"
    if wanted:
        assert recipes.get(name, augmentation="true", **changes).augmentation == wanted
    else:
        with pytest.raises(InputError, match=rf"=true`: .* '{changes['dataset']}' has no default"):
            recipes.get(name, augmentation="true", **changes)


def test_every_setting_has_a_meaning():
    assert all(field.metadata["help"] for field in dataclasses.fields(Recipe))


def test_no_association_without_weights():
    assert recipes.get("mnist5k").associates
    assert recipes.get("mnist5k", walker_weight=0.0).associates
    assert not recipes.get("mnist5k", walker_weight=0.0, visit_weight=0.0).associates


@pytest.mark.parametrize(
    "name", ["walker_weight", "visit_weight", "pseudo_label_weight", "vat_weight"]
)
def test_each_loss_on_unlabelled_images_alone_needs_them(name):
    weights = {"walker_weight": 0.0, "visit_weight": 0.0, name: 0.5}
    assert Recipe(**weights).associates
    assert not Recipe(**{**weights, **LABELS_ONLY}).associates


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": 0}, "`max_steps` is 0; it must be at least 1"),
        ({"walker_weight": -0.5}, "`walker_weight` is -0.5; it must be at least 0"),
        ({"learning_rate": 0.0}, "`learning_rate` is 0.0; it must be above 0"),
        ({"learning_rate": float("nan")}, "`learning_rate` is nan; it must be finite"),
        ({"visit_weight": float("nan")}, "`visit_weight` is nan; it must be finite"),
        ({"walker_weight": float("inf")}, "`walker_weight` is inf; it must be finite"),
        ({"label_smoothing": 1.0}, "`label_smoothing` is 1.0; it must be below 1"),
        ({"teacher_share": 1.5}, "`teacher_share` is 1.5; it must be at most 1"),
        ({"learning_rate_schedule": "poly"}, "unknown `learning_rate_schedule` 'poly'; known"),
        ({"optimizer": "sgd"}, "unknown `optimizer` 'sgd'; known: adam, muon"),
        ({"select": "best"}, "unknown `select` 'best'; known: last, label_free"),
        (
            {"walker_weight_envelope_delay": 5},
            "there is no envelope to delay; add `walker_weight_envelope=linear`",
        ),
        (
            {"walker_weight_envelope": "linear", "visit_weight_envelope": "none"}
            | {"visit_weight_envelope_delay": 5},
            "add `visit_weight_envelope=linear`",
        ),
        ({"visit_weight_envelope_steps": 0}, "`visit_weight_envelope_steps` is 0"),
        ({"precision": "float16"}, "unknown `precision` 'float16'; known: auto, float32"),
        ({"l2_weight": -1e-4}, "`l2_weight` is -0.0001; it must be at least 0"),
        ({"sup_seed": -1}, "`sup_seed` is -1"),
        ({"seed": 2**32}, "`seed` is 4294967296; it must be below 4294967296"),
    ],
)
def test_settings_outside_their_range_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        recipes.get("mnist5k", **changes)


def test_the_help_lists_every_data_set():
    [field] = (field for field in dataclasses.fields(Recipe) if field.name == "dataset")
    words = set(re.findall(r"\w+", field.metadata["help"]))
    assert set(registry.DATASETS) <= words


def test_unknown_recipe_names_the_known_ones():
    with pytest.raises(InputError, match="unknown recipe 'imagenet'; known: mnist5k, photos"):
        recipes.get("imagenet")
    with pytest.raises(InputError, match=r"unknown recipe 'photo'; did you mean photos\? known: "):
        recipes.get("photo")


def test_recipe_takes_numbers_of_numpy_and_paths(tmp_path):
    numbers = {"max_steps": np.int64(9), "learning_rate": np.float32(0.5), "seed": 3.0, "ema": 0}
    recipe = Recipe(data_dir=tmp_path, **numbers)
    assert json.loads(json.dumps(dataclasses.asdict(recipe)))["data_dir"] == str(tmp_path)
    assert (recipe.max_steps, recipe.learning_rate, recipe.seed) == (9, 0.5, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"max_steps": value} for value in ("9", 9.5, True, None)),
        *({"exclude_labeled": 1}, {"dataset": 3}, {"learning_rate": "fast"}),
    ],
)
def test_recipe_refuses_settings_of_other_types(wrong):
    with pytest.raises(InputError, match=rf"`{next(iter(wrong))}` is .*; it must be "):
        Recipe(**wrong)


def test_recipes_and_flags_load_nothing_heavy():
    program = (
        "import sys, semisup.cli.flags, semisup.cli.app, semisup.runs.directory; "
        "print({'tensorflow', 'keras', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
