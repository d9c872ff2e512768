"""The authors' command lines, read as they are published."""

import shlex

import pytest
from absl import flags

from semisup import recipes
from semisup.cli import authors
from semisup.cli.flags import name_of_run, recipe_from_flags
from semisup.config import Recipe
from semisup.errors import InputError
from semisup.runs import checkpoints

# The four settings of the authors' README, as flags of train.py.
PUBLISHED = {
    "synth_signs_to_gtsrb": (
        "--target_dataset=gtsrb --walker_weight_envelope_delay=0 --max_checkpoints=5 "
        "--dataset=synth_signs --visit_weight=0.1 --sup_per_batch=24 "
        "--walker_weight_envelope_steps=1 --eval_batch_size=24 --walker_weight_envelope=linear "
        "--unsup_batch_size=1032 --visit_weight_envelope=linear --decay_steps=9000 "
        "--sup_per_class=-1 --max_steps=12000 --architecture=svhn_model"
    ),
    "mnist_to_mnistm": (
        "--target_dataset=mnistm --walker_weight_envelope_delay=500 --max_checkpoints=5 "
        "--new_size=32 --dataset=mnist3 --visit_weight=0.6 --augmentation "
        "--walker_weight_envelope_steps=1 --walker_weight_envelope=linear "
        "--unsup_batch_size=1000 --visit_weight_envelope=linear --decay_steps=9000 "
        "--architecture=svhn_model --sup_per_class=-1 --sup_per_batch=100 --max_steps=12000"
    ),
    "svhn_to_mnist_joint": (
        "--target_dataset=mnist3 --walker_weight_envelope_delay=500 --max_checkpoints=5 "
        "--new_size=32 --dataset=svhn --sup_per_batch=100 --decay_steps=9000 "
        "--unsup_batch_size=1000 --sup_per_class=-1 --walker_weight_envelope_steps=1 "
        "--walker_weight_envelope=linear --visit_weight_envelope=linear "
        "--architecture=svhn_model --visit_weight=0.2 --max_steps=12000"
    ),
    "synth_to_svhn": (
        "--target_dataset=svhn --walker_weight_envelope_delay=2000 --max_checkpoints=5 "
        "--dataset=synth --sup_per_class=-1 --sup_per_batch=100 "
        "--walker_weight_envelope_steps=1 --walker_weight_envelope=linear --decay_steps=9000 "
        "--unsup_batch_size=1000 --visit_weight_envelope=linear --architecture=svhn_model "
        "--visit_weight=0.2 --max_steps=20000"
    ),
}

# What a published line sets otherwise than our recipe for the same experiment.
THEIRS = {"compat", "emb_size", "precision", "log_interval", "sup_seed"}


pytestmark = pytest.mark.usefixtures("training_flags")


def read(line, **options) -> Recipe:
    flags.FLAGS(authors.with_values(["semisup-train", *shlex.split(line)]))
    return recipe_from_flags(**options)


def difference(recipe, other):
    return {name for name in vars(recipe) if getattr(recipe, name) != getattr(other, name)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_lines_are_our_recipes(name, capsys):
    recipe, ours = read(PUBLISHED[name]), recipes.RECIPES[name]
    own_envelopes = {f"visit_weight_envelope{part}" for part in ("", "_steps", "_delay")}
    assert difference(recipe, ours) - own_envelopes <= THEIRS
    for loss in ("walker", "visit"):
        assert getattr(recipe, f"{loss}_weight_envelope") == "linear"
        assert getattr(recipe, f"{loss}_weight_envelope_steps") == 1
        delay = getattr(recipe, f"{loss}_weight_envelope_delay")
        assert delay == ours.walker_weight_envelope_delay
    assert (recipe.compat, recipe.emb_size, recipe.precision) == ("authors", 128, "float32")
    assert recipe.learning_rate_schedule == "step"
    lines = capsys.readouterr().out.splitlines()
    first = "--max_checkpoints is a flag of the authors' code, so all flags have"
    assert lines[0].startswith(first)
    assert "--max_checkpoints: the newest 3 checkpoints are kept" in lines
    assert sum("--eval_batch_size: " in line for line in lines) == ("signs" in name)
    assert sum("--sup_seed=-1: the seed " in line for line in lines) == 1
    assert name_of_run() == "authors"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("", "mnist5k"),
        ("--visit_weight=0.5", "mnist5k"),
        ("--recipe=photos --data_dir=photos", "photos"),
        ("--dataset=folder --data_dir=photos", "folder"),
        ("--dataset=tfds:cars196/a", "tfds_cars196_a"),
    ],
)
def test_name_of_run_is_that_of_the_recipe_or_else_of_the_data_set(training_flags, words, name):
    read(words)
    assert name_of_run() == name


