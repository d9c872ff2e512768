"""RunDirectory.clear removes what semisup wrote, and nothing else."""

import dataclasses
from pathlib import Path

import pytest

from semisup.errors import InputError
from semisup.runs import checkpoints, files
from semisup.runs.directory import RunDirectory
from semisup.training import loop
from tests.runs.test_checkpoints import model


@pytest.fixture
def run(tmp_path):
    """A folder with all that a run writes, and files of the user's own."""
    logdir = tmp_path / "run"
    logdir.mkdir()
    (logdir / "projector").mkdir()
    written = ("recipe.json", "split.json", "metrics.jsonl", "result.json", "eval.json")
    written += ("model.keras", "labeled.npz", "pseudo_labels.npz", "projector_config.pbtxt")
    written += ("figure2.png", "figure3.png", "figure4.png", "suggestions.csv", "suggestions.png")
    written += ("figure2.pdf", "figure4.svg")
    for name in (*written, "projector/embeddings.tsv", "projector/thumbnails.png"):
        (logdir / name).write_text("{}")
        (logdir / name).with_name(f".tmp.{Path(name).name}").write_text("{}")
    for step in (1, 2):
        checkpoints.save(RunDirectory(logdir), step, model())
    (logdir / "checkpoints" / "step-3_temp").mkdir()
    (logdir / "checkpoints" / "step-3_temp" / "part").touch()
    (logdir / "events.out.tfevents.1.host.2.3.semisup").touch()
    (logdir / "lock").touch()
    for name in ("classifier.keras", "classifier.tflite", "classifier.classes.txt"):
        (logdir / name).touch()
    (logdir / "classifier" / "variables").mkdir(parents=True)
    (logdir / "classifier" / "saved_model.pb").touch()
    for name in OWN:
        (logdir / name).parent.mkdir(exist_ok=True)
        (logdir / name).write_text("mine")
    return logdir


OWN = (
    "notes.txt",
    "model.keras.bak",
    "events.out.tfevents.1.host.2.3.v2",
    "checkpoints/step-2.index.bak",
    "checkpoints/best/step-1.index",
    "figure5.png",
    "classifier.txt",
    "projector/notes.txt",
)


def contents(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_what_semisup_wrote_goes_and_all_else_stays(run):
    RunDirectory(run).clear()
    assert contents(run) == {"lock", *OWN}


def test_a_half_removed_run_is_an_unfinished_one(run, monkeypatch):
    """Not a finished one whose files are missing, nor files of an unknown run."""
    removed, unlink = [], Path.unlink

    def remove(path, **options):
        removed.append(path.name)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", remove)
    RunDirectory(run).clear()
    assert removed[:2] == [".tmp.result.json", "result.json"]
    assert removed[-2:] == [".tmp.recipe.json", "recipe.json"]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("init_from", "."),
        ("teacher", "."),
        ("architecture", "model.keras"),
        ("weights", "model.keras"),
        ("split_file", "split.json"),
    ],
)
def test_what_a_run_begins_with_is_not_removed(tiny, run, name, what):
    before = contents(run)
    needing = dataclasses.replace(tiny, **{name: str(run / what)})
    with pytest.raises(InputError, match=f"would remove the run in .*, which `{name}` needs"):
        loop.train(needing, run / ".." / run.name, overwrite=True)
    assert contents(run) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("architecture", "mnist_model"), ("architecture", "keras:x"), ("weights", "imagenet")],
)
def test_names_of_networks_and_weights_are_no_folders(tiny, tmp_path, monkeypatch, name, value):
    monkeypatch.chdir(tmp_path)
    RunDirectory(value).refuse_needed(dataclasses.replace(tiny, **{name: value}))


def test_folder_without_a_run_is_left_alone(run):
    (run / "recipe.json").unlink()
    before = contents(run)
    RunDirectory(run).clear()
    assert contents(run) == before


LINKS = ["model.keras", "checkpoints", "recipe.json", "projector", "checkpoints/step-1.index"]


@pytest.mark.parametrize("name", LINKS)
def test_links_are_refused_before_anything_is_removed(run, tmp_path, name):
    (run / name).rename(tmp_path / Path(name).name)
    (run / name).symlink_to(tmp_path / Path(name).name)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=rf"{name} is a link"):
        RunDirectory(run).clear()
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "name", [".tmp.result.json", "lock", "metrics.jsonl", "checkpoints", "checkpoints/step-5_temp"]
)
def test_training_does_not_write_through_links(tiny, tmp_path, name):
    """In a folder from somebody else, they could lead anywhere: to a file, or to a new one."""
    (tmp_path / "run" / name).parent.mkdir(parents=True)
    (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=rf"{name} is a link"):
        loop.train(tiny, tmp_path / "run")
    assert not (tmp_path / "elsewhere").exists()


def test_files_written_one_by_one_do_not_go_through_links(tmp_path):
    (tmp_path / "mine").write_text("mine")
    for name in (".tmp.eval.json", "eval.json"):
        (tmp_path / name).symlink_to(tmp_path / "mine")
    files.write_json(tmp_path / "eval.json", {"step": 1})
    assert files.read_json(tmp_path / "eval.json") == {"step": 1}
    assert (tmp_path / "mine").read_text() == "mine"


def test_overwritten_run_is_the_new_one(tiny, tmp_path):
    loop.train(tiny, tmp_path)
    other = dataclasses.replace(tiny, max_steps=2, seed=3)
    with pytest.raises(InputError, match="start again in this one with `overwrite`"):
        loop.train(other, tmp_path)
    assert loop.train(other, tmp_path, overwrite=True)["steps"] == 2
    assert RunDirectory(tmp_path).read_recipe() == other
    assert checkpoints.newest(RunDirectory(tmp_path)).endswith("step-2")
    assert [record["step"] for record in RunDirectory(tmp_path).read_evaluations()] == [0, 2]
