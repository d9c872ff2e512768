"""Several processes, one run: the workers that TF_CONFIG names.

All workers take the same steps, on the same weights. Only the chief evaluates, and writes to the
run's folder, which all can read. The chief is the task of type "chief", or else worker 0.
"""

import json
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from semisup.errors import InputError, reason
from semisup.runtime import signals

_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)

# What TensorFlow raises in a process when another one is gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


def join() -> tf.distribute.Strategy:
    """The strategy over all workers, once they are all there.

    Raises:
        InputError: TF_CONFIG is missing or wrong, or TensorFlow can't join the workers.
    """
    try:
        config = json.loads(os.environ.get("TF_CONFIG", ""))
        kind, index = config["task"]["type"], int(config["task"]["index"])
        addresses = config["cluster"]
        if not {kind, *addresses} <= {"chief", "worker"} or index < 0:
            raise ValueError
        everyone = [address for job in addresses for address in addresses[job]]
        if not all(isinstance(addresses[job], list) for job in addresses):
            raise ValueError
        if not all(isinstance(address, str) and ":" in address for address in everyone):
            raise ValueError
        addresses[kind][index]
    except (ValueError, KeyError, TypeError, IndexError):
        raise InputError(
            "`strategy=multi_worker` needs the environment variable TF_CONFIG, with an index of "
            f"its own for each worker, such as {_EXAMPLE}"
        ) from None
    if len(everyone) > 1:
        logging.warning(f"Waiting for all {len(everyone)} workers of TF_CONFIG to start.")
    try:
        with signals.immediate():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise InputError(f"cannot join the workers of TF_CONFIG: {reason(error)}") from None


def is_chief(strategy: tf.distribute.Strategy | None) -> bool:
    """Whether this process writes. Always, if it is the only one."""
    return place(strategy)[0] == 0


def place(strategy: tf.distribute.Strategy | None) -> tuple[int, int]:
    """(which, of how many): this process among the workers. The chief is 0."""
    if strategy is None or not _several(strategy):
        return 0, 1
    resolver = strategy.cluster_resolver
    tasks = resolver.cluster_spec().as_dict()
    order = [(kind, i) for kind in ("chief", "worker") for i in range(len(tasks.get(kind, ())))]
    return order.index((resolver.task_type, resolver.task_id)), len(order)


def any_of(strategy: tf.distribute.Strategy | None, flag: bool) -> bool:
    """Whether `flag` is set in any worker. All must call it; all wait for the last one."""
    if not _several(strategy):
        return flag
    return float(_sum(strategy, tf.constant(float(flag)))) > 0


def wait_for_all(strategy: tf.distribute.Strategy | None) -> None:
    """Wait until all workers call this."""
    any_of(strategy, False)


def leave(strategy: tf.distribute.Strategy | None) -> None:
    """Wait until all workers call this, the last thing that each does with the others.

    A worker that is through a collective operation may end while another still reads its part of
    it. So there are two: whoever is lost in the second one has been through the first.
    """
    wait_for_all(strategy)
    with suppress(*_LOST):
        wait_for_all(strategy)


def check_alike(strategy: tf.distribute.Strategy | None, values: Mapping[str, Any]) -> None:
    """Check that every worker has the same values. All must call it.

    Raises:
        InputError: a value, which is named, is not what it is in another worker.
    """
    if strategy is None or not _several(strategy):
        return
    # A row of checksums for each worker, who fills in its own; they are added up exactly.
    which, workers = place(strategy)
    sums = [zlib.crc32(repr(value).encode()) for value in values.values()]
    rows = [sums if row == which else [0] * len(sums) for row in range(workers)]
    everyones = _sum(strategy, tf.constant(rows, tf.int64)).numpy()
    for name, found in zip(values, everyones.T, strict=True):
        if len(set(found)) > 1:
            raise InputError(
                f"{name} is {values[name]!r} here, but not in every worker; start all with the "
                "same command, with a `logdir` that all of them share"
            )


@contextmanager
def chief_first(strategy: tf.distribute.Strategy | None) -> Iterator[None]:
    """A context that the chief enters and leaves before the other workers enter."""
    if not is_chief(strategy):
        wait_for_all(strategy)
    yield
    if is_chief(strategy):
        wait_for_all(strategy)


@contextmanager
def folder_to_write(strategy: tf.distribute.Strategy | None, logdir: Path) -> Iterator[Path]:
    """Where this worker may write a checkpoint: the run's folder, or a temporary one.

    All workers must write: TensorFlow adds up the metrics of all of them on the way.
    """
    if is_chief(strategy):
        yield logdir
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def lost(strategy: tf.distribute.Strategy | None, error: Exception) -> bool:
    """Whether an error of TensorFlow's means that another worker is gone."""
    return isinstance(error, _LOST) and _several(strategy)


@contextmanager
def losses_named(strategy: tf.distribute.Strategy | None) -> Iterator[None]:
    """A context in which the loss of another worker raises an InputError with the remedy."""
    try:
        yield
    except _LOST as error:
        if not lost(strategy, error):
            raise
        raise InputError(
            "another worker has stopped or can't be reached (see its own last line); to resume "
            "from the last checkpoint, start all workers again with the same commands"
        ) from None


def _several(strategy: tf.distribute.Strategy | None) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


@tf.function
def _sum(strategy: tf.distribute.Strategy, value: tf.Tensor) -> tf.Tensor:
    values = strategy.run(tf.identity, args=(value,))
    return strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
