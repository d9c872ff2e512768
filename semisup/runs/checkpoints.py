"""Checkpoints of a run: weights, optimizer and metrics, saved, checked, restored, waited for.

A checkpoint is a few files of TensorFlow's, and step-N.json with their checksums, which is
written last: without it a checkpoint does not count, so one can be cut short at any point.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import tensorflow as tf

from semisup.runs import files
from semisup.runs import directory
from semisup.runtime import workers
from semisup.errors import InputError, reason
from semisup.models.associative_model import AssociativeModel

# More than one, so that a damaged one can be passed over.
KEPT = 3

_FILE = re.compile(r"step-([0-9]+)\.(?:index|data-[0-9]{5}-of-[0-9]{5}|json)")

# A folder of this name is TensorFlow's, while it writes, and stays if that is cut short.
UNFINISHED = "_temp"


def save(logdir: Path, step: int, model: AssociativeModel, **state: tf.Variable) -> str:
    """Write `model` and other `state` to the run's folder; the newest three stay.

    Returns:
        The checkpoint, as `restore` takes it.

    Raises:
        InputError: it can't be written, for instance because the disk is full. The
            earlier checkpoints are intact.
    """
    folder = logdir / directory.CHECKPOINTS
    prefix = folder / f"step-{step}"
    try:
        folder.mkdir(exist_ok=True)
        _record(prefix).unlink(missing_ok=True)
        _checkpoint(model, state).write(str(prefix))
        for path in folder.glob(f"{prefix.name}.*"):
            with path.open("rb") as file:
                os.fsync(file.fileno())  # before they are vouched for
        files.write_json(_record(prefix), _checksums(prefix))
    except (OSError, tf.errors.OpError) as error:
        if workers.lost(model.distribute_strategy, error):
            raise  # no fault of the disk
        raise InputError(
            f"cannot write checkpoint {prefix}: {reason(error)}; the earlier checkpoints are "
            "intact: make room and give the same command again"
        ) from None
    _sweep(folder, step)
    return str(prefix)


def restore(model: AssociativeModel, checkpoint: str, **state: tf.Variable) -> int:
    """Load a checkpoint into the model, its optimizer and `state`; returns its step.

    Raises:
        InputError: the checkpoint can't be read, or is of another model.
    """
    try:
        status = _checkpoint(model, state).read(checkpoint)
        status.assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        if workers.lost(model.distribute_strategy, error):
            raise
        raise InputError(f"cannot restore checkpoint {checkpoint}: {reason(error)}") from None
    return int(model.optimizer.iterations.numpy())  # on many devices int() alone fails


def resume(logdir: Path, model: AssociativeModel, **state: tf.Variable) -> int:
    """Restore the newest whole checkpoint of a run; returns its step, 0 if there is none.

    Raises:
        InputError: there are checkpoints, but none is whole, or they are of another model.
    """
    checkpoint = _newest_whole(logdir)
    return 0 if checkpoint is None else restore(model, checkpoint, **state)


def newest(logdir: Path) -> str:
    """The newest whole checkpoint of a run.

    Raises:
        InputError: there is none.
    """
    checkpoint = _newest_whole(logdir)
    if checkpoint is None:
        raise InputError(f"{logdir} holds no checkpoint yet; --watch waits for one")
    return checkpoint


def watch(logdir: Path, timeout: float) -> Iterator[str]:
    """The newest checkpoint of a run, again and again, until the run has ended.

    Those that come while the caller is busy with one are passed over, but for the newest.

    Args:
        logdir: the run's folder.
        timeout: longest wait for a new one, in seconds.

    Raises:
        InputError: none came for that long.
    """
    last, since = None, time.monotonic()
    while True:
        # Asked first: a run writes its last checkpoint before its result.
        ended = directory.read_result(logdir) is not None
        finished = (p for p in _prefixes(logdir / directory.CHECKPOINTS) if _record(p).exists())
        prefix = next(finished, None)
        if prefix not in (None, last):
            last, since = prefix, time.monotonic()
            if fault := _fault(prefix):
                print(f"warning: {fault}; passed over", flush=True)
            else:
                yield str(prefix)
                since = time.monotonic()
        elif ended:
            return
        elif time.monotonic() - since > timeout:
            raise InputError(f"{logdir}: no new checkpoint for {timeout:g} s (--timeout)")
        else:
            time.sleep(1.0)


def remains(logdir: Path) -> list[Path]:
    """All that `save` wrote to a run's folder: whole, damaged or cut short."""
    folder = logdir / directory.CHECKPOINTS
    return [*(path for paths in _by_step(folder).values() for path in paths), *_scraps(folder)]


