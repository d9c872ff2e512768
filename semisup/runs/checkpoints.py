"""Checkpoints of a run: weights, optimizer and metrics, saved, checked, restored, waited for.

A checkpoint is a few files of TensorFlow's, and step-N.json with their checksums, which is
written last: without it a checkpoint does not count, so one can be cut short at any point.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import tensorflow as tf
from absl import logging

from semisup.errors import InputError, reason
from semisup.models.associative_model import AssociativeModel
from semisup.runs import files
from semisup.runs.directory import RunDirectory
from semisup.runtime import paths, workers

# More than one, so that a damaged one can be passed over.
KEPT = 3


def save(run: RunDirectory, step: int, model: AssociativeModel, **state: tf.Variable) -> str:
    """Write `model` and other `state` to the run's folder; the newest three stay.

    Returns:
        The checkpoint, as `restore` takes it.

    Raises:
        InputError: it can't be written, for instance because the disk is full. The
            earlier checkpoints are intact.
    """
    folder = run.checkpoints
    prefix = folder / f"step-{step}"
    try:
        folder.mkdir(exist_ok=True)
        _record(prefix).unlink(missing_ok=True)
        with paths.plain(folder) as place:
            _checkpoint(model, state).write(str(place / prefix.name))
        for path in folder.glob(f"{prefix.name}.*"):
            files.flush(path)  # before its record vouches for it
        files.write_json(_record(prefix), _checksums(run, prefix))
    except InputError as error:  # the disk is full
        raise InputError(f"{error}; the earlier checkpoints are intact") from None
    except (OSError, tf.errors.OpError) as error:
        if workers.lost(model.distribute_strategy, error):
            raise  # no fault of the disk
        raise InputError(
            f"cannot write checkpoint {prefix}: {reason(error)}; the earlier checkpoints are "
            "intact: free some space and give the same command again"
        ) from None
    _sweep(run, step)
    return str(prefix)


def restore(model: AssociativeModel, checkpoint: str, **state: tf.Variable) -> int:
    """Load a checkpoint into the model, its optimizer and `state`; returns its step.

    Raises:
        InputError: the checkpoint can't be read, or is of another model.
    """
    prefix = Path(checkpoint)
    try:
        with paths.plain(prefix.parent) as place:
            status = _checkpoint(model, state).read(str(place / prefix.name))
            status.assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        if workers.lost(model.distribute_strategy, error):
            raise
        raise InputError(f"cannot restore checkpoint {checkpoint}: {reason(error)}") from None
    return int(model.optimizer.iterations.numpy())  # on many devices int() alone fails


def resume(run: RunDirectory, model: AssociativeModel, **state: tf.Variable) -> int:
    """Restore the newest whole checkpoint of a run; returns its step, 0 if there is none.

    Raises:
        InputError: there are checkpoints, but none is whole, or they are of another model.
    """
    checkpoint, faults = _newest_whole(run)
    if checkpoint is not None:
        return restore(model, checkpoint, **state)
    for line in faults:
        logging.warning(f"{line}; starting at step 0")
    if workers.is_chief(model.distribute_strategy):
        _sweep(run, 0)  # what the first one left, cut short: a second would look like lost records
    return 0


def newest(run: RunDirectory) -> str:
    """The newest whole checkpoint of a run.

    Raises:
        InputError: there is none.
    """
    checkpoint, _ = _newest_whole(run)
    if checkpoint is None:
        raise InputError(f"{run} holds no whole checkpoint; wait until its training has saved one")
    return checkpoint


def watch(run: RunDirectory, timeout: float) -> Iterator[str]:
    """Yield each new checkpoint of a run until the run has ended.

    Of several that are written while the caller is busy, only the newest is yielded.

    Args:
        run: the run's folder.
        timeout: longest wait for a new one, in seconds.

    Raises:
        InputError: none came for that long.
    """
    last, since = None, time.monotonic()
    while True:
        # Asked first: a run writes its last checkpoint before its result.
        ended = run.read_result() is not None
        finished = (prefix for prefix in _prefixes(run) if _record(prefix).exists())
        prefix = next(finished, None)
        if prefix not in (None, last):
            last, since = prefix, time.monotonic()
            if fault := _fault(run, prefix):
                logging.warning(f"{fault}; skipped")
            else:
                yield str(prefix)
                since = time.monotonic()
        elif ended:
            return
        elif time.monotonic() - since > timeout:
            raise InputError(f"{run}: no new checkpoint for {timeout:g} s (`timeout`)")
        else:
            time.sleep(1.0)


def _checkpoint(model: AssociativeModel, state: Mapping[str, tf.Variable]) -> tf.train.Checkpoint:
    # TensorFlow finds weights by itself, but neither metrics nor the state of dropout.
    weights = {id(weight) for weight in model.weights}
    others = [v for v in (*model.variables, *model.metrics_variables) if id(v) not in weights]
    return tf.train.Checkpoint(model=model, others=[v.value for v in others], **state)


def _newest_whole(run: RunDirectory) -> tuple[str | None, list[str]]:
    """The newest checkpoint that is whole, with a warning of newer ones that are not.

    None, and what is wrong, where the very first is not whole yet.
    """
    faults: list[str] = []
    prefixes = _prefixes(run)
    for prefix in prefixes:
        fault = _fault(run, prefix)
        if fault is None:
            for line in faults:
                logging.warning(f"{line}; falling back to {prefix.name}")
            return str(prefix), faults
        faults.append(fault)
    # The first of all may have been cut short: then there is nothing to fall back to yet.
    if not prefixes or (len(prefixes) == 1 and not _record(prefixes[0]).exists()):
        return None, faults
    raise InputError(f"no checkpoint is intact: {'; '.join(faults)}; train again with `overwrite`")


def _fault(run: RunDirectory, prefix: Path) -> str | None:
    """What is wrong with a checkpoint; None if nothing is."""
    try:
        recorded = files.read_json(_record(prefix))
    except FileNotFoundError:
        return f"checkpoint {prefix} is unfinished"
    except InputError as error:
        return f"checkpoint {error}"
    checksums = _checksums(run, prefix)
    if not recorded:
        return f"checkpoint {_record(prefix)} is damaged: it names no file"
    for name in sorted(recorded.keys() | checksums.keys()):
        if recorded.get(name) != checksums.get(name):
            return f"checkpoint {prefix.parent / name} is damaged or missing"
    return None


def _prefixes(run: RunDirectory) -> list[Path]:
    """The checkpoints of which there is any file, the newest first."""
    return [run.checkpoints / f"step-{n}" for n in sorted(run.checkpoints_by_step(), reverse=True)]


def _sweep(run: RunDirectory, step: int) -> None:
    """Remove all but the newest checkpoints up to `step`.

    Later ones are not whole, or the run would not have reached this step again.
    """
    by_step = run.checkpoints_by_step()
    finished = [n for n in by_step if n <= step and _record(run.checkpoints / f"step-{n}").exists()]
    for old in by_step.keys() - sorted(finished)[-KEPT:]:
        # The record first: a checkpoint without one does not count.
        for path in sorted(by_step[old], key=lambda path: path.suffix != ".json"):
            path.unlink()
    for path in run.unfinished_checkpoints():
        files.remove(path)


def _record(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.json")


def _checksums(run: RunDirectory, prefix: Path) -> dict[str, str]:
    """The SHA-256 of each of TensorFlow's files of a checkpoint, by its name."""
    parts = run.checkpoints_by_step().get(int(prefix.name.removeprefix("step-")), [])
    return {path.name: _sha256(path) for path in parts if path.suffix != ".json"}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
