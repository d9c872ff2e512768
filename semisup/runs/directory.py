"""The folder of a run, which tells all about it.

    split.json      which images are labelled and unlabelled; --split_file takes it
    taught.npz      with --teacher: the unlabelled images that it labelled, and their labels
    recipe.json     the settings, the split's hash, the versions, the command
    checkpoints/    the newest weights and optimizer states
    metrics.jsonl   a line for each evaluation
    result.json     at the end: errors in percent, seconds, steps
    model.keras     at the end: the trained model (with --select=label_free the best so far)
    labeled.npz     at the end: the embeddings of the labelled images, the class names
    events.out.*    for TensorBoard; so are projector/ and projector_config.pbtxt, at the end
    lock            the process that trains there; see `semisup.runs.locks`

Files are written whole or not at all; see `semisup.runs.files`.
"""

import dataclasses
import json
import platform
import shlex
import time
import typing
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from semisup.runs import files
from semisup.errors import InputError
from semisup.config import Recipe

RECIPE, SPLIT, METRICS = "recipe.json", "split.json", "metrics.jsonl"
RESULT, EVAL = "result.json", "eval.json"
EVENTS = ".semisup"  # ends the names of the event files
MODEL, CHECKPOINTS = "model.keras", "checkpoints"
LABELED = "labeled.npz"
TAUGHT = "taught.npz"
PROJECTOR, PROJECTOR_CONFIG = "projector", "projector_config.pbtxt"
FIGURES = ("figure2.png", "figure3.png", "figure4.png")
SUGGESTIONS = ("suggestions.csv", "suggestions.png")
# What semisup-export writes, unless told otherwise: a file or folder, and its classes.
EXPORT, CLASSES_ENDING = "classifier", ".classes.txt"
EXPORT_ENDINGS = {"keras": ".keras", "saved_model": "", "tflite": ".tflite", "onnx": ".onnx"}

# What a result consists of.
_ERRORS = ("test_error", "test_error_median", "test_error_min")
_RESULTS = (*_ERRORS, "train_seconds", "selected_step", "steps")


def claim(
    logdir: Path,
    recipe: Recipe,
    split: Mapping[str, Any],
    command: Sequence[str],
    precision: str = "",
) -> None:
    """Make `logdir` the folder of this run, or find that it is so already.

    Args:
        logdir: the folder; made if need be.
        recipe: the run's settings.
        split: the labelled and unlabelled images chosen, and their "hash".
        command: the words of the command line, for the record.
        precision: what the recipe's precision stands for on this machine.

    Raises:
        InputError: the folder holds a run with other settings; they are listed. Or its
            record is damaged, or gone.
    """
    settings = dataclasses.asdict(recipe)
    if (logdir / RECIPE).exists():
        there = files.read_json(logdir / RECIPE)
        if not isinstance(there.get("recipe"), dict):
            raise InputError(f"{logdir / RECIPE} is damaged: it holds no settings")
        before = {**there["recipe"], "split_hash": there.get("split_hash")}
        now = {**settings, "split_hash": split["hash"]}
        differences = [
            f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        if differences:
            raise InputError(
                f"{logdir} holds another run ({'; '.join(differences)}); "
                "choose another --logdir, or --overwrite starts anew in this one"
            )
        return
    # Else a run could go on from the checkpoints of another, or pass its result for its own.
    remains = [
        logdir / name for name in (RESULT, METRICS, MODEL, TAUGHT) if (logdir / name).exists()
    ]
    if remains := remains or list((logdir / CHECKPOINTS).glob("step-*.json")):
        raise InputError(
            f"{logdir} has no {RECIPE}, but holds {remains[0].relative_to(logdir)} of an unknown "
            "run; choose another --logdir"
        )
    logdir.mkdir(parents=True, exist_ok=True)
    record = {
        "recipe": settings,
        "split_hash": split["hash"],
        "precision": precision,
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("semisup", "tensorflow", "keras")},
        },
        "command": shlex.join(command),
    }
    files.write_json(logdir / SPLIT, split)
    files.write_json(logdir / RECIPE, record)


def wait_for(logdir: Path, timeout: float) -> None:
    """Wait until a run has begun in `logdir`.

    Raises:
        InputError: none has, for `timeout` seconds.
    """
    give_up = time.monotonic() + timeout
    while not (logdir / RECIPE).exists():
        if time.monotonic() > give_up:
            raise InputError(f"no run has begun in {logdir} for {timeout:g} s (--timeout)")
        time.sleep(0.2)