def test_compat_has_the_defaults_of_their_trainer():
    recipe = read("--compat=authors --sup_seed=3")
    wanted = {
        "dataset": "svhn", "architecture": "svhn_model", "sup_per_class": 100,
        "unsup_samples": -1, "sup_seed": 3, "sup_per_batch": 10, "unsup_batch_size": 100,
        "emb_size": 128, "learning_rate": 1e-4, "minimum_learning_rate": 1e-6,
        "decay_factor": 0.33, "decay_steps": 60_000, "visit_weight": 0.0,
        "visit_weight_envelope": "none", "walker_weight": 1.0, "walker_weight_envelope": "none",
        "logit_weight": 1.0, "max_steps": 100_000, "augmentation": "none", "new_size": 0,
        "virtual_embeddings": 0, "remove_classes": 0, "learning_rate_schedule": "step",
        "similarity": "dot",
    }  # fmt: skip
    assert {name: getattr(recipe, name) for name in wanted} == wanted


def test_flags_given_come_before_their_defaults():
    recipe = read("--compat=authors --sup_seed=3 --max_steps=7 --emb_size=5 --precision=auto")
    assert (recipe.max_steps, recipe.emb_size, recipe.precision) == (7, 5, "auto")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("--architecture=stl10_model", ("stl10_batch_norm_model", 128, True, None)),
        (
            "--architecture=stl10_model --batch_norm_decay=0.9",
            ("stl10_batch_norm_model", 128, True, 0.9),
        ),
        ("--architecture=dann_model", ("dann_model", 128, False, None)),
        ("--architecture=dann_model --batch_norm_decay=0.9", ("dann_model", 128, False, None)),
        ("--architecture=vgg16_model_small", ("vgg16_model_small", None, False, None)),
        ("--architecture=inception_model", ("inception_model", 128, False, None)),
    ],
)
def test_networks_are_theirs(words, wanted):
    recipe = read(f"--compat=authors {words}")
    network = (recipe.architecture, recipe.emb_size, recipe.separate_batches)
    assert (*network, recipe.batch_norm_decay) == wanted


def test_batch_norm_decay_with_our_network_is_our_flag():
    recipe = read("--architecture=stl10_batch_norm_model --batch_norm_decay=0.9")
    assert (recipe.compat, recipe.dataset, recipe.batch_norm_decay) == ("none", "mnist5k", 0.9)


@pytest.mark.parametrize(
    ("word", "ours"),
    [("None", "none"), ("lin", "linear"), ("linear", "linear"), ("sigmoid", "sigmoid"),
     ("sigmoidal", "sigmoid"), ("log", "sigmoid"), ("logistic", "sigmoid")],
)  # fmt: skip
def test_envelopes_have_their_names_with_compat_and_without(word, ours):
    for first in ("--compat=authors", "--recipe=mnist5k"):
        recipe = read(f"{first} --walker_weight_envelope={word} --visit_weight_envelope={word}")
        assert (recipe.walker_weight_envelope, recipe.visit_weight_envelope) == (ours, ours)
        flags.FLAGS.unparse_flags()
        for name in ("compat", "recipe"):
            flags.FLAGS[name].unparse()


