"""What scripts/compare.py runs, what it has on record, and which parameters it chooses."""

import dataclasses
import json
import subprocess
import sys
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from comparison import methods, running
from comparison.record import DATA, Record
from comparison.running import Job

from semisup.cli.flags import define_recipe_flags
from semisup.config import Recipe
from semisup.errors import InputError
from tests.scripts.test_comparison import a_run

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare.py"


@pytest.fixture
def compare(imported):
    """The script, and its flags at their defaults; both are gone afterwards."""
    script = imported("compare")
    if "recipe" not in flags.FLAGS:  # else another test has defined them
        define_recipe_flags()
    flags.FLAGS.mark_as_parsed()
    return script


def test_search_has_all_parameters_on_validation_images(compare):
    flags.FLAGS.search = 2
    jobs = list(compare._search_jobs(Recipe(max_steps=10), ["association", "mmd"]))
    assert all(job.validation and job.recipe.max_steps == 10 for job in jobs)
    assert all(job.recipe.seed == job.recipe.sup_seed for job in jobs)
    visit = [{"association": each} for each in ({}, {"visit": 0.3}, {"visit": 3.0})]
    weight = [{"mmd": each} for each in ({}, {"weight": 0.3}, {"weight": 3.0})]
    assert [job.parameters for job in jobs] == 2 * [*visit, *weight]
    assert [job.method for job in jobs] == 2 * [*3 * ["association"], *3 * ["mmd"]]
    assert [job.recipe.seed for job in jobs] == [*6 * [100], *6 * [101]]


def test_best_parameters_have_the_lowest_median_of_this_search(compare, tmp_path):
    recipe = Recipe(max_steps=10)
    record = Record(tmp_path / "r.json", "mnist5k", recipe)
    found = {None: (0.0, 6.0, 7.0), 1.0: (5.0, 5.5, 4.0), 4.0: (5.0, 0.0, 9.0)}
    for epsilon, errors in found.items():
        chosen = {"vat": {"epsilon": epsilon} if epsilon else {}}
        values = {"parameters": methods.parameters_of("vat", chosen), "validation": True}
        for seed, error in enumerate(errors, start=100):
            record.add(a_run("vat", seed, error, **values))
            if epsilon == 4.0:  # of another search, of other steps, and on test images
                record.add(a_run("vat", seed + 3, 0.0, **values))
                record.add(a_run("vat", seed, 0.0, steps=5, **values))
                record.add(a_run("vat", seed - 100, 0.0, **{**values, "validation": False}))
    flags.FLAGS.search = 3
    assert compare._best(record, recipe, "vat") == {"epsilon": 1.0}
    flags.FLAGS.search = 1
    assert compare._best(record, recipe, "vat") == {}


def test_best_parameters_of_equals_are_the_first(compare, tmp_path):
    recipe = Recipe(max_steps=10)
    record = Record(tmp_path / "r.json", "mnist5k", recipe)
    for epsilon, error in ((4.0, 3.0), (1.0, 3.0), (2.0, 5.0)):
        parameters = methods.parameters_of("vat", {"vat": {"epsilon": epsilon}})
        record.add(a_run("vat", 100, error, parameters=parameters, validation=True))
    flags.FLAGS.search = 1
    assert compare._best(record, recipe, "vat") == {"epsilon": 1.0}


def test_best_parameters_are_not_those_that_diverged(compare, tmp_path):
    recipe = Recipe(max_steps=10)
    record = Record(tmp_path / "r.json", "mnist5k", recipe)
    for epsilon, error, loss in ((1.0, 3.0, None), (4.0, 5.0, 0.5)):
        parameters = methods.parameters_of("vat", {"vat": {"epsilon": epsilon}})
        values = {"validation": True, "evaluations": [[10, error, loss]]}
        record.add(a_run("vat", 100, error, parameters=parameters, **values))
    record.add(a_run("vat", 100, 9.0, validation=True))
    flags.FLAGS.search = 1
    assert compare._best(record, recipe, "vat") == {"epsilon": 4.0}


def test_jobs_are_of_all_seeds_and_their_schedules_fill_their_steps(compare):
    flags.FLAGS.seeds = 2
    recipe = Recipe(max_steps=80, decay_steps=20, eval_interval=16)
    chosen = {"vat": {"epsilon": 4.0}}
    jobs = list(compare._jobs(recipe, ["association", "vat"], chosen, {"vat": 40}))
    settings = "seed", "sup_seed", "max_steps", "decay_steps", "eval_interval"
    found = [(job.method, *(getattr(job.recipe, name) for name in settings)) for job in jobs]
    assert found == [
        ("association", 0, 0, 80, 20, 16),
        ("vat", 0, 0, 40, 10, 16),
        ("association", 1, 1, 80, 20, 16),
        ("vat", 1, 1, 40, 10, 16),
    ]
    assert jobs[1].key["parameters"]["vat"]["epsilon"] == 4.0
    assert not any(job.validation for job in jobs)