def read_recipe(logdir: Path) -> Recipe:
    """The settings of the run in `logdir`.

    Raises:
        InputError: there is no run, or its record is damaged or of another version.
    """
    if not (logdir / RECIPE).is_file():
        raise InputError(
            f"{logdir} holds no run: there is no {RECIPE}; --logdir must name the folder that "
            "semisup-train wrote"
        )
    settings = files.read_json(logdir / RECIPE).get("recipe")
    kinds = typing.get_type_hints(Recipe)
    if not isinstance(settings, dict) or settings.keys() != kinds.keys():
        raise InputError(f"{logdir / RECIPE} is damaged, or of another version of semisup")
    for name, value in settings.items():
        if not _fits(value, kinds[name]):
            raise InputError(f"{logdir / RECIPE} is damaged: {name} is {value!r}")
    return Recipe(**settings)


def read_precision(logdir: Path) -> str | None:
    """The precision that the run in `logdir` was begun in, if any was; it keeps to it.

    The recipe may say "auto", which is not the same on every machine.
    """
    if not (logdir / RECIPE).is_file():
        return None
    return files.read_json(logdir / RECIPE).get("precision") or None


def read_begun_recipe(logdir: Path) -> Recipe:
    """The settings of the run in `logdir`, in the precision that it was begun in.

    Raises:
        InputError: as `read_recipe`.
    """
    recipe = read_recipe(logdir)
    return dataclasses.replace(recipe, precision=read_precision(logdir) or recipe.precision)


def check_split(logdir: Path, split_hash: str) -> None:
    """Make sure that the data is still what the run in `logdir` was trained on.

    Args:
        logdir: the run's folder.
        split_hash: of the labelled and unlabelled images, as the data gives them now.

    Raises:
        InputError: other images would be labelled, and so test images may have been trained on.
    """
    if files.read_json(logdir / RECIPE).get("split_hash") != split_hash:
        raise InputError(
            f"the data has changed since {logdir} was trained: it would choose other images to "
            "label; --data_dir names a folder with the files as they were"
        )


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value out of JSON, where 1 may stand for 1.0, is of a setting's type."""
    kinds = typing.get_args(kind) or (kind,)  # of `int | None`, both
    return type(value) in kinds or (type(value) is int and float in kinds)


def read_result(logdir: Path) -> dict[str, float] | None:
    """What the run in `logdir` ended with; None if it has not ended.

    Raises:
        InputError: the file is damaged.
    """
    if not (logdir / RESULT).exists():
        return None
    result = files.read_json(logdir / RESULT)
    if not all(_fits(result.get(name), float) for name in _RESULTS):
        raise InputError(
            f"{logdir / RESULT} is damaged; delete it, and the same command writes it again"
        )
    return result


def read_evaluations(logdir: Path) -> list[dict[str, float]]:
    """What the evaluations of the run in `logdir` found, by their step.

    Raises:
        InputError: a line other than the last is damaged.
    """
    path = logdir / METRICS
    lines = path.read_bytes().splitlines() if path.exists() else []
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            if type(record["step"]) is not int or not _fits(record["test_error"], float):
                raise ValueError
            if record["step"] >= 0 and record["test_error"] >= 0:
                records.append(record)
        except (ValueError, KeyError, TypeError, RecursionError):
            if number == len(lines):
                break  # the run was killed while it wrote this line
            raise InputError(
                f"{path} is damaged at line {number}; mend or delete that line, or start the run "
                "anew with --overwrite"
            ) from None
    return records


def read_metrics(logdir: Path, last_step: int) -> list[dict[str, float]]:
    """The evaluations up to `last_step`; later ones are struck from the file.

    A run that resumes at a step has yet to make the evaluations after it.

    Raises:
        InputError: a line other than the last is damaged.
    """
    kept = [record for record in read_evaluations(logdir) if record["step"] <= last_step]
    if (logdir / METRICS).exists():
        files.write_text(logdir / METRICS, "".join(json.dumps(record) + "\n" for record in kept))
    return kept


def append_metrics(logdir: Path, record: Mapping[str, float]) -> None:
    """Add one evaluation."""
    with (logdir / METRICS).open("a", encoding="utf-8") as file:
        files.write_through(file, json.dumps(record) + "\n")


def save_model(logdir: Path, model: Any) -> None:
    """Write the run's model.keras, whole or not at all."""
    with files.whole(logdir / MODEL) as temporary:
        model.save(temporary)
