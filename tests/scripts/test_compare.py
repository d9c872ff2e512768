"""What scripts/compare.py runs, what it has on record, and which parameters it chooses."""

import dataclasses
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from absl import flags
from comparison import methods, running
from comparison.record import Record
from comparison.running import Job

from semisup.config import Recipe
from semisup.errors import InputError
from tests.scripts.test_comparison import a_run

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare.py"


@pytest.fixture
def compare():
    """The script, and its flags at their defaults; both are gone afterwards."""
    before, parsed = set(flags.FLAGS), flags.FLAGS.is_parsed()
    script = importlib.import_module("compare")
    flags.FLAGS.mark_as_parsed()
    yield script
    del sys.modules["compare"]
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
    if not parsed:
        flags.FLAGS.unparse_flags()


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
    with pytest.raises(InputError, match=r"^2 of 4 runs failed; .* The first: mmd: no file$"):
        compare._run_all(record, jobs)
    assert made == [(0, [1]), (2, [1]), (3, [1, 2]), (4, [1, 2])]
    assert capsys.readouterr().out == "5 runs to compare, 1 of them made before\n"
    made.clear()
    again = Record(path, "mnist5k", recipe)
    compare._run_all(again, jobs)
    assert made == [(0, [1, 2, 4]), (3, [1, 2, 4, 0])]
    compare._run_all(again, jobs)
    assert len(made) == 2


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