def test_their_sigmoid_counts_the_delay_twice():
    words = "--walker_weight_envelope=sigmoid --walker_weight_envelope_steps=100"
    recipe = read(f"--compat=authors {words} --walker_weight_envelope_delay=500")
    assert recipe.walker_weight_envelope_steps == 600
    assert recipe.walker_weight_envelope_delay == 500


def test_a_visit_envelope_follows_the_walkers_steps_and_delay():
    recipe = read("--compat=authors --visit_weight_envelope=lin --visit_weight=0.5")
    assert recipe.walker_weight_envelope_delay == 0  # no envelope
    assert recipe.visit_weight_envelope_delay == 3000
    assert recipe.visit_weight_envelope_steps == 100
    recipe = read("--compat=none --recipe=mnist5k --walker_weight_envelope_delay=9")
    assert recipe.visit_weight_envelope_delay == 9


@pytest.mark.parametrize("first", ["", "--compat=authors --sup_seed=0"])
@pytest.mark.parametrize("loss", ["walker", "visit"])
def test_a_delay_without_an_envelope_is_taken_with_a_line(loss, first, capsys):
    recipe = read(f"{first} --{loss}_weight_envelope_delay=500")
    assert getattr(recipe, f"{loss}_weight_envelope_delay") <= 0
    [line] = capsys.readouterr().out.splitlines()
    wanted = f"--{loss}_weight_envelope_delay=500 has no effect: there is no envelope to delay"
    assert line.startswith(wanted)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--decay_steps=5000.0", "--decay_steps has no effect: the learning rate follows a cosine"),
        ("--decay_factor=0.5", "--decay_factor has no effect: the learning rate follows a cosine"),
        ("--recipe=mnist --warmup_share=0.1", "--warmup_share has no effect"),
        ("--pseudo_label_weight_steps=9", "--pseudo_label_weight_steps has no effect"),
        ("--walker_weight_envelope_steps=9", "--walker_weight_envelope_steps has no effect: there"),
        ("--visit_weight_envelope_steps=9", "--visit_weight_envelope_steps has no effect: there"),
        ("--skip_unreadable", "--skip_unreadable has no effect: it is for --dataset=folder"),
        ("--recipe=photos --skip_unreadable --data_dir=x", None),
        ("--dataset=usps --max_megapixels=3", "--max_megapixels has no effect: it is for"),
        ("--unsup_samples=0 --visit_weight=0.5", "--visit_weight has no effect: --unsup_samples"),
        ("--unsup_samples=0 --visit_weight=0", None),
        ("--unsup_samples=0 --unsup_batch_size=5", "--unsup_batch_size has no effect: no loss is"),
        (
            "--recipe=mnist_student --teacher=x --unsup_batch_size=5",
            "--unsup_batch_size has no effect: no loss is",
        ),
        ("--visit_weight_envelope=lin --walker_weight_envelope_steps=9", None),
        ("--recipe=mnist --decay_steps=7.5", None),
        ("--learning_rate_schedule=step --decay_factor=0.5", None),
    ],
)
def test_a_flag_without_effect_has_a_line(words, line, capsys):
    read(words)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (line is not None)
    assert line is None or lines[0].startswith(line)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("--augmentation", "digits_mild"),
        ("--augmentation --max_steps=3", "digits_mild"),
        ("--augmentation=True", "digits_mild"),
        ("--augmentation digits_mild", "digits_mild"),
        ("--noaugmentation", "none"),
        ("--recipe=svhn --noaugmentation", "none"),
        ("--recipe=svhn --augmentation=0", "none"),
        ("--compat=authors --augmentation", "inversion"),
        ("--compat=authors --augmentation --dataset=mnist", "inversion"),
        ("--compat=authors --noaugmentation", "none"),
        ("--compat=authors --augmentation=svhn", "svhn"),
    ],
)
def test_augmentation_is_a_switch_and_a_name(words, wanted):
    assert read(words).augmentation == wanted


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            "--compat=authors --sup_seed=0 --walker_weight_envelope=linear --max_steps=3000",
            ["--walker_weight has no effect: its ramp begins after step 3,000, but there"],
        ),
        ("--compat=authors --sup_seed=0 --walker_weight_envelope=linear --max_steps=3001", []),
        ("--compat=authors --sup_seed=0 --max_steps=100", []),
        (
            "--recipe=usps_to_mnist --max_steps=90 --pseudo_label_weight=0",
            [
                "--walker_weight has no effect: its ramp begins after step 100, but there are 90",
                "--visit_weight has no effect: its ramp begins after step 100, but there are 90",
            ],
        ),
        (
            "--recipe=mnist_fast --max_steps=100",
            ["--pseudo_label_weight has no effect: its ramp begins after step 150, but"],
        ),
        ("--recipe=mnist_fast --max_steps=100 --pseudo_label_weight=0", []),
        (
            "--visit_weight_envelope=lin --visit_weight_envelope_delay=900 --max_steps=900",
            ["--visit_weight has no effect: its ramp begins after step 900, but there are 900"],
        ),
    ],
)
def test_a_loss_whose_ramp_begins_too_late_has_a_line(words, lines, capsys):
    read(words)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(lines)
    assert all(line.startswith(wanted) for line, wanted in zip(said, lines, strict=True))