def test_runs_are_recorded_as_they_end_and_made_once(compare, tmp_path, monkeypatch, capsys):
    path, recipe = tmp_path / "r.json", Recipe(max_steps=10)
    record = Record(path, "mnist5k", recipe)
    record.add(a_run("mmd", 1, 3.0))
    jobs = [Job("mmd", {}, dataclasses.replace(recipe, seed=seed)) for seed in range(5)]
    fail = {0: InputError("no\nfile"), 3: tf.errors.ResourceExhaustedError(None, None, "full")}
    made = []

    def run(job):
        seeds = [run["seed"] for run in json.loads(path.read_text())["runs"]]
        made.append((job.recipe.seed, seeds))
        if error := fail.pop(job.recipe.seed, None):
            raise error
        return a_run("mmd", job.recipe.seed, 4.0)

    monkeypatch.setattr(running, "run", run)
    monkeypatch.setattr(compare, "load_tensorflow", lambda: None)
    failed = compare._run_all(record, jobs)
    assert failed == ["mmd: no file", "mmd: full"]
    with pytest.raises(InputError, match=r"^2 runs failed; .* the first: mmd: no file$"):
        compare._refuse(failed)
    assert made == [(0, [1]), (2, [1]), (3, [1, 2]), (4, [1, 2])]
    assert capsys.readouterr().out == "5 runs to compare, 1 of them made before\n"
    made.clear()
    again = Record(path, "mnist5k", recipe)
    compare._run_all(again, jobs)
    assert made == [(0, [1, 2, 4]), (3, [1, 2, 4, 0])]
    assert compare._run_all(again, jobs) == []
    assert len(made) == 2


def test_runs_of_one_command_are_on_the_same_data(compare, tmp_path, monkeypatch):
    recipe = Recipe(max_steps=10)
    record = Record(tmp_path / "r.json", "mnist5k", recipe)
    jobs = [Job("mmd", {}, dataclasses.replace(recipe, seed=seed)) for seed in range(3)]
    digests = ["a", "b", "a"]
    monkeypatch.setattr(
        compare,
        "_made",
        lambda jobs: [a_run("mmd", seed, 3.0, data=data) for seed, data in enumerate(digests)],
    )
    [failed] = compare._run_all(record, jobs)
    assert failed.startswith(
        "mmd: the images, their classes or the pretrained network have changed"
    )
    assert [run["seed"] for run in record.content["runs"]] == [0, 2]


def test_a_killed_process_is_told_in_a_line(compare, monkeypatch):
    def killed(*_):
        raise BrokenExecutor
        yield

    monkeypatch.setattr(compare, "unordered", killed)
    monkeypatch.setattr(compare, "share_of_machine", lambda jobs: {})
    flags.FLAGS.jobs = 2
    [said] = compare._made([Job("mmd", {}, Recipe())])
    assert "was killed" in said and "--jobs" in said


def test_one_job_is_made_on_the_cluster_too(compare, monkeypatch):
    monkeypatch.setattr(compare, "engine", lambda backend, jobs: nullcontext())
    monkeypatch.setattr(compare, "share_of_machine", lambda jobs: {})
    monkeypatch.setattr(compare, "unordered", lambda function, items, jobs: iter(["there"]))
    monkeypatch.setattr(compare, "_attempt", lambda job: "here")
    job = Job("mmd", {}, Recipe())
    assert list(compare._made([job])) == ["here"]
    flags.FLAGS.backend = "dask"
    assert list(compare._made([job])) == ["there"]


def test_all_runs_must_be_on_the_data_of_those_on_record(tiny, tmp_path):
    recipe = dataclasses.replace(tiny, max_steps=2)
    job = Job("labels_only", {}, recipe)
    made = running.run(job)
    record = Record(tmp_path / "r.json", "mnist5k", recipe)
    assert record.data_of(validation=False) == {}
    record.add(made)
    known = record.data_of(validation=False)
    assert known == {name: made[name] for name in DATA} and all(known.values())
    assert record.data_of(validation=True) == {}
    # Other labelled images are the same data.
    other = dataclasses.replace(recipe, seed=1, sup_seed=1)
    again = running.run(Job("labels_only", {}, other, data=known))
    assert {name: again[name] for name in known} == known
    arrays = dict(np.load(tiny.data_dir))
    fewer = {name: arrays[name][:-3] for name in ("train_images", "train_labels")}
    inverted = {"train_images": 255 - arrays["train_images"]}
    fewer_tests = {name: arrays[name][:-3] for name in ("test_images", "test_labels")}
    other_tests = {"test_images": 255 - arrays["test_images"]}
    for number, changed in enumerate((fewer_tests, other_tests, fewer, inverted)):
        place = tmp_path / f"{number}.npz"  # each its own, since what was loaded is kept
        np.savez(place, **{**arrays, **changed})
        changed = dataclasses.replace(other, data_dir=str(place))
        with pytest.raises(InputError, match="have changed since the runs on record"):
            running.run(Job("labels_only", {}, changed, data=known))
    # An earlier record knows nothing of pixels.
    assert running.run(Job("labels_only", {}, changed, data={}))["pixels"] != known["pixels"]


