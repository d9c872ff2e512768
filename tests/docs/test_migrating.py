"""Each row of docs/migrating.md: what it says of theirs and of ours is so."""

import dataclasses
import functools
import inspect
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

import semisup
from semisup import experiment, recipes
from semisup.cli import authors
from semisup.cli.flags import recipe_from_flags
from semisup.config import Recipe
from semisup.data.registry import DATASETS
from semisup.models.architectures import ARCHITECTURES
from tests.docs.test_docs import flags_of

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PAGE = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")

# The flags of the authors' train.py and eval.py.
THEIR_FLAGS = {
    *("dataset", "target_dataset", "target_dataset_split", "architecture", "sup_per_class"),
    *("unsup_samples", "sup_seed", "sup_per_batch", "unsup_batch_size", "emb_size"),
    *("learning_rate", "minimum_learning_rate", "decay_factor", "decay_steps", "visit_weight"),
    *("visit_weight_envelope", "visit_weight_envelope_steps", "visit_weight_envelope_delay"),
    *("walker_weight", "walker_weight_envelope", "walker_weight_envelope_steps"),
    *("walker_weight_envelope_delay", "logit_weight", "max_steps", "augmentation", "new_size"),
    *("virtual_embeddings", "logdir", "save_summaries_secs", "save_interval_secs"),
    *("log_every_n_steps", "max_checkpoints", "keep_checkpoint_every_n_hours"),
    *("batch_norm_decay", "remove_classes", "master", "ps_tasks", "task"),
    *("eval_batch_size", "eval_interval_secs", "timeout"),
}
THEIR_NETWORKS = {
    *("svhn_model", "dann_model", "stl10_model", "mnist_model", "inception_model"),
    *("inception_model_small", "vgg16_model", "vgg16_model_small", "alexnet_model"),
}
THEIR_DATASETS = {
    *("synth", "stl10", "svhn", "mnist", "mnist3", "usps", "gtsrb", "synth_signs", "mnistm"),
    *("office_amazon", "office_dslr", "office_webcam"),  # in their history
}


def rows(section: str) -> list[list[str]]:
    """The rows of the table in a section of the page."""
    text = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]
    table = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def by_row(section: str):
    return pytest.mark.parametrize("row", rows(section), ids=lambda row: row[0])


@pytest.fixture
def read(training_flags):
    """A function from the words of a command line to the recipe that they stand for."""

    def recipe_of(*words: str) -> Recipe:
        with flagsaver.flagsaver():
            flags.FLAGS(authors.with_values(["semisup-train", *words]))
            return recipe_from_flags()

    return recipe_of


def test_page_is_short():
    assert len(PAGE.splitlines()) <= 150


def assert_epsilons(theirs: str, ours: str) -> None:
    assert float(theirs.split()[-1]) == experiment.model._EPSILON_OF_TENSORFLOW_1
    assert float(ours) == keras.optimizers.Adam().epsilon


# What holds each row of `compat`, by a word of its second cell: a function, or a test elsewhere.
COMPAT = {
    "epsilon": assert_epsilons,
    "new_size": ("test_experiment.py", "test_compat_is_in_what_the_authors_code_does_otherwise"),
    "augmentation": (
        "test_experiment.py",
        "test_compat_is_in_what_the_authors_code_does_otherwise",
    ),
    "sigmoid": ("cli/test_authors.py", "test_their_sigmoid_counts_the_delay_twice"),
}


@by_row("What `--compat=authors` sets")
def test_compat_rows(row, read, monkeypatch):
    [name], theirs, ours = names(row[0]), row[1], row[2]
    words = ["--sup_seed=0"] if name != "sup_seed" else []
    words += (
        ["--walker_weight_envelope=linear"] if name.startswith("walker_weight_envelope") else []
    )
    monkeypatch.setattr("secrets.randbelow", lambda bound: 12_345)
    theirs_read, ours_read = read("--compat=authors", *words), read(*words[1:])
    if name == "compat":
        held = next((test for word, test in COMPAT.items() if word in theirs), None)
        assert held, f"no test holds {theirs!r}; name one in COMPAT"
        assert callable(held) or f"def {held[1]}(" in (TESTS / held[0]).read_text(encoding="utf-8")
        if callable(held):
            held(theirs, ours)
        return
    if name == "sup_seed":
        assert theirs.startswith("-1: drawn") and theirs_read.sup_seed == 12_345
    else:
        assert_says(theirs.split()[0], in_use(theirs_read, name))
    if name == "visit_weight_envelope":
        assert ours == "as the walker's"
        assert in_use(read("--walker_weight_envelope=sigmoid"), name) == "sigmoid"
    elif name == "emb_size":
        assert ours.startswith("the network's; dann_model ")
        assert_says(ours.split()[-1], in_use(read("--architecture=dann_model"), name))
    else:
        assert_says(ours.split()[0], in_use(ours_read, name))
    if ", else " in ours or ", with another " in ours:
        assert_says(other_network(ours), in_use(read("--architecture=svhn_model"), name))


def assert_says(words: str, value: str | float) -> None:
    words = words.rstrip(",;")
    if isinstance(value, str):
        assert words == value
    else:
        assert float(words) == pytest.approx(value, rel=1e-6)