def test_a_teacher_needs_unlabelled_images():
    with pytest.raises(InputError, match="a teacher labels unlabelled images, and `unsup_samples`"):
        read("--recipe=mnist_student --teacher=x --unsup_samples=0")


@pytest.mark.parametrize(
    ("given", "interval", "line"),
    [
        ("--log_every_n_steps=10", 10, "--log_every_n_steps: it sets --log_interval"),
        ("--log_every_n_steps=10 --log_interval=10", 10, None),
        ("--log_every_n_steps=10 --log_interval=7", 7, "--log_every_n_steps has no effect: --log_"),
    ],
)
def test_an_interval_of_theirs_gives_way_to_ours(given, interval, line, capsys):
    assert read(f"--compat=authors --sup_seed=0 {given}").log_interval == interval
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (line is not None)
    assert line is None or lines[0].startswith(line)


def test_a_switched_on_augmentation_of_an_unknown_data_set_names_the_data_set():
    with pytest.raises(InputError, match="unknown data set 'mnst'"):
        read("--dataset=mnst --augmentation")


def test_a_loop_of_links_is_taken_as_it_is(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read(f"--dataset=folder --data_dir={tmp_path}/a").data_dir.startswith(str(tmp_path))


def test_no_unlabelled_images_are_no_association():
    recipe = read("--unsup_samples=0")
    assert not recipe.associates
    assert recipe.unsup_samples == -1
    assert not read("--compat=authors --unsup_samples=0 --visit_weight=0.5").associates


def test_a_seed_is_drawn_and_taken_again(tmp_path):
    drawn = {read("--sup_seed=-1", logdir=str(tmp_path)).sup_seed for _ in range(5)}
    assert len(drawn) == 5
    assert min(drawn) >= 0
    from semisup.runs.directory import RunDirectory

    recipe = recipes.get("mnist5k", sup_seed=77)
    RunDirectory(tmp_path).claim(recipe, {"hash": "0"}, ["semisup-train"])
    assert read("--sup_seed=-1", logdir=str(tmp_path)).sup_seed == 77
    with pytest.raises(InputError, match=r"give one, such as `sup_seed=0`"):
        read("--sup_seed=-1", one_run=False)


@pytest.mark.parametrize("flag", authors.ONLY_OF_TRAINING, ids=lambda flag: flag.name)
def test_each_flag_of_theirs_is_taken_with_a_line(flag, capsys):
    recipe = read(f"--{flag.name}={flag.default}")
    assert recipe.compat == "authors"
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"--{flag.name} is a flag of the authors' code")
    assert second.startswith(f"--{flag.name}: ")


