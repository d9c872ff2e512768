"""Many devices compute what one does. Each test's devices live in a process of their own."""

import contextlib
import dataclasses
import json
import os
import socket
import time

import keras
import numpy as np
import pytest

from semisup import checkpoints, distribution, experiment, runs
from semisup.errors import InputError
from semisup.model import AssociativeModel
from tests import processes

# What is in the model, or how it walks, by case.
CASES = {
    "plain": {},
    "euclidean": {"similarity": "euclidean"},
    "virtual": {"virtual_embeddings": 2},
    "pseudo": {"pseudo_label_weight": 0.5},
    "apart": {"separate_batches": True},
    "batch_norm": {},
    "replica": {"association_scope": "replica"},
}

# So large that what a step leaves of a weight is its gradient.
RATE = 1e4


def in_process(function, *arguments):
    process = processes.start(function, *arguments)
    process.join()
    assert process.exitcode == 0


def split_the_processor():
    """Two logical CPU devices; only before TensorFlow has looked at them."""
    import tensorflow as tf

    (processor,) = tf.config.list_physical_devices("CPU")
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(processor, halves)


def one_step(strategy, case):
    """Losses and gradients of a batch of 8 labelled and 10 unlabelled images."""
    import tensorflow as tf

    from semisup.training import make_train_step

    random = np.random.default_rng(0)
    labels = np.concatenate([np.repeat(np.arange(4), 2), np.full(10, -1)])
    images = random.normal(size=(18, 6, 6, 1)).astype(np.float32)
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        layers = [keras.Input((6, 6, 1)), keras.layers.Flatten()]
        layers += [keras.layers.Dense(16, "relu", kernel_regularizer="l2")]
        layers += [keras.layers.BatchNormalization()] if case == "batch_norm" else []
        network = keras.Sequential([*layers, keras.layers.Dense(5)])
        model = AssociativeModel(network, 4, **CASES[case])
        model.compile(keras.optimizers.SGD(RATE))
        model.optimizer.build(model.trainable_variables)
    if strategy:
        distribution.synchronize_batch_norm(model.network)
    before = model.get_weights()
    spec = (tf.TensorSpec(images.shape), tf.TensorSpec(labels.shape, tf.int64))
    logs = make_train_step(model, spec)(images, labels)
    gradients = [(b - a) / RATE for a, b in zip(model.get_weights(), before, strict=True)]
    return {name: float(value) for name, value in logs.items()}, gradients


def write_steps(folder):
    """One step of each case on one device and on two."""
    split_the_processor()
    two = distribution.strategy("mirrored")
    assert two.num_replicas_in_sync == 2
    for case in CASES:
        for place, strategy in (("one", None), ("two", two)):
            logs, gradients = one_step(strategy, case)
            (folder / f"{case}-{place}.json").write_text(json.dumps(logs))
            np.savez(folder / f"{case}-{place}.npz", *gradients)


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    in_process(write_steps, folder)

    def read(case, place):
        with np.load(folder / f"{case}-{place}.npz") as file:
            return json.loads((folder / f"{case}-{place}.json").read_text()), list(file.values())

    return read


def largest_difference(one, two):
    """Over all arrays, relative to each array's largest entry."""
    return max(
        np.abs(a - b).max() / np.abs(a).max() for a, b in zip(one, two, strict=True) if a.any()
    )


@pytest.mark.parametrize("case", [case for case in CASES if case != "replica"])
def test_two_devices_find_the_losses_and_gradients_of_one(steps, case):
    (losses, gradients), (shared_losses, shared_gradients) = steps(case, "one"), steps(case, "two")
    assert losses["walker_loss"] > 0.1
    assert shared_losses == pytest.approx(losses, rel=1e-5)
    assert sum(gradient.any() for gradient in gradients) >= 5
    assert largest_difference(gradients, shared_gradients) < 1e-5


def test_replicas_that_walk_alone_have_other_losses_but_the_same_classification(steps):
    (losses, gradients), (shared_losses, shared_gradients) = (
        steps("replica", place) for place in ("one", "two")
    )
    for name in ("classification_loss", "l2_loss", "error"):
        assert shared_losses[name] == pytest.approx(losses[name], rel=1e-5)
    # Half as many unlabelled images can be visited.
    assert shared_losses["visit_loss"] < losses["visit_loss"] - 0.3
    assert largest_difference(gradients, shared_gradients) > 1e-2


def train_on_one(recipe, logdir):
    processes.train(recipe, logdir, save_interval=5)


def train_on_two(recipe, logdir):
    split_the_processor()
    strategy = distribution.strategy("mirrored")
    processes.train(recipe, logdir, save_interval=5, strategy=strategy)


def final_weights(logdir):
    return keras.models.load_model(logdir / runs.MODEL).get_weights()


def test_a_run_on_two_devices_is_that_on_one(tiny, tmp_path):
    recipe = dataclasses.replace(tiny, precision="float32", ema=0.5, max_steps=15)
    for function, name in ((train_on_one, "one"), (train_on_two, "two")):
        in_process(function, recipe, tmp_path / name)
    one, two = final_weights(tmp_path / "one"), final_weights(tmp_path / "two")
    assert largest_difference(one, two) < 1e-4
    record, shared = (runs.read_evaluations(tmp_path / name)[-1] for name in ("one", "two"))
    assert record["step"] == 15
    for name in ("test_error", "error", "loss", "walker_loss", "visit_loss"):
        assert shared[name] == pytest.approx(record[name], rel=1e-4)