@pytest.mark.slow
def test_two_workers_make_the_runs_and_not_twice(tiny, tmp_path):
    command = [sys.executable, SCRIPT, f"--out={tmp_path / 'out'}", "--jobs=2", "--seeds=1"]
    command += ["--recipe=mnist5k", "--dataset=npz", f"--data_dir={tiny.data_dir}"]
    command += [f"--architecture={tiny.architecture}", "--methods=labels_only,mmd"]
    command += ["--max_steps=2", "--sup_per_batch=2", "--unsup_batch_size=8"]
    first = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert (first.returncode, first.stderr) == (0, "")
    assert "2 runs to compare, 0 of them made before\n" in first.stdout
    record = (tmp_path / "out.json").read_bytes()
    assert {run["method"] for run in json.loads(record)["runs"]} == {"labels_only", "mmd"}
    again = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert again.returncode == 0, again.stderr
    assert "2 runs to compare, 2 of them made before\n" in again.stdout
    assert "step 2 of 2" in first.stdout and "step 2 of 2" not in again.stdout
    assert (tmp_path / "out.json").read_bytes() == record


def parsed_recipe(compare, *words):
    """What the script makes of these words."""
    flags.FLAGS(["compare.py", *words])
    return compare._recipe()


def test_weights_of_a_recipe_that_only_association_has_are_left_out_unless_given(compare, capsys):
    recipe = parsed_recipe(compare, "--recipe=photos", "--data_dir=photos")
    assert recipe.cluster_share == 0
    assert "--cluster_share=0.1 is ignored" in capsys.readouterr().out


def test_weights_that_are_given_are_kept(compare):
    words = ["--recipe=mnist_fast", "--pseudo_label_weight=0.5", "--vat_weight=2"]
    recipe = parsed_recipe(compare, *words)
    assert (recipe.pseudo_label_weight, recipe.vat_weight) == (0.5, 2)
    assert recipe.max_steps == 500


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipe=mnist_student"], "trains in two stages"),
        (["--log_interval=7"], "--log_interval can't be given here"),
    ],
)
def test_recipes_and_settings_that_are_not_for_comparisons(compare, words, message):
    with pytest.raises(InputError, match=message):
        parsed_recipe(compare, *words)


def test_a_comparison_searches_first_and_shows_what_there_is_when_a_run_fails(
    compare, tmp_path, monkeypatch, capsys
):
    def run(job):
        weight = job.key["parameters"].get("mmd", {}).get("weight")
        if not job.validation and job.recipe.seed == 1:
            raise InputError("no room")
        error = 5.0 if weight == 0.3 else 9.0  # so the search chooses 0.3
        return {**a_run(job.method, job.recipe.seed, error), **job.key}

    monkeypatch.setattr(running, "run", run)
    monkeypatch.setattr(compare, "load_tensorflow", lambda: None)
    flags.FLAGS(["compare.py", "--search=1", "--seeds=2"])
    recipe = Recipe(max_steps=10)
    with pytest.raises(InputError, match=r"2 runs failed; .* labels_only: no room"):
        compare._compare(recipe, ["labels_only", "mmd"], ["mmd"], tmp_path / "out")
    page = (tmp_path / "out.md").read_text()
    assert "| labels only | published | 9.00 | 1 |" in page
    assert "| MMD | weight 0.3 | 5.00 | 1 |" in page
    assert (tmp_path / "out.png").exists()
    content = json.loads((tmp_path / "out.json").read_text())
    assert len(content["runs"]) == 3 + 2
    assert content["commands"] == [".venv/bin/python scripts/compare.py --seeds=2 --search=1"]


def test_the_command_that_measured_times_is_on_record(compare, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        running, "milliseconds_per_step", lambda jobs: {job.method: 70.0 for job in jobs}
    )
    flags.FLAGS(["compare.py", "--time"])
    compare._compare(Recipe(max_steps=10), ["mmd"], ["mmd"], tmp_path / "out")
    assert capsys.readouterr().out == "mmd: 70.0 ms a step\n"
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["commands"] == [".venv/bin/python scripts/compare.py --time"]