@pytest.mark.parametrize("words", ["--recipe=mnist", "--compat=none"])
def test_our_meaning_stays_if_we_are_named(words, capsys):
    recipe = read(f"{words} --max_checkpoints=5 --log_every_n_steps=17")
    assert recipe.compat == "none"
    assert recipe.log_interval == 17
    [first, _] = capsys.readouterr().out.splitlines()
    assert first == "--max_checkpoints: the newest 3 checkpoints are kept"


def test_checkpoints_kept_are_as_many_as_the_line_says():
    assert checkpoints.KEPT == 3


def test_what_can_not_be_had_is_refused():
    with pytest.raises(InputError, match="training on test images is not supported"):
        read("--target_dataset_split=test --target_dataset=mnist")
    flags.FLAGS["target_dataset_split"].unparse()
    with pytest.raises(InputError, match="each set all other flags; give one"):
        read("--compat=authors --recipe=mnist")
    with pytest.raises(InputError, match="unknown `compat` 'tf1'; known: none, authors"):
        read("--compat=tf1 --recipe=mnist")


def test_a_folder_of_many_sets_takes_the_place_of_their_data_dirs(tmp_path):
    (tmp_path / "svhn").mkdir()
    recipe = read(f"--compat=authors --target_dataset=mnist3 --data_dir={tmp_path}")
    assert recipe.data_dir == str(tmp_path / "svhn")
    assert recipe.target_data_dir is None  # then it comes through tensorflow-datasets
    (tmp_path / "mnist").mkdir()
    recipe = read(f"--compat=authors --target_dataset=mnist3 --data_dir={tmp_path}")
    assert recipe.target_data_dir == str(tmp_path / "mnist")


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"dataset": "mnist3", "architecture": "svhn_model", "new_size": 32}, None),
        ({"emb_size": 128}, None),
        ({"dataset": "svhn"}, "dataset"),
        ({"architecture": "stl10_model"}, "architecture"),
        ({"new_size": 0}, "new_size"),
        ({"emb_size": 64}, "emb_size"),
    ],
)
def test_check_evaluation_wants_the_runs_own_settings(given, wrong):
    recipe = recipes.get("svhn_to_mnist_joint", compat="authors", emb_size=128)
    if wrong is None:
        authors.check_evaluation(given, recipe)
    else:
        with pytest.raises(InputError, match=f"`{wrong}` is .*, but the run was trained"):
            authors.check_evaluation(given, recipe)


def test_check_evaluation_knows_a_file_by_any_of_its_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Recipe(architecture=str(tmp_path / "net.keras"))
    authors.check_evaluation({"architecture": "net.keras"}, recipe)
    with pytest.raises(InputError, match=r"`architecture` is .*other\.keras"):
        authors.check_evaluation({"architecture": "other.keras"}, recipe)


def test_check_evaluation_knows_their_name_of_a_network():
    recipe = Recipe(compat="authors", architecture="stl10_batch_norm_model")
    authors.check_evaluation({"architecture": "stl10_model"}, recipe)


def test_a_split_file_leaves_no_seed_to_draw(tmp_path, capsys):
    (tmp_path / "split.json").write_text("{}")
    recipe = read(f"--compat=authors --split_file={tmp_path / 'split.json'}")
    assert recipe.sup_seed == Recipe().sup_seed
    assert "sup_seed" not in capsys.readouterr().out


def test_virtual_embeddings_of_removed_classes_have_a_line(capsys):
    read("--compat=authors --sup_seed=0 --remove_classes=2 --virtual_embeddings=20")
    assert "in the authors' code the vectors stand for the removed" in capsys.readouterr().out
    read("--compat=none --remove_classes=2 --virtual_embeddings=20")
    assert "authors" not in capsys.readouterr().out
