import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup.errors import InputError
from semisup.models.associative_model import AssociativeModel
from semisup.runs import checkpoints, files
from semisup.runs.directory import RunDirectory
from semisup.runtime import workers
from tests.runs.test_directory import RESULT


def model(emb_size=4, seed=0):
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(emb_size)]
    )
    made = AssociativeModel(network, 3)
    made.compile("adam")
    made.optimizer.build(made.trainable_variables)
    return made


IMAGES = np.random.default_rng(0).normal(size=(12, 4, 4, 1)).astype(np.float32)
LABELS = np.array([0, 1, 2] * 2 + [-1] * 6)


def test_weights_and_optimizer_come_back(tmp_path):
    one = model()
    for _ in range(3):
        one.train_on_batch(IMAGES, LABELS)
    checkpoints.save(RunDirectory(tmp_path), 3, one)
    other = model(seed=1)
    assert checkpoints.restore(other, checkpoints.newest(RunDirectory(tmp_path))) == 3
    for made in (one, other):
        made.reset_metrics()
    # The next step is the same, but for the last bits, which depend on the order of threads.
    logs = [made.train_on_batch(IMAGES, LABELS) for made in (one, other)]
    np.testing.assert_allclose(*logs, rtol=1e-5)
    for weight, other_weight in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(weight, other_weight, rtol=1e-4, atol=1e-6)