def _checkpoint(model: AssociativeModel, state: Mapping[str, tf.Variable]) -> tf.train.Checkpoint:
    # TensorFlow finds weights by itself, but neither metrics nor the state of dropout.
    weights = {id(weight) for weight in model.weights}
    others = [v for v in (*model.variables, *model.metrics_variables) if id(v) not in weights]
    return tf.train.Checkpoint(model=model, others=[v.value for v in others], **state)


def _newest_whole(logdir: Path) -> str | None:
    """The newest checkpoint that is whole; prints a line for each newer one that is not."""
    faults: list[str] = []
    prefixes = _prefixes(logdir / directory.CHECKPOINTS)
    for prefix in prefixes:
        fault = _fault(prefix)
        if fault is None:
            for line in faults:
                print(f"warning: {line}; falling back to {prefix.name}", flush=True)
            return str(prefix)
        faults.append(fault)
    # The first of all may have been cut short: then there is nothing to fall back to yet.
    if not prefixes or (len(prefixes) == 1 and not _record(prefixes[0]).exists()):
        for line in faults:
            print(f"warning: {line}; beginning at step 0", flush=True)
        return None
    raise InputError(f"no checkpoint is whole: {'; '.join(faults)}; --overwrite starts anew")


def _fault(prefix: Path) -> str | None:
    """What is wrong with a checkpoint; None if nothing is."""
    try:
        recorded = files.read_json(_record(prefix))
    except FileNotFoundError:
        return f"checkpoint {prefix} is unfinished"
    except InputError as error:
        return f"checkpoint {error}"
    checksums = _checksums(prefix)
    if not recorded:
        return f"checkpoint {_record(prefix)} is damaged: it names no file"
    for name in sorted(recorded.keys() | checksums.keys()):
        if recorded.get(name) != checksums.get(name):
            return f"checkpoint {prefix.parent / name} is damaged or missing"
    return None


def _prefixes(folder: Path) -> list[Path]:
    """The checkpoints of which there is any file, the newest first."""
    return [folder / f"step-{step}" for step in sorted(_by_step(folder), reverse=True)]


def _by_step(folder: Path) -> dict[int, list[Path]]:
    """The files of each checkpoint, by its step."""
    found: dict[int, list[Path]] = {}
    for path in folder.glob("step-*"):
        match = _FILE.fullmatch(path.name)
        if match and not path.is_dir():
            found.setdefault(int(match[1]), []).append(path)
    return found


def _scraps(folder: Path) -> list[Path]:
    """What a write that was cut short leaves."""
    found = folder.glob(f"step-[0-9]*{UNFINISHED}")
    unfinished = (path for path in found if path.is_dir() or path.is_symlink())
    return [*unfinished, *folder.glob(f"{files.TEMPORARY}step-*.json")]


def _sweep(folder: Path, step: int) -> None:
    """Remove all but the newest checkpoints up to `step`.

    Later ones are not whole, or the run would not have come to this step again.
    """
    by_step = _by_step(folder)
    finished = [n for n in by_step if n <= step and _record(folder / f"step-{n}").exists()]
    for old in by_step.keys() - sorted(finished)[-KEPT:]:
        # The record first: a checkpoint without one does not count.
        for path in sorted(by_step[old], key=lambda path: path.suffix != ".json"):
            path.unlink()
    for path in _scraps(folder):
        if path.name.endswith(UNFINISHED):
            shutil.rmtree(path)
        else:
            path.unlink()


def _record(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.json")


def _checksums(prefix: Path) -> dict[str, str]:
    """The SHA-256 of each of TensorFlow's files of a checkpoint, by its name."""
    paths = _by_step(prefix.parent).get(int(prefix.name.removeprefix("step-")), [])
    return {path.name: _sha256(path) for path in paths if path.suffix != ".json"}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
