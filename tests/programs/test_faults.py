"""Runs that are killed, checkpoints that are damaged, disks that are full."""

import dataclasses
import json
import random
import re
import resource
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup.errors import InputError
from semisup.runs import checkpoints, files
from semisup.runs.directory import RunDirectory
from semisup.training import loop
from semisup.visualization import projector, tensorboard
from tests import processes
from tests.runs.test_checkpoints import IMAGES, LABELS, model

pytestmark = pytest.mark.usefixtures("without_pictures")


def state(logdir):
    """All a run ends with: every variable of its last checkpoint, and its evaluations."""
    reader = tf.train.load_checkpoint(checkpoints.newest(RunDirectory(logdir)))
    tensors = {
        name: reader.get_tensor(name).tobytes()
        for name, dtype in reader.get_variable_to_dtype_map().items()
        if dtype != tf.string and not name.startswith("train_seconds")
    }
    records = [json.loads(line) for line in (logdir / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        del record["train_seconds"]
    return tensors, records


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """The folder of an uninterrupted run, with checkpoints of steps 20, 25 and 30."""
    logdir = tmp_path_factory.mktemp("whole")
    loop.train(tiny, logdir, save_interval=5)
    return logdir


@pytest.mark.parametrize(
    "kills", [2, pytest.param(25, marks=pytest.mark.slow)], ids=lambda kills: f"{kills} kills"
)
def test_a_killed_run_ends_as_if_it_had_not_been(tiny, whole, tmp_path, kills):
    """SIGKILL at random moments, a checkpoint at every step: many fall into a write."""
    wanted_tensors, wanted_records = state(whole)
    assert len(wanted_tensors) > 30  # weights, both moments of each, metrics
    assert [record["step"] for record in wanted_records] == [0, 20, 30]
    moment = random.Random(kills)
    done, finished, steps = 0, 0, []
    while True:
        logdir = tmp_path / f"killed{finished}"
        process = processes.start(_train_saving_each_step, tiny, logdir)
        if done < kills:
            # Now and then while it starts, else at some moment of its next few steps.
            step = moment.choice((None, newest_step(logdir)))
            while step is not None and process.is_alive() and newest_step(logdir) <= step:
                time.sleep(0.01)
            process.join(moment.uniform(0, 0.5))
        else:
            process.join()
        if process.is_alive():
            process.kill()
            process.join()
            done += 1
            steps.append(newest_step(logdir))
            continue
        assert process.exitcode == 0
        tensors, records = state(logdir)
        assert tensors.keys() == wanted_tensors.keys()
        assert [name for name in tensors if tensors[name] != wanted_tensors[name]] == []
        assert records == wanted_records
        assert not [path for path in logdir.rglob("*") if path.name.startswith(files.TEMPORARY)]
        finished += 1
        if done == kills:
            break
    print(f"{done} kills, at steps {steps}; {finished} runs that ended alike")


@pytest.mark.slow
def test_every_kind_of_state_survives_kills(tiny, tmp_path):
    """Dropout, batch norm, a thawing network, moving averages, virtual embeddings, envelopes."""
    network = tmp_path / "mine.keras"
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(8, 3)]
    layers += [keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Flatten()]
    keras.Sequential([*layers, keras.layers.Dropout(0.5), keras.layers.Dense(16)]).save(network)
    losses = {"pseudo_label_weight": 0.5, "vat_weight": 0.5}
    kinds = {"freeze_steps": 13, "ema": 0.9, "virtual_embeddings": 2, **losses}
    envelope = {"walker_weight_envelope": "linear", "walker_weight_envelope_steps": 9}
    settings = {"architecture": str(network), "emb_size": 8, "max_steps": 24, **kinds, **envelope}
    recipe = dataclasses.replace(tiny, **settings)
    loop.train(recipe, tmp_path / "whole", save_interval=5)
    for step in (6, 15):  # frozen and thawed
        held, go = processes.event(), processes.event()
        process = processes.start(_train_held, recipe, tmp_path / "killed", step + 1, held, go)
        assert held.wait(600), processes.said(process)
        process.kill()
        process.join()
        assert newest_step(tmp_path / "killed") == step
    assert not (tmp_path / "killed" / "result.json").exists()
    loop.train(recipe, tmp_path / "killed")
    tensors, records = state(tmp_path / "killed")
    wanted_tensors, wanted_records = state(tmp_path / "whole")
    assert len(wanted_tensors) > 60
    assert [name for name in wanted_tensors if tensors[name] != wanted_tensors[name]] == []
    assert records == wanted_records


def newest_step(logdir):
    """Of the checkpoints, finished or not; -1 before the first."""
    paths = (logdir / "checkpoints").glob("step-*.index")
    return max((int(path.stem.removeprefix("step-")) for path in paths), default=-1)


def _train_saving_each_step(recipe, logdir):
    processes.train(recipe, logdir, save_interval=1)


def _train_held(*arguments):
    processes.train_held(*arguments, save_interval=1)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A folder with checkpoints of steps 1 to 3, and the weights at each."""
    logdir = tmp_path_factory.mktemp("three")
    made, weights = model(), {}
    for step in (1, 2, 3):
        made.train_on_batch(IMAGES, LABELS)
        checkpoints.save(RunDirectory(logdir), step, made)
        weights[step] = made.get_weights()
    return logdir, weights


def damage(path, chance):
    """Cut a file, flip some of its bytes, empty it or remove it."""
    content = bytearray(path.read_bytes())
    kind = chance.choice(("cut", "flip", "zero", "remove", "append", "empty"))
    place = chance.randrange(len(content))
    if kind == "remove":
        path.unlink()
        return
    if kind == "cut":
        del content[place:]
    elif kind == "flip":
        for _ in range(chance.choice((1, 1, 10))):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif kind == "zero":
        content[place : place + 512] = bytes(len(content[place : place + 512]))
    elif kind == "append":
        content += b"\0" * 7
    else:
        content.clear()
    path.write_bytes(content)


def test_damaged_checkpoints_are_passed_over_or_refused(three, tmp_path, caplog):
    """300 random damages of one to three checkpoints: right weights, or one line."""
    logdir, weights = three
    chance = random.Random(0)
    refused, steps = 0, []
    made = model(seed=1)
    start = made.get_weights()
    for i in range(300):
        copy = tmp_path / str(i)
        shutil.copytree(logdir, copy)
        hurt = chance.choice(((3,), (3,), (3, 2), (3, 2, 1)))
        before = {path.name: path.read_bytes() for path in (copy / "checkpoints").iterdir()}
        for step in hurt:
            paths = sorted((copy / "checkpoints").glob(f"step-{step}.*"))
            for path in chance.sample(paths, chance.randint(1, 3)):
                damage(path, chance)
        after = {path.name: path.read_bytes() for path in (copy / "checkpoints").iterdir()}
        intact = [
            step
            for step in (1, 2, 3)
            if all(after.get(n) == before[n] for n in before if n.startswith(f"step-{step}."))
        ]
        made.set_weights(start)
        try:
            found = checkpoints.resume(RunDirectory(copy), made)
        except InputError as error:
            assert not intact
            assert "\n" not in str(error)
            assert "no checkpoint is intact" in str(error)
            assert "`overwrite`" in str(error)
            refused += 1
        else:
            if intact:
                assert found == intact[-1]
                for weight, wanted in zip(made.get_weights(), weights[found], strict=True):
                    np.testing.assert_array_equal(weight, wanted)
                steps.append(found)
            else:  # every file of the others was removed
                assert found == 0
                for weight, wanted in zip(made.get_weights(), start, strict=True):
                    np.testing.assert_array_equal(weight, wanted)
            lines = [*caplog.messages]
            caplog.clear()
            assert all(line.startswith("checkpoint ") for line in lines)
            if found and any(name.startswith(f"step-{found + 1}.") for name in after):
                assert lines[-1].endswith(f"falling back to step-{found}")
        shutil.rmtree(copy)
    assert refused > 20
    assert steps.count(1) > 20
    assert steps.count(2) > 20


def test_fallen_back_run_ends_as_the_undamaged_one(tiny, whole, tmp_path, capsys, caplog):
    logdir = tmp_path / "run"
    shutil.copytree(whole, logdir)
    for name in ("result.json", "model.keras"):
        (logdir / name).unlink()
    newest = logdir / "checkpoints" / "step-30.data-00000-of-00001"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    loop.train(tiny, logdir)
    fault = "step-30.data-00000-of-00001 is damaged or missing; falling back to step-25"
    assert fault in caplog.text
    assert "Resuming at step 25 of 30." in capsys.readouterr().out
    assert state(logdir) == state(whole)


@contextmanager
def largest_file(size):
    """Inside, no file of this process can grow beyond `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_leaves_the_older_checkpoint(tiny, whole, tmp_path, monkeypatch):
    save = checkpoints.save

    def save_while_there_is_room(logdir, step, *arguments, **state):
        with largest_file(-1 if step < 20 else 1 << 12):
            return save(logdir, step, *arguments, **state)

    monkeypatch.setattr(checkpoints, "save", save_while_there_is_room)
    with pytest.raises(InputError, match=r"cannot write .*step-20: File too large; the earlier"):
        loop.train(tiny, tmp_path / "run", save_interval=10)
    monkeypatch.undo()
    assert checkpoints.newest(RunDirectory(tmp_path / "run")).endswith("step-10")
    loop.train(tiny, tmp_path / "run")
    assert state(tmp_path / "run") == state(whole)


def test_pictures_that_can_not_be_drawn_do_not_cost_a_run(
    tiny, tmp_path, monkeypatch, caplog, pictures
):
    def draw(*_):
        raise ValueError("no font")

    monkeypatch.setattr(tensorboard, "write_evaluation", draw)
    monkeypatch.setattr(tensorboard, "write_end", draw)
    monkeypatch.setattr(projector, "write", draw)
    loop.train(dataclasses.replace(tiny, max_steps=1), tmp_path)
    assert RunDirectory(tmp_path).read_result()["steps"] == 1
    # Of the evaluations before and after the step, and of the end.
    assert caplog.messages.count("tests.programs.test_faults.draw failed: no font") == 4


@pytest.mark.slow
def test_file_system_that_fills_up_at_any_point(tiny, tmp_path):
    """A small file system of its own, with less and less space; needs the right to mount it."""
    large = dataclasses.replace(tiny, architecture="mnist_model")
    loop.train(large, tmp_path)
    # Not in pytest's folder, which another pytest may remove.
    disk = Path(tempfile.mkdtemp())
    filler = disk / "filler"
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        disk.rmdir()
        pytest.skip("no right to mount a file system")
    try:
        wanted, filled = state(tmp_path), []
        for kilobytes in (*range(0, 18_000, 1500), 3700, 4100, 4200, 4300):
            filler.write_bytes(bytes(20_000_000 - 1024 * kilobytes))
            try:
                loop.train(large, disk / "run")
            except (InputError, OSError) as error:
                filled.append(str(error))
            filler.unlink()
            loop.train(large, disk / "run")
            assert state(disk / "run") == wanted
            shutil.rmtree(disk / "run")
        assert len(filled) > 8
        assert all(re.search("No space left|File too large", line) for line in filled)
        assert len({line.split(":")[0] for line in filled}) > 2  # files of several kinds
    finally:
        # Lazily: TensorFlow still holds the event files of runs that failed.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        disk.rmdir()
