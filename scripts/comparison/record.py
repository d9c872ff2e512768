"""The record of a comparison: one JSON file, to which each run is added as it ends."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from reproduction import records

from semisup.config import Recipe
from semisup.data.splits import PIXELS
from semisup.errors import InputError
from semisup.runs import files

# What a run knows of its data set: a digest each of what names it with the frozen network, of the
# pixels that it learns from, and of the images that it is evaluated on. Earlier runs lack some.
DATA = ("data", PIXELS, "evaluated_on")


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Lock what a command writes to, by the folder OUT.lock, since another's runs would be lost.

    Raises:
        InputError: another process holds it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(files.locked(out.with_name(f"{out.name}.lock")))
        except InputError as error:
            raise InputError(str(error).replace("`logdir`", "--out")) from None
        yield


def refuse_other_data(data: Mapping[str, Any], known: Mapping[str, str | None]) -> None:
    """Raise InputError if a run's data are others than `known`, from `Record.data_of`.

    Args:
        data: digests by the names in `DATA`, as far as there are, and perhaps more.
        known: those of other runs.
    """
    if any(name in data and data[name] != digest for name, digest in known.items()):
        raise InputError(
            "the images, their classes or the pretrained network have changed since the runs "
            "on record were made, so they could not be compared; choose another --out"
        )


def diverged(run: Mapping[str, Any]) -> bool:
    """Whether a run's loss was not finite at its end, so that its error is that of no weights."""
    return run["evaluations"][-1][2] is None


class Record:
    """What a comparison has found so far.

    Args:
        path: of the JSON file, which may be there already.
        name: of the recipe.
        recipe: its settings, with what was given beside it.

    Attributes:
        content: what the file holds: recipe, settings (those that are not at their defaults),
            defaults, steps, commands, `times` (the milliseconds of a training step, by method)
            and `runs`. Each time and run has its hardware, versions and date.

    Raises:
        InputError: the file is damaged, or of another comparison.
    """

    def __init__(self, path: Path, name: str, recipe: Recipe) -> None:
        self.path = path
        self.content: dict[str, Any] = {
            "recipe": name,
            "settings": records.settings_of(recipe),
            "defaults": records.defaults(),
            "steps": recipe.max_steps,
            "commands": [],
            "times": {},
            "runs": [],
        }
        if recipe.init_from:
            self.content["settings"]["init_from"] = recipe.init_from
        if path.exists():
            there = files.read_json(path)
            self._check(there)
            self.content |= there

    def _check(self, there: Mapping[str, Any]) -> None:
        """Raise InputError if the file's content is of another comparison than `self.content`."""
        if "defaults" not in there:
            raise InputError(
                f"{self.path} was made by an earlier version, which did not record all settings; "
                "choose another --out"
            )
        name, now = self.content["recipe"], self.content["settings"]
        was = there.get("recipe")
        differences = [] if was == name else [f"recipe was {was!r}, is {name!r}"]
        before = {**there["defaults"], **there.get("settings", {})}
        records.refuse(self.path, [*differences, *records.differing(before, now)])

    @property
    def milliseconds(self) -> dict[str, float]:
        """The time of a training step of each method that was timed."""
        return {name: time["milliseconds"] for name, time in self.content["times"].items()}

    def untimed(self, names: Sequence[str]) -> list[str]:
        """Association, whose time is the budget, and the methods: those that were not timed."""
        every = dict.fromkeys(("association", *names))
        return [name for name in every if name not in self.content["times"]]

    def steps_in_time(self, names: Sequence[str]) -> dict[str, int]:
        """Of each method, the steps that it can take in the time of association's."""
        steps, milliseconds = self.content["steps"], self.milliseconds
        # The quotient first: association's is 1, so that it has its steps to the last.
        shares = {name: milliseconds["association"] / milliseconds[name] for name in names}
        return {name: max(int(steps * share), 1) for name, share in shares.items()}

    def find(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """The run that a key names, if it has been made."""
        return next(self.matching(**key), None)

    def matching(self, **values: Any) -> Iterator[dict[str, Any]]:
        """The runs that have these values."""
        for run in self.content["runs"]:
            if all(run.get(name) == value for name, value in values.items()):
                yield run

    def data_of(self, validation: bool) -> dict[str, str | None]:
        """Digests of the data of the runs so far, as far as known, by what they evaluate on."""
        runs = list(self.matching(validation=validation))
        known = {name: [run[name] for run in runs if name in run] for name in DATA}
        return {name: digests[0] for name, digests in known.items() if digests}

    def errors(self, runs: Sequence[Mapping[str, Any]]) -> list[float]:
        """The last error of each run, in percent; infinite if it diverged."""
        return [math.inf if diverged(run) else run["evaluations"][-1][1] for run in runs]

    def add(self, run: Mapping[str, Any]) -> None:
        """Keep a run."""
        self.content["runs"].append(dict(run))
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all: a line for each entry and for each run."""
        lines = []
        for name, value in self.content.items():
            text = json.dumps(value)
            if name == "runs":
                text = "[\n" + ",\n".join(f"  {json.dumps(run)}" for run in value) + "\n ]"
            lines.append(f" {json.dumps(name)}: {text}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(self.path, "{\n" + ",\n".join(lines) + "\n}\n")
