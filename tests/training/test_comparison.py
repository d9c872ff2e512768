"""Labels only against association: the same data, seeds and steps."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from semisup.config import LABELS_ONLY, Recipe
from semisup.errors import InputError
from semisup.runs.directory import RunDirectory
from semisup.runtime import signals
from semisup.training import comparison

pytestmark = pytest.mark.usefixtures("without_pictures")


def test_compare_wants_test_images(tmp_path):
    images, labels = np.zeros((2, 8, 8), np.uint8), np.arange(2)
    np.savez(tmp_path / "two.npz", train_images=images, train_labels=labels)
    recipe = Recipe("npz", str(tmp_path / "two.npz"), sup_per_class=-1)
    with pytest.raises(InputError, match="`compare` compares test errors, but two has no test"):
        comparison.compare(recipe, tmp_path / "run", seeds=1)
    assert not (tmp_path / "run").exists()


def test_compare_runs_both_on_the_same_splits_and_goes_on(tiny, tmp_path, capsys):
    changes = {"sup_per_class": 2, "max_steps": 2, "eval_interval": 2, "optimizer": "muon"}
    data_dir = shutil.copy(tiny.data_dir, tmp_path)
    small = dataclasses.replace(tiny, data_dir=data_dir, seed=5, sup_seed=3, **changes)
    errors = comparison.compare(small, tmp_path, seeds=2)
    assert {kind: len(each) for kind, each in errors.items()} == {
        "labels only": 2,
        "association": 2,
    }
    record = json.loads((tmp_path / "comparison.json").read_text())
    assert (record["test_error"], record["first_seed"], record["steps"]) == (errors, 5, 2)
    assert {"command", "hardware", "versions", "date"} <= record.keys()
    assert (record["test_images"], len(record["collapsed"])) == (9, 2)
    for seed in (5, 6):
        plain, walked = (
            RunDirectory(tmp_path / kind / f"seed{seed}") for kind in ("labels_only", "association")
        )
        assert plain.split.read_bytes() == walked.split.read_bytes()
        before, after = plain.read_recipe(), walked.read_recipe()
        assert not before.associates
        association = {"walker_weight": 1.0, "visit_weight": 1.0, "optimizer": "muon"}
        assert dataclasses.replace(before, **association) == after
        assert before.optimizer == "adam"
        assert (after.seed, after.sup_seed) == (seed, seed - 2)
    capsys.readouterr()
    assert comparison.compare(small, tmp_path, seeds=2) == errors
    assert capsys.readouterr().out.count("holds this run, which is already finished") == 4
    # Errors on other test images would be in one table.
    with np.load(small.data_dir) as arrays:
        content = {**arrays, **{name: arrays[name][1:] for name in ("test_images", "test_labels")}}
    np.savez(small.data_dir, **content)
    with pytest.raises(InputError, match="was evaluated on 9 test images at step 0, but now"):
        comparison.compare(small, tmp_path, seeds=3)


def test_compare_is_recorded_by_the_chief_alone(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison.loop, "train", lambda *a, **k: {"test_error": 1.0})
    monkeypatch.setattr(comparison.workers, "is_chief", lambda strategy: strategy is None)
    comparison.compare(tiny, tmp_path / "worker", seeds=1, strategy="of a worker")
    assert not (tmp_path / "worker" / "comparison.json").exists()
    (tmp_path / "chief").mkdir()
    comparison.compare(tiny, tmp_path / "chief", seeds=1)
    assert (tmp_path / "chief" / "comparison.json").exists()


def test_compare_records_the_machines_and_days_of_its_runs(tiny, tmp_path, monkeypatch):
    # As if that of the first seed had been made before, elsewhere.
    abacus = {"hardware": "an abacus", "versions": {"keras": "3.1"}, "date": "2026-01-02"}
    later = {**abacus, "hardware": "fingers", "date": "2026-01-03"}
    made = iter((abacus, later, later, abacus))
    monkeypatch.setattr(comparison.loop, "train", lambda *a, **k: {"test_error": 1.0, **next(made)})
    comparison.compare(tiny, tmp_path, seeds=2)
    record = json.loads((tmp_path / "comparison.json").read_text())
    assert record["hardware"] == ["an abacus", "fingers"]
    assert record["date"] == ["2026-01-02", "2026-01-03"]
    assert record["versions"] == {"keras": "3.1"}


def test_compare_says_in_the_end_what_the_errors_are_worth(tiny, tmp_path, monkeypatch, capsys):
    made = iter([(1.0, False), (2.0, True), (3.0, False), (4.0, False)])

    def train(*_, **__):
        error, collapsed = next(made)
        return {"test_error": error, "collapsed": collapsed, "test_images": 7}

    monkeypatch.setattr(comparison.loop, "train", train)
    comparison.compare(dataclasses.replace(tiny, eval_images=7), tmp_path, seeds=2)
    said = capsys.readouterr().out
    assert "the error is of 7 test images only" in said
    assert "the walk had collapsed at the end of 1 of 2 runs with association" in said
    record = json.loads((tmp_path / "comparison.json").read_text())
    assert (record["test_images"], record["collapsed"]) == (7, [True, False])


def test_compare_needs_a_recipe_with_association(tiny, tmp_path):
    labels_only = dataclasses.replace(tiny, **LABELS_ONLY)
    with pytest.raises(
        InputError, match="`compare` needs a recipe with a loss on unlabelled images"
    ):
        comparison.compare(labels_only, tmp_path, seeds=1)
    assert not list(tmp_path.iterdir())


def test_compare_needs_a_recipe_without_a_teacher(tiny, tmp_path):
    student = dataclasses.replace(tiny, teacher=str(tmp_path))
    with pytest.raises(InputError, match="`compare` can't be used with `teacher`"):
        comparison.compare(student, tmp_path / "run", seeds=1)


def test_table_has_a_line_for_each_seed_the_median_and_the_range():
    errors = {"labels only": [10.0, 12.0, 30.5], "association": [3.25, 2.0, 2.5]}
    assert comparison.table(errors, first_seed=4).splitlines() == [
        "              labels only    association",
        "seed 4            10.00 %         3.25 %",
        "seed 5            12.00 %         2.00 %",
        "seed 6            30.50 %         2.50 %",
        "median            12.00 %         2.50 %",
        "range         10.00-30.50      2.00-3.25",
    ]


@pytest.fixture(scope="module")
def compared(tiny, tmp_path_factory):
    """A recipe and the folder of its comparison with one seed; copy it."""
    small = dataclasses.replace(tiny, sup_per_class=2, max_steps=2, eval_interval=2)
    folder = tmp_path_factory.mktemp("compared")
    comparison.compare(small, folder, seeds=1)
    return small, folder


def test_compare_removes_nothing_for_a_wrong_setting(tiny, compared, tmp_path):
    small, made = compared
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    wrong = dataclasses.replace(small, architecture="mnist_modle")
    with pytest.raises(InputError, match="unknown architecture"):
        comparison.compare(wrong, tmp_path, seeds=1, overwrite=True)
    assert RunDirectory(tmp_path / "association" / f"seed{tiny.seed}").read_result()


def test_compare_clears_all_runs_before_the_first(tiny, compared, tmp_path, monkeypatch):
    """So that it is resumed without `overwrite`, wherever it was stopped."""
    small, made = compared
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    later = RunDirectory(tmp_path / "association" / f"seed{tiny.seed}")
    assert later.read_result()

    def stop(*args, **options):
        assert not later.recipe.exists()
        assert "overwrite" not in options
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison.loop, "train", stop)
    assert (tmp_path / "comparison.json").exists()
    with pytest.raises(signals.Stopped):
        comparison.compare(small, tmp_path, seeds=1, overwrite=True)
    assert not (tmp_path / "comparison.json").exists()  # its runs are gone
