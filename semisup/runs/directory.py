"""The folder of a run. Only `RunDirectory` names what it holds, and keeps its records.

    split.json         which images are labelled and unlabelled; `split_file` takes it
    pseudo_labels.npz  of a run with a teacher: its pseudo-labels
    recipe.json        the settings, the split's hash, the command, where and when it began
    checkpoints/       the newest weights and optimizer states
    metrics.jsonl      a line for each evaluation
    result.json        at the end: errors in percent, seconds, steps, where and when it ended
    model.keras        at the end: the trained model (with `select=label_free` the best so far)
    labeled.npz        at the end: the embeddings of the labelled images, the class names
    events.out.*       for TensorBoard; so are projector/ and projector_config.pbtxt, at the end
    lock               the process that trains there

    eval.json, figure2.png to figure4.png, suggestions.csv, suggestions.png    by semisup-eval
    classifier.*       by semisup-export

Files are written whole or not at all; see `semisup.runs.files`.
"""

import dataclasses
import json
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from semisup.config import Recipe, names_a_path
from semisup.errors import InputError, few
from semisup.runs import files
from semisup.runtime import machine
from semisup.runtime.paths import expanded, real

# What `semisup-export` writes unless told otherwise: a file or folder, and its class names.
EXPORT_ENDINGS = {"keras": ".keras", "saved_model": "", "tflite": ".tflite", "onnx": ".onnx"}
CLASSES_ENDING = ".classes.txt"

# Begins the name of the folder in which an export is made.
EXPORT_PREFIX = f"{files.TEMPORARY}export-"

# What TensorFlow writes into the folder of a SavedModel.
OF_SAVED_MODELS = frozenset(
    (
        *("saved_model.pb", "fingerprint.pb", "keras_metadata.pb"),
        *("variables", "assets", "assets.extra"),
    )
)

FIGURE_ENDINGS = ("png", "pdf", "svg")

_SHOWN = 5  # of a list in an error, at most

EVENTS_ENDING = ".semisup"  # ends the names of the event files

# What a result consists of. The errors are null where there are no test images.
_ERRORS = ("test_error", "test_error_median", "test_error_min")
_NUMBERS = ("train_seconds", "selected_step", "steps")

_CHECKPOINT_FILE = re.compile(r"step-([0-9]+)\.(?:index|data-[0-9]{5}-of-[0-9]{5}|json)")

# A folder whose name ends so is TensorFlow's while it writes, and stays if that is cut short.
_UNFINISHED = "_temp"

# Settings whose defaults depend on the machine, or on the version of semisup.
_DEFAULTS = ("precision", "similarity", "temperature", "learning_rate")

# Settings that name data and other runs, which may be moved while a run is stopped.
_PLACES = ("data_dir", "target_data_dir", "init_from", "teacher")

# Settings that name files which a run may need from another run's folder.
_NEEDED = ("init_from", "teacher", "architecture", "weights", "split_file")


