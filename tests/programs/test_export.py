"""semisup-export on a finished run's folder."""

import shutil

import keras
import pytest

from tests.processes import run


@pytest.fixture
def logdir(finished_run, tmp_path):
    """A folder with what an export needs of a run."""
    for name in ("recipe.json", "model.keras", "labeled.npz"):
        shutil.copy(finished_run / name, tmp_path)
    return tmp_path


def test_export_lies_in_the_run_with_the_names_of_the_classes_beside_it(logdir):
    result = run("export", "--format=keras", "--pixels=float32", f"--logdir={logdir}")
    assert result.returncode == 0, result.stderr
    path, classes = logdir / "classifier.keras", logdir / "classifier.keras.classes.txt"
    first, last = result.stdout.splitlines()
    assert first == f"wrote {path} (in: float32 [N, 28, 28, 1]) and {classes}"
    assert last.startswith("on 50 labelled images its probabilities differ from those of the run's")
    assert classes.read_text() == "".join(f"digit_{i}\n" for i in range(10))
    assert keras.models.load_model(path).inputs[0].dtype == "float32"


def test_export_keeps_the_runs_own_model(logdir):
    before = (logdir / "model.keras").read_bytes()
    link = logdir / "link"
    link.symlink_to(logdir)
    result = run("export", "--format=keras", f"--logdir={logdir}", f"--out={link}/model.keras")
    assert result.returncode == 1
    assert result.stderr == (
        f"error: {link}/model.keras would overwrite the model of a run; choose another --out\n"
    )
    assert (logdir / "model.keras").read_bytes() == before
    other = logdir / "other"
    other.mkdir()
    shutil.copy(logdir / "recipe.json", other)
    result = run("export", "--format=keras", f"--logdir={logdir}", f"--out={other}/model.keras")
    assert result.returncode == 1
    assert "would overwrite the model of a run" in result.stderr
