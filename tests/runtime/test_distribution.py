"""Many devices compute what one does. Each test's devices live in a process of their own."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import types
from pathlib import Path

import keras
import numpy as np
import pytest

from semisup import experiment
from semisup.data import pipeline
from semisup.errors import InputError
from semisup.evaluation.metrics import evaluate
from semisup.losses import blockwise
from semisup.models.associative_model import AssociativeModel
from semisup.runs import checkpoints
from semisup.runs.directory import RunDirectory
from semisup.runtime import distribution, workers
from semisup.training import loop
from semisup.training.collapse import CollapseWarning
from tests import processes

# What is in the model, or how it walks, by case.
CASES = {
    "plain": {},
    "virtual": {
        "similarity": "dot",
        "virtual_embeddings": 2,
        "pseudo_label_weight": 0.5,
        "vat_weight": 0.5,
    },
    "apart": {"separate_batches": True, "vat_weight": 0.5},
    "batch_norm": {"vat_weight": 0.5},
    "blocks": {},
    "replica": {"association_scope": "replica"},
}

# Enough for two worker processes: how they share and gather is the same for all.
CASES_OF_WORKERS = ("virtual", "batch_norm")

# Keras's own loop gives one device the labelled images, and the other unlabelled ones.
CASES_OF_FIT = ("virtual", "batch_norm")

# So large that what a step leaves of a weight is its gradient.
RATE = 1e4


def in_process(function, *arguments):
    process = processes.start(function, *arguments)
    process.join()
    assert process.exitcode == 0, processes.said(process)


def split_the_processor():
    """Two logical CPU devices; only before TensorFlow has looked at them."""
    import tensorflow as tf

    (processor,) = tf.config.list_physical_devices("CPU")
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(processor, halves)


@contextlib.contextmanager
def blocks_of(size):
    """Inside, a batch of 18 is as large as those that are walked over in blocks."""
    before, blockwise.block_size_for = (
        blockwise.block_size_for,
        lambda N, M: {(9, 9): size, (8, 10): size}[N, M],  # else the sizes got lost
    )
    yield
    blockwise.block_size_for = before


def one_step(strategy, case, by_fit=False, rows=slice(None)):
    """Losses and gradients of some rows of a batch of 8 labelled and 10 unlabelled images."""
    import tensorflow as tf

    from semisup.training.loop import make_train_step

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
    part, parts = workers.rank_and_size(strategy)
    images, labels = images[rows][part::parts], labels[rows][part::parts]
    batches = tf.data.Dataset.from_tensors((images, labels))
    with blocks_of(3) if case == "blocks" else contextlib.nullcontext():
        if by_fit:
            watch = CollapseWarning(labeled=8, unlabeled=10, every=1)
            history = model.fit(batches, verbose=0, callbacks=[watch]).history
            logs = {name: value for name, [value] in history.items()}
        else:
            if strategy:  # on one device the rows are searched for, on two they are known
                setattr(batches, pipeline._LABELS, labels)
            logs = make_train_step(model, batches)(images, labels)
    gradients = [(b - a) / RATE for a, b in zip(model.get_weights(), before, strict=True)]
    return {name: float(value) for name, value in logs.items()}, gradients


def write_steps(folder):
    """One step of each case on one device and on two."""
    split_the_processor()
    two = distribution.strategy("mirrored")
    assert two.num_replicas_in_sync == 2
    for case in CASES:
        for place, strategy in (("one", None), ("two", two)):
            write_step(folder, case, place, strategy)
    for case in CASES_OF_FIT:
        write_step(folder, case, "fit", two, by_fit=True)
    for half in range(2):  # what each replica has
        write_step(folder, "replica", f"half{half}", None, rows=slice(half, None, 2))
    for place, strategy in (("one", None), ("two", two)):
        (folder / f"evaluation-{place}.json").write_text(json.dumps(evaluation(strategy)))


def evaluation(strategy):
    """What `evaluate` and `fit` find on images of which some have no label."""
    random = np.random.default_rng(0)
    images = random.normal(size=(8, 6, 6, 1)).astype(np.float32)
    # Of four rows for each device one and two are labelled, then two and none.
    labels = np.array([0, -1, -1, -1, 1, 2, -1, -1])
    others = np.array([0, 1, -1, -1, -1, -1, -1, -1])
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        network = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten()])
        model = AssociativeModel(network, 4, similarity="dot")
        model.compile(keras.optimizers.SGD(0.0), metrics=["accuracy"])
    found = [
        model.evaluate(images, y, batch_size=8, verbose=0, return_dict=True)
        for y in (labels, others)
    ]
    validated = model.fit(
        images, labels, batch_size=8, verbose=0, validation_data=(images, labels)
    ).history
    found[0]["wrong"] = evaluate(model, images[labels >= 0], labels[labels >= 0]).report.error
    return [*found, {name: value for name, [value] in validated.items()}]


def write_step(folder, case, place, strategy, **options):
    logs, gradients = one_step(strategy, case, **options)
    (folder / f"{case}-{place}.json").write_text(json.dumps(logs))
    np.savez(folder / f"{case}-{place}.npz", *gradients)


def write_steps_of_worker(index, ports, folder):
    """One step of some cases as one of two workers, and what it is told if it differs."""
    strategy = join_workers(index, ports, ("chief", "worker"))
    assert workers.rank_and_size(strategy) == (index, 2)
    for case in CASES_OF_WORKERS:
        write_step(folder, case, f"worker{index}", strategy)
    workers.check_alike(strategy, {"precision": "float32", "`save_interval`": None})
    with pytest.raises(InputError) as refusal:
        workers.check_alike(strategy, {"precision": "float32", "`save_interval`": 5 + index})
    (folder / f"refusal-{index}").write_text(str(refusal.value))
    workers.leave(strategy)


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    in_process(write_steps, folder)
    return steps_in(folder)


@pytest.fixture(scope="module")
def steps_of_workers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps_of_workers")
    end_well(start_workers(write_steps_of_worker, folder))
    return steps_in(folder)


def steps_in(folder):
    """Reads what was written there of a case: its losses and gradients, or a line."""

    def read(case, place):
        if case == "refusal":
            return (folder / f"{case}-{place}").read_text()
        if case == "evaluation":
            return json.loads((folder / f"{case}-{place}.json").read_text())
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
    assert_alike(steps(case, "one"), steps(case, "two"))


def test_evaluate_on_two_devices_finds_the_results_of_one(steps):
    for one, two in zip(steps("evaluation", "one"), steps("evaluation", "two"), strict=True):
        assert one.keys() == two.keys()
        assert one.get("wrong") == two.get("wrong")
        for name in ("error", "accuracy", "classification_loss", "l2_loss"):
            assert two[name] == pytest.approx(one[name], rel=1e-5), name
            if f"val_{name}" in one:
                assert two[f"val_{name}"] == pytest.approx(one[f"val_{name}"], rel=1e-5), name
    assert "val_error" in one


@pytest.mark.parametrize("case", CASES_OF_FIT)
def test_fit_on_two_devices_finds_the_losses_and_gradients_of_one(steps, case):
    assert_alike(steps(case, "one"), steps(case, "fit"))


def assert_alike(one, other):
    (losses, gradients), (shared_losses, shared_gradients) = one, other
    assert losses["walker_loss"] > 0.1
    assert losses.get("pseudo_label_loss", 1) > 0.1
    assert shared_losses == pytest.approx(losses, rel=1e-5)
    assert sum(gradient.any() for gradient in gradients) >= 5
    assert largest_difference(gradients, shared_gradients) < 1e-5


@pytest.mark.parametrize("case", CASES_OF_WORKERS)
def test_two_workers_find_the_losses_and_gradients_of_one(steps, steps_of_workers, case):
    for index in range(2):
        assert_alike(steps(case, "one"), steps_of_workers(case, f"worker{index}"))


def test_workers_that_were_not_started_alike_are_refused(steps_of_workers):
    for index in range(2):
        assert steps_of_workers("refusal", index).startswith(
            f"`save_interval` is {5 + index} here, but not in every worker; start all with"
        )


def test_replicas_that_walk_alone_have_other_losses_but_the_same_classification(steps):
    (losses, gradients), (shared_losses, shared_gradients) = (
        steps("replica", place) for place in ("one", "two")
    )
    for name in ("classification_loss", "l2_loss", "error"):
        assert shared_losses[name] == pytest.approx(losses[name], rel=1e-5)
    # Half as many unlabelled images can be visited.
    assert shared_losses["visit_loss"] < losses["visit_loss"] - 0.3
    assert largest_difference(gradients, shared_gradients) > 1e-2


def test_replicas_that_walk_alone_have_the_mean_of_their_losses_and_gradients(steps):
    halves = [steps("replica", f"half{half}") for half in range(2)]
    losses = {name: np.mean([each[name] for each, _ in halves]) for name in halves[0][0]}
    gradients = [np.mean(pair, axis=0) for pair in zip(*(each for _, each in halves), strict=True)]
    assert_alike((losses, gradients), steps("replica", "two"))


def train_on_one(recipe, logdir):
    processes.train(recipe, logdir, save_interval=5)


def train_on_two(recipe, logdir):
    split_the_processor()
    strategy = distribution.strategy("mirrored")
    processes.train(recipe, logdir, save_interval=5, strategy=strategy)


def train_on_two_held(*arguments):
    split_the_processor()
    strategy = distribution.strategy("mirrored")
    processes.train_held(*arguments, save_interval=5, strategy=strategy)


def final_weights(logdir):
    return keras.models.load_model(logdir / "model.keras").get_weights()


# Muon scales its momentum to a norm, and rounding in what is nearly zero with it.
@pytest.mark.parametrize(
    ("changes", "bound", "rel"),
    [
        pytest.param({}, 1e-4, 1e-4, id="adam"),
        # Adam too, for biases and the classifier.
        pytest.param({"optimizer": "muon", "freeze_steps": 4}, 2e-3, 1e-3, id="muon"),
    ],
)
@pytest.mark.slow  # two workers, below, train too
def test_a_run_on_two_devices_is_that_on_one(tiny, tmp_path, changes, bound, rel):
    recipe = dataclasses.replace(tiny, precision="float32", ema=0.5, max_steps=15, **changes)
    for function, name in ((train_on_one, "one"), (train_on_two, "two")):
        in_process(function, recipe, tmp_path / name)
    one, two = final_weights(tmp_path / "one"), final_weights(tmp_path / "two")
    assert largest_difference(one, two) < bound
    record, shared = (
        RunDirectory(tmp_path / name).read_evaluations()[-1] for name in ("one", "two")
    )
    assert record["step"] == 15
    for name in ("test_error", "error", "loss", "walker_loss", "visit_loss"):
        assert shared[name] == pytest.approx(record[name], rel=rel)


@pytest.mark.slow
def test_a_killed_run_on_two_devices_ends_as_if_it_had_not_been(tiny, tmp_path):
    recipe = dataclasses.replace(tiny, precision="float32", ema=0.5, max_steps=15)
    in_process(train_on_two, recipe, tmp_path / "whole")
    held, go = processes.event(), processes.event()
    process = processes.start(train_on_two_held, recipe, tmp_path / "killed", 10, held, go)
    assert held.wait(600), processes.said(process)
    process.kill()
    process.join()
    assert not (tmp_path / "killed" / "result.json").exists()
    checkpoint = checkpoints.newest(RunDirectory(tmp_path / "killed"))
    in_process(train_on_two, recipe, tmp_path / "killed")
    assert checkpoint.endswith("step-5")
    whole = final_weights(tmp_path / "whole")
    for weight, wanted in zip(final_weights(tmp_path / "killed"), whole, strict=True):
        np.testing.assert_array_equal(weight, wanted)


def join_workers(index, ports, kinds=("worker", "worker")):
    """Become one of two workers of this machine."""
    addresses = {kind: [] for kind in kinds}
    for kind, port in zip(kinds, ports, strict=True):
        addresses[kind].append(f"127.0.0.1:{port}")
    task = {"type": kinds[index], "index": index if kinds[0] == kinds[1] else 0}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": addresses, "task": task})
    return distribution.strategy("multi_worker")


def train_as_worker(index, ports, recipe, logdir, lines, held=None, go=None):
    """Train as one of two workers; write down its own weights, or what ended it.

    `logdir` is the run's folder, or a list of one for each worker. With `held` and `go`, events for
    each worker, it waits at step 10.
    """
    strategy = join_workers(index, ports)
    logdir = logdir[index] if isinstance(logdir, list) else logdir
    built, build = [], experiment.experiment.build_model
    experiment.experiment.build_model = lambda *arguments: (
        built.append(build(*arguments)) or built[-1]
    )
    try:
        if held:
            processes.train_held(
                recipe, logdir, 10, held[index], go[index], save_interval=5, strategy=strategy
            )
        else:
            processes.train(recipe, logdir, save_interval=5, strategy=strategy)
    except InputError as error:
        (lines / f"error-{index}").write_text(str(error))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    assert built[-1].distribute_strategy is strategy
    np.savez(lines / f"weights-{index}.npz", *built[-1].get_weights())


def free_ports(count):
    """Ports on which nobody listens, below those that the system gives to connections.

    One of those could be taken before the worker listens on it.
    """
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    end = end if end > 2000 else 2**16  # on a machine that gives nearly all of them
    ports = []
    for port in np.random.default_rng().permutation(np.arange(1024, end)).tolist():
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise OSError("no free ports")


def start_workers(function, *arguments):
    ports = free_ports(2)
    return [processes.start(function, index, ports, *arguments) for index in range(2)]


def join_all(started, timeout):
    for process in started:
        process.join(timeout)
        assert process.exitcode is not None, processes.said(process)
    return [process.exitcode for process in started]


def end_well(started):
    codes = join_all(started, timeout=3600)
    assert codes == [0, 0], "\n".join(map(processes.said, started))


@pytest.fixture(scope="module")
def small(tiny):
    return dataclasses.replace(tiny, precision="float32", max_steps=15)


@pytest.fixture(scope="module")
def by_workers(small, tmp_path_factory):
    logdir, lines = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("lines")
    end_well(start_workers(train_as_worker, small, logdir, lines))
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
    record, shared = (RunDirectory(folder).read_evaluations()[-1] for folder in (tmp_path, logdir))
    for name in ("step", "test_error", "error", "loss", "walker_loss", "visit_loss"):
        assert shared[name] == pytest.approx(record[name], rel=1e-4)
    # Only the chief writes: one line for each evaluation, one file of events.
    assert [e["step"] for e in RunDirectory(logdir).read_evaluations()] == [0, 15]
    assert len(list(logdir.glob("events.*"))) == 1


def workers_at_step_10(recipe, folder):
    """Two workers that wait to save; what lets them go on, their run, and their own lines."""
    logdir, lines = folder / "run", folder / "lines"
    lines.mkdir()
    # One for each: an event that a killed process waited for can't be set.
    held, go = ([processes.event() for _ in range(2)] for _ in range(2))
    started = start_workers(train_as_worker, recipe, logdir, lines, held, go)
    for event, process in zip(held, started, strict=True):
        assert event.wait(600), processes.said(process)
    return started, go, logdir, lines


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1], ids=["chief", "worker"])
def test_the_others_end_when_a_worker_dies_and_all_go_on(small, by_workers, tmp_path, killed):
    started, go, logdir, lines = workers_at_step_10(small, tmp_path)
    started[killed].kill()
    started[killed].join()
    go[1 - killed].set()
    other = started[1 - killed]
    other.join()
    assert other.exitcode == 1
    line = (lines / f"error-{1 - killed}").read_text()
    assert line.startswith("another worker has stopped")
    assert "\n" not in line
    assert not (logdir / "result.json").exists()
    end_well(start_workers(train_as_worker, small, logdir, lines))
    for weight, wanted in zip(final_weights(logdir), final_weights(by_workers[0]), strict=True):
        np.testing.assert_array_equal(weight, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("told", [0, 1], ids=["chief", "worker"])
def test_sigterm_to_one_worker_stops_and_saves_all(small, by_workers, tmp_path, told):
    started, go, logdir, lines = workers_at_step_10(small, tmp_path)
    os.kill(started[told].pid, signal.SIGTERM)
    for event in go:
        event.set()
    assert join_all(started, timeout=600) == [130, 130]
    assert not (logdir / "result.json").exists()
    end_well(start_workers(train_as_worker, small, logdir, lines))
    assert own_weights(lines, 0)
    for weight, wanted in zip(final_weights(logdir), final_weights(by_workers[0]), strict=True):
        np.testing.assert_array_equal(weight, wanted)


@pytest.mark.slow
def test_folder_that_is_not_shared_is_refused(small, tmp_path):
    folders = [tmp_path / "run0", tmp_path / "run1"]
    codes = join_all(start_workers(train_as_worker, small, folders, tmp_path), timeout=3600)
    assert codes == [1, 1]
    assert (tmp_path / "error-0").read_text().startswith("another worker has stopped")
    line = (tmp_path / "error-1").read_text()
    assert line.startswith(f"this worker does not see the run that the chief began in {folders[1]}")
    assert not folders[1].exists()


@pytest.mark.parametrize(
    "config",
    [
        "",
        "[]",
        "{",
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": [1, 2]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": ["worker"], "task": {"type": "worker", "index": 0}}',
    ],
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


def test_a_replica_that_walks_alone_has_labelled_images_of_each_class(tiny):
    """Else the walk of a replica could not reach a class, and would go to another."""
    few = dataclasses.replace(
        tiny, sup_per_batch=2, unsup_batch_size=9, association_scope="replica"
    )
    three = types.SimpleNamespace(num_replicas_in_sync=3)
    with pytest.raises(InputError, match=r"on 3 devices needs .*; `sup_per_batch` is 2"):
        loop._model_on_devices(experiment.build(few), three)


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="unknown `strategy` 'tpu'; known: none, mirrored"):
        distribution.strategy("tpu")
    with pytest.raises(InputError, match="unknown `association_scope` 'world'; known: global"):
        distribution.check_scope("world")
    assert distribution.strategy("none") is None