def in_use(recipe: Recipe, name: str):
    """The value that a run takes of a setting, which may follow from others."""
    if name == "similarity":
        return experiment.with_defaults(recipe).similarity
    recipe = dataclasses.replace(
        recipe, learning_rate=experiment.with_defaults(recipe).learning_rate
    )
    if name == "learning_rate":
        return float(
            experiment.model._learning_rate(dataclasses.replace(recipe, warmup_share=0.0))(0)
        )
    if name == "visit_weight_envelope":
        return recipe.envelope("visit")[0]
    if name == "emb_size" and recipe.emb_size is None:
        return inspect.signature(ARCHITECTURES[recipe.architecture]).parameters[name].default
    return getattr(recipe, name)


def other_network(ours: str) -> str:
    """What a cell says of another network than the default one."""
    return re.search(r"else ([\w.-]+)$|; (\d+), with Adam, with another", ours).expand(r"\1\2")


def test_compat_rows_are_all():
    said = {name for row in rows("What `--compat=authors` sets") for name in names(row[0])}
    assert said == authors.DEFAULTS.keys()


@by_row("Flags")
def test_flag_rows(row, read):
    """Theirs is taken, and is the setting that ours is; flags of ours that are named are there."""
    theirs, ours = names(row[0]), names(row[1])
    first = theirs[0].split("=")[0]
    settings = [word for word in " ".join(ours).split() if "=" in word and "strategy" not in word]
    for word in theirs:
        word = word if word.startswith("--") else first + word
        name = word[2:].split("=")[0].removeprefix("no")
        assert name in THEIR_FLAGS
        common = ["--architecture=stl10_batch_norm_model"]
        if name != "sup_seed":  # a random one
            common.append("--sup_seed=0")
        recipe = read("--compat=authors", word, *common)
        for setting in settings:
            field = setting[2:].split("=")[0]
            if setting == "--sup_seed=-1":
                assert recipe.sup_seed >= 0
            elif field == "augmentation":
                assert (recipe.augmentation == "none") == setting.endswith("false")
            else:
                wanted = read("--compat=none", setting, *common)
                assert getattr(recipe, field) == getattr(wanted, field), setting
    flags_here = flags_of("semisup-train") | flags_of("semisup-eval")
    assert set(re.findall(r"--(\w+)", row[1])) <= flags_here


def test_flags_that_have_no_row_are_ours():
    said = {
        name.removeprefix("no") for row in rows("Flags") for name in re.findall(r"--(\w+)", row[0])
    }
    assert THEIR_FLAGS - said <= flags_of("semisup-train") | flags_of("semisup-eval")
    only_theirs = {f.name for f in (*authors.ONLY_OF_TRAINING, *authors.ONLY_OF_EVALUATION)}
    assert only_theirs <= said
    assert only_theirs <= THEIR_FLAGS


@by_row("Networks")
def test_network_rows(row, read):
    [theirs], [ours] = names(row[0]), names(row[1])
    assert ours in ARCHITECTURES
    recipe = read("--compat=authors", "--sup_seed=0", f"--architecture={theirs}")
    assert recipe.architecture == ours


def test_network_rows_are_all():
    assert {names(row[0])[0] for row in rows("Networks")} == THEIR_NETWORKS


@by_row("Data sets")
def test_data_set_rows(row):
    assert names(row[0]) == names(row[1])  # they have the same names
    assert set(names(row[1])) <= DATASETS.keys()
    source = ROOT / "semisup" / "data" / "sources"
    code = "".join(path.read_text(encoding="utf-8") for path in source.glob("*.py"))
    for file in names(row[2]):
        if re.search(r"\.(pkl|gz)$", file):
            assert f'"{file}"' in code or "zip." in file, file


def test_data_set_rows_are_all():
    assert {name for row in rows("Data sets") for name in names(row[0])} == THEIR_DATASETS


@by_row("Scripts and files")
def test_script_rows(row):
    for word in names(row[1]):
        if word.startswith("semisup-"):
            program, *given = word.split()
            assert {flag[2:].split("=")[0] for flag in given} <= flags_of(program)
        for name in re.findall(r"--recipe=(\w+)", word):
            assert name in recipes.RECIPES
        for name in re.findall(r"--dataset=(\w+)", word):
            assert name in DATASETS


@by_row("Python")
def test_python_rows(row):
    for word in names(row[1]):
        if word.startswith("semisup."):
            *path, last = word.split(".")[1:]
            owner = functools.reduce(getattr, path, semisup)
            assert hasattr(owner, last) or last in owner.__annotations__


@by_row("TensorBoard")
def test_tag_rows(row, tags):
    [tag] = names(row[1])
    assert tag in tags


@pytest.fixture(scope="module")
def tags(tmp_path_factory):
    """Those of the steps of a small model, and those that an evaluation writes by name."""
    import keras
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    from semisup.visualization import tensorboard

    model = semisup.AssociativeModel(
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]), 2
    )
    model.compile("adam")
    model.train_on_batch(np.eye(4, 2), np.array([0, 1, -1, -1]))
    folder = tmp_path_factory.mktemp("events")
    with tf.summary.create_file_writer(str(folder)).as_default():
        tensorboard.write_training(1, model.get_metrics_result(), model)
        tf.summary.flush()
    [file] = folder.iterdir()
    events = EventFileLoader(str(file)).Load()
    by_name = re.findall(r'scalar\("([\w/]+)"', inspect.getsource(tensorboard.write_evaluation))
    return {value.tag for event in events for value in event.summary.value} | set(by_name)
