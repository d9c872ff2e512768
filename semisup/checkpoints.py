"""Checkpoints of a run: weights and optimizer state, saved, restored, waited for."""

import time
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from semisup import runs
from semisup.errors import InputError
from semisup.model import AssociativeModel

KEPT = 3


def manager(
    logdir: Path, model: AssociativeModel, **state: tf.Variable
) -> tf.train.CheckpointManager:
    """Saves `model` and other `state` in the run's folder, keeping the newest three."""
    return tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model, **state),
        str(logdir / runs.CHECKPOINTS),
        max_to_keep=KEPT,
        checkpoint_name="step",
    )


def restore(model: AssociativeModel, checkpoint: str, **state: tf.Variable) -> int:
    """Load a checkpoint into the model, its optimizer and `state`; returns its step.

    Raises:
        InputError: the checkpoint can't be read, or is of another model.
    """
    try:
        status = tf.train.Checkpoint(model=model, **state).restore(checkpoint)
        status.assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"cannot restore checkpoint {checkpoint}: {reason}") from None
    return int(model.optimizer.iterations)


def newest(logdir: Path) -> str:
    """The newest checkpoint of a run.

    Raises:
        InputError: there is none.
    """
    checkpoint = tf.train.latest_checkpoint(str(logdir / runs.CHECKPOINTS))
    if checkpoint is None:
        raise InputError(f"{logdir} holds no checkpoint yet; --watch waits for one")
    return checkpoint


def watch(logdir: Path, timeout: float) -> Iterator[str]:
    """Each new checkpoint of a run as it comes, until the run has ended.

    Args:
        logdir: the run's folder.
        timeout: longest wait for a new one, in seconds.

    Raises:
        InputError: none came for that long.
    """
    last, since = None, time.monotonic()
    while True:
        # Asked first: a run writes its last checkpoint before its result.
        ended = runs.read_result(logdir) is not None
        checkpoint = tf.train.latest_checkpoint(str(logdir / runs.CHECKPOINTS))
        if checkpoint not in (None, last):
            yield checkpoint
            last, since = checkpoint, time.monotonic()
        elif ended:
            return
        elif time.monotonic() - since > timeout:
            raise InputError(f"{logdir}: no new checkpoint for {timeout:g} s (--timeout)")
        else:
            time.sleep(1.0)