def test_every_variable_comes_back(tmp_path):
    """Moving averages, seeds of dropout, virtual embeddings and metrics too."""
    made = [everything(seed) for seed in (0, 1)]
    for _ in range(3):
        made[0].train_on_batch(IMAGES, LABELS)
    checkpoints.save(RunDirectory(tmp_path), 3, made[0])
    checkpoints.restore(made[1], checkpoints.newest(RunDirectory(tmp_path)))
    of_one, of_other = ([*m.variables, *m.optimizer.variables, *m.metrics_variables] for m in made)
    assert {"moving_mean", "seed_generator_state", "virtual_embeddings", "total"} <= {
        variable.name for variable in of_one
    }
    assert any("average" in variable.name for variable in of_one)
    for one, other in zip(of_one, of_other, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


def everything(seed):
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(4)]
    layers += [keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    made = AssociativeModel(keras.Sequential(layers), 3, virtual_embeddings=2)
    made.compile(keras.optimizers.Adam(use_ema=True))
    made.optimizer.build(made.trainable_variables)
    return made


def test_only_the_newest_are_kept(tmp_path):
    made = model()
    for step in (8, 9, 10, 11, 12):  # by number, not by name
        checkpoints.save(RunDirectory(tmp_path), step, made)
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    endings = ("index", "data-00000-of-00001", "json")
    assert names == {f"step-{step}.{ending}" for step in (10, 11, 12) for ending in endings}


def test_files_that_are_not_ours_do_not_matter(tmp_path, caplog):
    made = model()
    checkpoints.save(RunDirectory(tmp_path), 1, made)
    folder = tmp_path / "checkpoints"
    strangers = ("step-1.data-00000-of-00001.bak", "step-1.data-x", "step-best_temp", "notes")
    for name in strangers:
        (folder / name).write_text("mine")
    (folder / "step-9.index").mkdir()
    # The model's own count; it took no step.
    assert checkpoints.resume(RunDirectory(tmp_path), made) == 0
    for step in (2, 3, 4, 5):
        checkpoints.save(RunDirectory(tmp_path), step, made)
    assert checkpoints.newest(RunDirectory(tmp_path)).endswith("step-5")
    assert caplog.messages == []
    assert all((folder / name).read_text() == "mine" for name in strangers)


def test_damaged_checkpoints_of_later_steps_make_way_for_whole_ones(tmp_path):
    run, made = RunDirectory(tmp_path), model()
    for step in (10, 20, 30):
        made.optimizer.iterations.assign(step)
        checkpoints.save(run, step, made)
    for step in (20, 30):
        (run.checkpoints / f"step-{step}.index").write_bytes(b"rubbish")
    assert checkpoints.resume(run, made) == 10
    checkpoints.save(run, 11, made)
    assert set(run.checkpoints_by_step()) == {10, 11}


def test_resume_from_step_0_for_want_of_a_whole_checkpoint_is_said(tmp_path, caplog):
    checkpoints.save(RunDirectory(tmp_path), 7, model())
    (tmp_path / "checkpoints" / "step-7.json").unlink()
    with pytest.raises(InputError, match="wait until its training has saved one"):
        checkpoints.newest(RunDirectory(tmp_path))  # as semisup-eval does it, which starts nothing
    assert not caplog.messages
    assert checkpoints.resume(RunDirectory(tmp_path), model()) == 0
    assert caplog.messages[-1].endswith("step-7 is unfinished; starting at step 0")


def test_missing_damaged_and_foreign_checkpoints_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no whole checkpoint"):
        checkpoints.newest(RunDirectory(tmp_path))
    path = checkpoints.save(RunDirectory(tmp_path), 1, model())
    with pytest.raises(InputError, match="cannot restore checkpoint"):
        checkpoints.restore(model(emb_size=5), path)
    (tmp_path / "checkpoints" / "step-1.index").write_bytes(b"rubbish")
    with pytest.raises(InputError, match=r"cannot restore checkpoint .*step-1"):
        checkpoints.restore(model(), path)


def test_checkpoints_that_lack_a_variable_are_refused(tmp_path):
    path = checkpoints.save(RunDirectory(tmp_path), 1, model())
    with pytest.raises(InputError, match=r"cannot restore checkpoint .*step-1"):
        checkpoints.restore(model(), path, train_seconds=tf.Variable(0.0))
    with pytest.raises(InputError, match=r"cannot restore checkpoint .*step-1"):
        checkpoints.restore(everything(0), path)


def test_a_checkpoint_is_on_the_disk_before_its_record_vouches_for_it(tmp_path, monkeypatch):
    on_disk = []
    monkeypatch.setattr(os, "fsync", lambda file: on_disk.append(file_name(file)))
    checkpoints.save(RunDirectory(tmp_path), 1, model())
    assert sorted(on_disk[:2]) == ["step-1.data-00000-of-00001", "step-1.index"]
    assert on_disk[2:] == [".tmp.step-1.json", "checkpoints"]


def file_name(descriptor):
    return Path(f"/proc/self/fd/{descriptor}").readlink().name


@pytest.mark.parametrize("several", [False, True])
def test_worker_lost_while_saving_is_no_fault_of_the_disk(tmp_path, monkeypatch, several):
    """Saving adds up the metrics of all workers first."""
    error = tf.errors.UnavailableError(None, None, "Collective ops is aborted by: gone")

    def write(self, prefix):
        raise error

    monkeypatch.setattr(tf.train.Checkpoint, "write", write)
    monkeypatch.setattr(workers, "_several", lambda strategy: several)
    line = "another worker has stopped" if several else "cannot write checkpoint"
    with pytest.raises(InputError, match=line), workers.losses_named(None):
        checkpoints.save(RunDirectory(tmp_path), 1, model())


def test_watch_yields_each_checkpoint_until_the_run_ends(tmp_path, monkeypatch, caplog):
    """The run goes on while watch sleeps; a damaged checkpoint is passed over."""
    made, run, slept = model(), RunDirectory(tmp_path), []

    def sleep(seconds):
        slept.append(seconds)
        checkpoints.save(run, len(slept), made)
        if len(slept) == 2:
            (tmp_path / "checkpoints" / "step-2.index").write_bytes(b"rubbish")
        if len(slept) == 4:
            files.write_json(tmp_path / "result.json", RESULT)

    monkeypatch.setattr(checkpoints.time, "sleep", sleep)
    seen = [path.rsplit("-", 1)[1] for path in checkpoints.watch(run, timeout=300)]
    assert seen == ["1", "3", "4"]
    [warning] = caplog.messages
    assert "step-2.index is damaged" in warning and warning.endswith("; skipped")


def test_watch_gives_up(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints.time, "sleep", lambda _: None)
    checkpoints.save(RunDirectory(tmp_path), 1, model())
    found = checkpoints.watch(RunDirectory(tmp_path), timeout=0.1)
    assert next(found).endswith("step-1")
    with pytest.raises(InputError, match=r"no new checkpoint for 0\.1 s"):
        next(found)


@pytest.mark.parametrize("name", ["lr[3e-3]", "a*b", "what?", "back\\slash"])
def test_checkpoints_lie_in_folders_whose_names_are_patterns(tmp_path, name):
    """TensorFlow globs the names of checkpoints."""
    run = RunDirectory(tmp_path / name)
    run.path.mkdir()
    one, other = model(), model(seed=1)
    one.train_on_batch(IMAGES, LABELS)
    checkpoints.save(run, 1, one)
    assert checkpoints.resume(run, other) == 1
    np.testing.assert_array_equal(one.get_weights()[0], other.get_weights()[0])


def test_first_checkpoints_that_are_cut_short_again_and_again_block_no_run(tmp_path):
    """As a full disk leaves them, at each start."""
    run = RunDirectory(tmp_path)
    for step in (0, 2):
        assert checkpoints.resume(run, model()) == 0
        checkpoints.save(run, step, model())
        (run.checkpoints / f"step-{step}.json").unlink()
    assert checkpoints.resume(run, model()) == 0
    assert not run.checkpoints_by_step()
