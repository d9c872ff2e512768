"""semisup-eval on a run whose data has moved."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from semisup.errors import InputError
from semisup.inference import saved_run
from semisup.runs.directory import RunDirectory
from semisup.training import loop
from tests.processes import run

pytestmark = pytest.mark.usefixtures("without_pictures")


def test_moved_data_is_found_and_a_run_can_be_read_only(tiny, tmp_path):
    data, logdir, out = tmp_path / "data", tmp_path / "run", tmp_path / "some" / "where"
    data.mkdir()
    shutil.copy(tiny.data_dir, data / "source.npz")
    random, target = np.random.default_rng(1), {}
    for part, count in (("train", 30), ("test", 12)):
        target[f"{part}_images"] = random.integers(0, 256, (count, 8, 8), dtype=np.uint8)
        target[f"{part}_labels"] = np.arange(count) % 3
    np.savez(data / "target.npz", **target)
    recipe = dataclasses.replace(
        tiny,
        data_dir=str(data / "source.npz"),
        target_dataset="npz",
        target_data_dir=str(data / "target.npz"),
    )
    result = loop.train(recipe, logdir)
    moved = data.rename(tmp_path / "moved")
    before = contents(logdir)
    places = (f"--data_dir={moved}/source.npz", f"--target_data_dir={moved}/target.npz")
    done = run("eval", f"--logdir={logdir}", "--suggest=3", *places, f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert contents(logdir) == before
    assert sorted(contents(out)) == ["eval.json", "suggestions.csv", "suggestions.png"]
    evaluation = json.loads((out / "eval.json").read_text())
    assert evaluation["test_error"] == result["test_error"]
    logits = keras.models.load_model(logdir / "model.keras").predict_on_batch(
        target["test_images"][..., None]
    )["logits"]
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (target["test_labels"], logits.argmax(axis=1)), 1)
    assert evaluation["confusion"] == counts.tolist()
    errors = 100 * (1 - counts.diagonal() / counts.sum(axis=1))
    assert list(evaluation["error_per_class"]) == ["0", "1", "2"]
    np.testing.assert_allclose(list(evaluation["error_per_class"].values()), errors, atol=1e-6)
    assert evaluation["balanced_error"] == pytest.approx(errors.mean())
    f1 = 2 * counts.diagonal() / (counts.sum(axis=0) + counts.sum(axis=1))
    assert evaluation["macro_f1"] == pytest.approx(f1.mean())
    with (out / "suggestions.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3


def test_what_gave_a_run_its_first_weights_and_its_split_may_be_gone(tiny, tmp_path):
    source, logdir = tmp_path / "source", tmp_path / "run"
    loop.train(tiny, source)
    recipe = dataclasses.replace(
        tiny, init_from=str(source), split_file=str(source / "split.json"), sup_seed=7
    )
    result = loop.train(recipe, logdir)
    shutil.rmtree(source)
    done = run("eval", f"--logdir={logdir}")
    assert done.returncode == 0, done.stderr
    assert json.loads((logdir / "eval.json").read_text())["test_error"] == result["test_error"]
    # Figure 2 shows the initial weights.
    done = run("eval", f"--logdir={logdir}", "--figures")
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("semisup-train's --init_from must name the folder of one")


def test_all_test_images_are_evaluated_with_checkpoints_or_without(tiny, tmp_path):
    """Whatever was evaluated in training."""
    loop.train(dataclasses.replace(tiny, eval_images=3, max_steps=2), tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["test_images"] == 3
    done = run("eval", f"--logdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    evaluation = json.loads((tmp_path / "eval.json").read_text())
    assert np.sum(evaluation["confusion"]) == 9
    (tmp_path / "eval.json").unlink()
    shutil.rmtree(tmp_path / "checkpoints")
    for watch in ((), ("--watch", "--timeout=9")):
        (tmp_path / "eval.json").unlink(missing_ok=True)
        done = run("eval", f"--logdir={tmp_path}", *watch)
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "eval.json").read_text()) == evaluation


def test_a_finished_run_is_evaluated_as_it_ended_though_its_checkpoint_is_damaged(tiny, tmp_path):
    result = loop.train(dataclasses.replace(tiny, max_steps=4, eval_interval=2), tmp_path)
    for path in (tmp_path / "checkpoints").glob("step-4.data-*"):
        path.write_bytes(b"damaged")
    done = run("eval", f"--logdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    evaluation = json.loads((tmp_path / "eval.json").read_text())
    assert (evaluation["step"], evaluation["test_error"]) == (4, result["test_error"])


def test_the_folder_of_another_run_is_not_written_to(tiny, tmp_path):
    for name in ("a", "b"):
        loop.train(dataclasses.replace(tiny, max_steps=2), tmp_path / name)
    done = run("eval", f"--logdir={tmp_path}/a", f"--out={tmp_path}/b")
    assert done.returncode == 1
    assert done.stderr.endswith("b is the folder of another run; choose another --out\n")
    assert not (tmp_path / "b" / "eval.json").exists()


def test_what_can_not_be_written_or_suggested_is_said_before_the_evaluation(tiny, tmp_path):
    recipe = dataclasses.replace(tiny, max_steps=2, sup_per_class=-1)
    loop.train(recipe, tmp_path / "a")
    (tmp_path / "file").touch()
    for name in ("file", "file/below"):
        done = run("eval", f"--logdir={tmp_path}/a", f"--out={tmp_path}/{name}")
        assert done.returncode == 1
        assert done.stderr == f"error: {tmp_path}/file is a file; --out names a folder\n"
    done = run("eval", f"--logdir={tmp_path}/a", f"--out={tmp_path}/out", "--suggest=3")
    assert done.returncode == 1
    assert "is already labelled, so there is none to suggest" in done.stderr
    assert not (tmp_path / "out").exists()


def test_data_that_changed_after_the_training_is_refused(tiny, tmp_path):
    data, logdir = tmp_path / "data.npz", tmp_path / "run"
    shutil.copy(tiny.data_dir, data)
    loop.train(dataclasses.replace(tiny, data_dir=str(data), max_steps=2), logdir)
    with np.load(data) as arrays:
        changed = dict(arrays)
    changed["train_labels"] = changed["train_labels"][::-1]
    np.savez(data, **changed)
    done = run("eval", f"--logdir={logdir}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the data has changed since")
    assert not (logdir / "eval.json").exists()
    # Prediction needs the data where the labelled embeddings are not there.
    (logdir / "labeled.npz").unlink()
    with pytest.raises(InputError, match="the data has changed since"):
        saved_run.load(RunDirectory(logdir))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
