"""The record of a comparison: one JSON file, to which each run is added as it ends."""

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from machine import processor

from semisup.errors import InputError
from semisup.runs import files


class Record:
    """What a comparison has found so far.

    Args:
        path: of the JSON file, which may be there already.
        recipe: the name of the recipe.
        settings: those that were given beside it, without places.
        steps: training steps of the budget.

    Attributes:
        content: what the file holds: recipe, settings, steps, commands, hardware, versions,
            `milliseconds` (of a training step, by method) and `runs`.

    Raises:
        InputError: the file is damaged, or of another comparison.
    """

    def __init__(self, path: Path, recipe: str, settings: Mapping[str, Any], steps: int) -> None:
        self.path = path
        asked = {"recipe": recipe, "settings": dict(settings), "steps": steps}
        self.content: dict[str, Any] = {
            **asked,
            "commands": [],
            "hardware": f"{os.cpu_count()} cores of {processor()}",
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("semisup", "tensorflow", "keras")},
            },
            "milliseconds": {},
            "runs": [],
        }
        if path.exists():
            there = files.read_json(path)
            for name, value in asked.items():
                if there.get(name) != value:
                    raise InputError(
                        f"{path} is of another comparison ({name} was {there.get(name)!r}, is "
                        f"{value!r}); choose another --out"
                    )
            self.content |= there

    def find(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """The run that a key names, if it has been made."""
        return next(self.matching(**key), None)

    def matching(self, **values: Any) -> Iterator[dict[str, Any]]:
        """The runs that have these values."""
        for run in self.content["runs"]:
            if all(run.get(name) == value for name, value in values.items()):
                yield run

    def errors(self, runs: Sequence[Mapping[str, Any]]) -> list[float]:
        """The last error of each run, in percent."""
        return [run["evaluations"][-1][1] for run in runs]

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