class RunDirectory:
    """A run's folder: the paths in it, and all reading and writing of its records.

    Making one reads and writes nothing.

    Args:
        path: the folder.

    Examples:
        >>> run = RunDirectory("runs/digits")
        >>> run.model.name, run.read_result()
        ('model.keras', None)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = expanded(path)
        self.recipe = self.path / "recipe.json"
        self.split = self.path / "split.json"
        self.pseudo_labels = self.path / "pseudo_labels.npz"
        self.metrics = self.path / "metrics.jsonl"
        self.result = self.path / "result.json"
        self.eval = self.path / "eval.json"
        self.model = self.path / "model.keras"
        self.labeled = self.path / "labeled.npz"
        self.checkpoints = self.path / "checkpoints"
        self.projector = self.path / "projector"
        self.projector_config = self.path / "projector_config.pbtxt"
        self.suggestions = (self.path / "suggestions.csv", self.path / "suggestions.png")

    def __str__(self) -> str:
        return str(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunDirectory) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def figures(self, ending: str) -> tuple[Path, ...]:
        """Return the paths of the paper's figures 2 to 4, as files of one of `FIGURE_ENDINGS`."""
        return tuple(self.path / f"figure{number}.{ending}" for number in (2, 3, 4))

    def export(self, kind: str) -> Path:
        """Return the path of an export in one of the formats of `EXPORT_ENDINGS`."""
        return self.path / f"classifier{EXPORT_ENDINGS[kind]}"

    # Beginning a run.

    def hold(self) -> AbstractContextManager[None]:
        """Lock the folder for this process; see `files.locked`."""
        return files.locked(self.path)

    def claim(
        self,
        recipe: Recipe,
        split: Mapping[str, Any],
        command: Sequence[str],
        begun: Recipe | None = None,
        network_hashes: Mapping[str, str | None] | None = None,
    ) -> None:
        """Record this run in the folder, or check that the folder already holds this run.

        It is the same run where its data, or the run that it begins with, has moved: nothing is
        left at the place on record, and the data gives the same split.

        Args:
            recipe: the run's settings.
            split: the labelled and unlabelled images chosen, and their "hash".
            command: the words of the command line, for the record.
            begun: the recipe with what its defaults stand for here; see `as_begun`.
            network_hashes: digests of the network that the run was given as a file; see
                `check_network`.

        Raises:
            InputError: the folder holds a run with other settings; they are listed. Or its
                record is damaged, or missing.
        """
        settings = dataclasses.asdict(recipe)
        if self.recipe.exists():
            self._check_settings({**settings, "split_hash": split["hash"]})
            self.check_network(network_hashes or {})
            return
        # Else a run could go on from the checkpoints of another, or take its result for its own.
        of_runs = (self.result, self.metrics, self.model, self.pseudo_labels)
        candidates = (*of_runs, *self.checkpoints.glob("step-*.json"))
        if remains := [path for path in candidates if path.exists()]:
            raise InputError(
                f"{self} has no {self.recipe.name}, but holds {remains[0].relative_to(self.path)} "
                "of an unknown run; choose another `logdir`"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        record = {
            "recipe": settings,
            "split_hash": split["hash"],
            **(network_hashes or {}),
            **{name: getattr(begun or recipe, name) for name in _DEFAULTS},
            **machine.here_and_now(),
            "command": shlex.join(command),
        }
        files.write_json(self.split, split)
        files.write_json(self.recipe, record)

    def _check_settings(self, now: Mapping[str, Any]) -> None:
        there = self._record()
        before = {**there["recipe"], "split_hash": there.get("split_hash")}
        if before["split_hash"] == now["split_hash"]:
            before |= {name: now.get(name) for name in _moved(before, now)}
        names = [
            name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)
        ]
        if before.keys() != now.keys():
            raise InputError(
                f"{self} was begun by another version of semisup, which has other settings: use "
                "that version for this run, or choose another `logdir`"
            )
        if names == ["max_steps"]:
            self._refuse_other_length(before["max_steps"], now["max_steps"])
        if names:
            said = [
                "its images or classes have changed"
                if name == "split_hash"
                else f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
                for name in names
            ]
            raise InputError(
                f"{self} holds another run ({few(said, '; ', _SHOWN)}); "
                "choose another `logdir`, or start again in this one with `overwrite`"
            )

    def holds(self, recipe: Recipe) -> bool:
        """Return whether the folder is of a run with these settings, wherever its files are now."""
        if not self.recipe.exists():
            return False
        settings, there = dataclasses.asdict(recipe), self._record()["recipe"]
        return {**there, **{name: settings[name] for name in _moved(there, settings)}} == settings

    def note_moved(self, recipe: Recipe) -> list[str]:
        """Put new places on record; returns what was changed, a line for each."""
        record = self._record()
        moved = _moved(record["recipe"], dataclasses.asdict(recipe))
        lines = [
            f"Moved: {name} was {record['recipe'][name]}, is {getattr(recipe, name)}"
            for name in moved
        ]
        if moved:
            record["recipe"] |= {name: getattr(recipe, name) for name in moved}
            files.write_json(self.recipe, record)
        return lines

    def check_network(self, hashes: Mapping[str, str | None]) -> None:
        """Check that the network is the one that the run began with.

        Args:
            hashes: "backbone_hash", a digest of a frozen backbone's weights, and "layers_hash", one
                of the layers of a saved network. That one is compared only where the run has it
                by the same version of Keras, since another may have other settings for a layer.

        Raises:
            InputError: it is another.
        """
        there = self._record()
        other = {name for name, digest in hashes.items() if there.get(name) != digest}
        if "layers_hash" in other:
            keras = (there.get("versions") or {}).get("keras")
            if "layers_hash" not in there or keras != machine.versions()["keras"]:
                other.remove("layers_hash")
        if other:
            raise InputError(
                f"{there['recipe'].get('architecture')} has changed since {self} was trained with "
                "it; restore the original file"
            )

    def _refuse_other_length(self, before: Any, now: Any) -> None:
        """Raise the InputError for the same run with another number of steps, which has a remedy.

        It can't just go on: the learning rate and the weights of losses are laid out for the steps.
        """
        if self.read_result() is None:
            raise InputError(
                f"{self} holds this run with `max_steps={before}`, for which its learning rate is "
                f"scheduled; give `max_steps={before}` to resume it, choose another `logdir`, or "
                "start again in this one with `overwrite`"
            )
        raise InputError(
            f"{self} holds this run, finished after {before} steps, for which its learning rate "
            f"was scheduled; to train for {now} more steps from its weights, start another run "
            f"with `init_from={shlex.quote(str(self))}` and another `logdir`, or start again in "
            "this one with `overwrite`"
        )

    def wait_for_start(self, timeout: float) -> None:
        """Wait until a run has begun in the folder.

        Raises:
            InputError: none has, for `timeout` seconds.
        """
        give_up = time.monotonic() + timeout
        while not self.recipe.exists():
            if time.monotonic() > give_up:
                raise InputError(f"no run has begun in {self} for {timeout:g} s (`timeout`)")
            time.sleep(0.2)

    # Removing a run.

    def clear(self) -> None:
        """Remove what semisup wrote to the folder, and nothing else.

        Where no run was ever recorded, nothing is removed. The lock stays.

        Raises:
            InputError: one of the names is a link. Nothing has been removed then.
        """
        if not self.recipe.exists():
            return
        self.refuse_links()
        for path in list(self._written()):
            files.remove(path)

    def refuse_needed(self, recipe: Recipe) -> None:
        """Raise InputError if the recipe begins with files of the run that is to be removed."""
        inside = tuple(map(real, (self.path, self.model, self.split)))
        for name in _NEEDED:
            needed = getattr(recipe, name)
            if names_a_path(name, needed) and real(needed) in inside:
                raise InputError(
                    f"`overwrite` would remove the run in {self}, which `{name}` needs; choose "
                    "another `logdir`"
                )

    def refuse_links(self) -> None:
        """Raise InputError if a file or folder that semisup writes to is a link elsewhere."""
        lock = self.path / files.LOCK
        for path in (lock, self.checkpoints, self.projector, *self._written()):
            if path.is_symlink():
                raise InputError(
                    f"{path} is a link that semisup did not create; remove it yourself"
                )

    def _written(self) -> Iterator[Path]:
        """All that semisup wrote to the folder, but for the lock, in the order to remove it."""
        # The result goes first, for without it no half-removed run can pass for a finished
        # one; the recipe goes last, for it says that this is a run's folder.
        yield from _present(self.result, self.eval, self.labeled, self.model, self.metrics)
        yield from _present(self.pseudo_labels, *self.suggestions)
        for ending in FIGURE_ENDINGS:
            yield from _present(*self.figures(ending))
        yield from _present(self.projector_config)
        for kind, ending in EXPORT_ENDINGS.items():
            path = self.export(kind)
            yield from _present(path.with_name(f"{path.name}{CLASSES_ENDING}"))
            if ending:
                yield from _present(path)
            elif path.is_symlink():
                yield path
            elif (path / "saved_model.pb").is_file():
                others = {entry.name for entry in path.iterdir()} - OF_SAVED_MODELS
                yield from (path / name for name in OF_SAVED_MODELS if (path / name).exists())
                yield from () if others else (path,)
        yield from self.path.glob(f"{EXPORT_PREFIX}*")
        for paths in self.checkpoints_by_step().values():
            yield from paths
        yield from self.unfinished_checkpoints()
        yield from self.path.glob(f"events.out.tfevents.*{EVENTS_ENDING}")
        names = ("embeddings.tsv", "metadata.tsv", "thumbnails.png")
        yield from _present(*(self.projector / name for name in names))
        yield from _present(self.split, self.recipe)

    # Checkpoints; `semisup.runs.checkpoints` writes and reads them.

    def checkpoints_by_step(self) -> dict[int, list[Path]]:
        """Return the files of each checkpoint, whole or not, by its step."""
        found: dict[int, list[Path]] = {}
        for path in self.checkpoints.glob("step-*"):
            match = _CHECKPOINT_FILE.fullmatch(path.name)
            if match and not path.is_dir():
                found.setdefault(int(match[1]), []).append(path)
        return found

    def has_checkpoint(self, step: int | None = None) -> bool:
        """Return whether there is a checkpoint, of this step or any, that was whole once."""
        found = self.checkpoints_by_step()
        steps = found if step is None else (step,)
        return any(path.suffix == ".json" for each in steps for path in found.get(each, ()))

    def unfinished_checkpoints(self) -> list[Path]:
        """Return the files and folders that a write that was cut short leaves."""
        found = self.checkpoints.glob(f"step-[0-9]*{_UNFINISHED}")
        folders = (path for path in found if path.is_dir() or path.is_symlink())
        return [*folders, *self.checkpoints.glob(f"{files.TEMPORARY}step-*.json")]

    # The settings of the run.

    def _record(self) -> dict[str, Any]:
        """Return what is in recipe.json; the settings are its "recipe".

        Raises:
            InputError: it is damaged.
            FileNotFoundError: there is none.
        """
        record = files.read_json(self.recipe)
        if not isinstance(record.get("recipe"), dict) or not record["recipe"]:
            raise InputError(f"{self.recipe} is damaged: it has no settings")
        return record

    def read_recipe(self) -> Recipe:
        """Return the settings of the run.

        Raises:
            InputError: there is no run, or its record is damaged or of another version.
        """
        if not self.recipe.is_file():
            if runs := sorted(self.path.glob("association/seed*/recipe.json")):
                raise InputError(
                    f"{self} holds a comparison; `logdir` must name one of its runs, such as "
                    f"{runs[0].parent}"
                )
            raise InputError(
                f"{self} holds no run: there is no {self.recipe.name}; `logdir` must name the "
                "folder that semisup-train wrote"
            )
        settings = self._record()["recipe"]
        differing = sorted(settings.keys() ^ {field.name for field in dataclasses.fields(Recipe)})
        if differing:
            raise InputError(
                f"{self.recipe} is of another version of semisup, which has other settings "
                f"({few(differing, most=_SHOWN)}): use that version "
                "for this run, or train in a new folder"
            )
        try:
            return Recipe(**settings)
        except InputError as error:
            what = "is damaged, or of another version of semisup"
            raise InputError(f"{self.recipe} {what}: {error}") from None

    def as_begun(self, recipe: Recipe) -> Recipe:
        """Return the recipe with what its defaults stood for when the run was begun, if any was.

        The run keeps to these: on another machine "auto" may be another precision, in another
        version of semisup the default of a setting another one.

        Raises:
            InputError: the record is damaged.
        """
        if not self.recipe.is_file():
            return recipe
        record = self._record()
        try:
            return dataclasses.replace(recipe, **_defaults_in(record))
        except InputError as error:
            raise InputError(f"{self.recipe} is damaged: {error}") from None

    def read_defaults(self) -> dict[str, Any]:
        """Return what the run's defaults stood for; nothing where that is not on record.

        Of a run of any version, whose settings may be others.
        """
        try:
            return _defaults_in(self._record())
        except (InputError, FileNotFoundError):
            return {}

    def read_begun_recipe(self) -> Recipe:
        """Return the settings of the run, with what its defaults stood for when it was begun.

        Raises:
            InputError: as `read_recipe`.
        """
        return self.as_begun(self.read_recipe())

    def check_split(self, split_hash: str) -> None:
        """Make sure that the data is still what the run was trained on.

        Args:
            split_hash: of the labelled and unlabelled images, as the data gives them now.

        Raises:
            InputError: it is not, so that test images may have been trained on.
        """
        if self._record().get("split_hash") != split_hash:
            raise InputError(
                f"the data has changed since {self} was trained: its files, images, classes or "
                "range of values are others, so that test images may have been trained on; set "
                "`data_dir` to a folder with the original files"
            )

    # What the run records.

    def read_result(self) -> dict[str, Any] | None:
        """Return what the run ended with; None if it has not ended.

        Raises:
            InputError: the file is damaged.
        """
        if not self.result.exists():
            return None
        result = files.read_json(self.result)
        errors = [result.get(name, "") for name in _ERRORS]
        numbers = [*(result.get(name) for name in _NUMBERS), *(e for e in errors if e is not None)]
        if not all(map(_is_number, numbers)):
            raise InputError(
                f"{self.result} is damaged; delete it and give the same command again, which "
                "rewrites it"
            )
        return result

    def read_evaluations(self) -> list[dict[str, Any]]:
        """Return the run's evaluations in the order of their steps.

        Raises:
            InputError: a line other than the last is damaged.
        """
        lines = self.metrics.read_bytes().splitlines() if self.metrics.exists() else []
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                error = record["test_error"]  # null where there are no test images
                if type(record["step"]) is not int or not (error is None or _is_number(error)):
                    raise ValueError
                if record["step"] >= 0 and (error is None or error >= 0):
                    records.append(record)
            except (ValueError, KeyError, TypeError, RecursionError):
                if number == len(lines):
                    break  # the run was killed while it wrote this line
                raise InputError(
                    f"{self.metrics} is damaged at line {number}; repair or delete that line, or "
                    "start again with `overwrite`"
                ) from None
        return records

    def check_test_images(self, now: int) -> None:
        """Raise InputError if evaluations on record are on another number of test images."""
        for record in self.read_evaluations():
            if record.get("test_images", now) != now:
                raise InputError(
                    f"{self} was evaluated on {record['test_images']} test images at step "
                    f"{record['step']}, but now there are {now}, so its errors could not be "
                    "compared; restore the test images, or start again with `overwrite`"
                )

    def read_class_names(self) -> tuple[str, ...]:
        """Return the names of the classes of a run that ended; none if they are not on record."""
        from semisup.data import npz  # loads NumPy, which flags need not wait for

        if not self.labeled.is_file():
            return ()
        return tuple(map(str, npz.read_npz(self.labeled, ["class_names"]).get("class_names", ())))

    def write_evaluations(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Replace the evaluations, if there are any; a run that resumes has later ones to make."""
        if self.metrics.exists():
            files.write_text(self.metrics, "".join(json.dumps(record) + "\n" for record in records))

    def append_evaluation(self, record: Mapping[str, float | None]) -> None:
        """Add one evaluation."""
        files.append(self.metrics, json.dumps(record) + "\n")

    def save_model(self, model: Any) -> None:
        """Write model.keras, whole or not at all."""
        with files.whole(self.model) as temporary:
            model.save(temporary)


def _moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Names of the places that are others now, and where nothing is at the former one."""
    return [
        name
        for name in _PLACES
        if before.get(name) and now.get(name) and before[name] != now[name]
        if not expanded(before[name]).exists()
    ]


def _defaults_in(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the defaults stood for, as far as a run's record says."""
    return {name: record[name] for name in _DEFAULTS if record.get(name)}


def _present(*paths: Path) -> Iterator[Path]:
    """Yield those of the files that are there, under their own names or temporary ones."""
    for path in paths:
        for name in (path.with_name(f"{files.TEMPORARY}{path.name}"), path):
            if name.is_symlink() or name.is_file():
                yield name


def _is_number(value: Any) -> bool:
    """Return whether a value out of JSON is a number; True and False are none."""
    return type(value) in (int, float)