@pytest.mark.slow
def test_a_killed_run_on_two_devices_ends_as_if_it_had_not_been(tiny, tmp_path):
    recipe = dataclasses.replace(tiny, precision="float32", ema=0.5, max_steps=15)
    in_process(train_on_two, recipe, tmp_path / "whole")
    process = processes.start(train_on_two, recipe, tmp_path / "killed")
    while not (tmp_path / "killed" / runs.CHECKPOINTS / "step-5.json").exists():
        assert process.is_alive()
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not (tmp_path / "killed" / runs.RESULT).exists()
    checkpoint = checkpoints.newest(tmp_path / "killed")
    in_process(train_on_two, recipe, tmp_path / "killed")
    assert not checkpoint.endswith("step-0")
    whole = final_weights(tmp_path / "whole")
    for weight, wanted in zip(final_weights(tmp_path / "killed"), whole, strict=True):
        np.testing.assert_array_equal(weight, wanted)


def join_workers(index, ports):
    """Become a worker of this machine."""
    os.environ["TF_CONFIG"] = json.dumps(
        {
            "cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]},
            "task": {"type": "worker", "index": index},
        }
    )
    return distribution.strategy("multi_worker")


def train_as_worker(index, ports, recipe, logdir, lines):
    """Train as one of two workers; write down its own weights, or what ended it."""
    strategy = join_workers(index, ports)
    built, build = [], experiment.build_model
    experiment.build_model = lambda *arguments: built.append(build(*arguments)) or built[-1]
    try:
        processes.train(recipe, logdir, save_interval=5, strategy=strategy)
    except InputError as error:
        (lines / f"error-{index}").write_text(str(error))
        raise SystemExit(1) from None
    assert built[-1].distribute_strategy is strategy
    np.savez(lines / f"weights-{index}.npz", *built[-1].get_weights())


def start_workers(*arguments):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in sockets]
    return [processes.start(train_as_worker, index, ports, *arguments) for index in range(2)]


def join_all(started, timeout):
    for process in started:
        process.join(timeout)
        assert process.exitcode is not None
    return [process.exitcode for process in started]


@pytest.fixture(scope="module")
def small(tiny):
    return dataclasses.replace(tiny, precision="float32", max_steps=15)


@pytest.fixture(scope="module")
def by_workers(small, tmp_path_factory):
    logdir, lines = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("lines")
    assert join_all(start_workers(small, logdir, lines), timeout=200) == [0, 0]
    return logdir, lines


def own_weights(lines, index):
    with np.load(lines / f"weights-{index}.npz") as file:
        return list(file.values())


def test_two_workers_end_with_the_same_weights_as_one_process(small, by_workers, tmp_path):
    logdir, lines = by_workers
    for weight, other in zip(own_weights(lines, 0), own_weights(lines, 1), strict=True):
        np.testing.assert_array_equal(weight, other)
    in_process(train_on_one, small, tmp_path)
    assert largest_difference(final_weights(tmp_path), final_weights(logdir)) < 1e-4
    assert largest_difference(final_weights(logdir), own_weights(lines, 0)) == 0
    record, shared = (runs.read_evaluations(folder)[-1] for folder in (tmp_path, logdir))
    for name in ("step", "test_error", "error", "loss", "walker_loss", "visit_loss"):
        assert shared[name] == pytest.approx(record[name], rel=1e-4)
    # Only the chief writes: one line for each evaluation, one file of events.
    assert [e["step"] for e in runs.read_evaluations(logdir)] == [0, 15]
    assert len(list(logdir.glob("events.*"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1], ids=["chief", "worker"])
def test_the_others_end_when_a_worker_dies_and_all_go_on(small, by_workers, tmp_path, killed):
    logdir, lines = tmp_path / "run", tmp_path / "lines"
    lines.mkdir()
    started = start_workers(small, logdir, lines)
    while not (logdir / runs.CHECKPOINTS / "step-5.json").exists():
        assert all(process.is_alive() for process in started)
        time.sleep(0.01)
    started[killed].kill()
    other = started[1 - killed]
    other.join(60)
    assert other.exitcode == 1
    line = (lines / f"error-{1 - killed}").read_text()
    assert line.startswith("another worker has stopped")
    assert "\n" not in line
    assert not (logdir / runs.RESULT).exists()
    assert join_all(start_workers(small, logdir, lines), timeout=200) == [0, 0]
    for weight, wanted in zip(final_weights(logdir), final_weights(by_workers[0]), strict=True):
        np.testing.assert_array_equal(weight, wanted)


@pytest.mark.parametrize(
    "config",
    ["", "[]", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}'],
)
def test_bad_tf_config_is_refused(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(InputError, match="needs the environment variable TF_CONFIG"):
        distribution.strategy("multi_worker")


def test_what_cannot_be_shared_out_is_refused():
    distribution.check_shares(2, 6, 8)
    with pytest.raises(InputError, match=r"the 6 labelled images .* among 4 devices; choose"):
        distribution.check_shares(4, 6, 8)
    with pytest.raises(InputError, match=r"the 7 unlabelled images .* multiples of 2"):
        distribution.check_shares(2, 6, 7)


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="unknown --strategy 'tpu'; known: none, mirrored"):
        distribution.strategy("tpu")
    with pytest.raises(InputError, match="unknown association scope 'world'; known: global"):
        distribution.check_scope("world")
    assert distribution.strategy("none") is None
