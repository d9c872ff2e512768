"""The record of a table: a JSON file with what its runs came to, wherever they were made.

    {"table", "recipe", "scale", "commands", "note" (perhaps), "cells": [
        {"row", "column", "paper", "last", "median", "best", "command", "settings", "runs": [
            {"seed", "last", "median", "best", "steps", ..., "curve": [[step, error], ...]}]}]}

A finished run is known by its line in it: its folder need not be there any more.
"""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from reproduction.running import DISTINCT, Run, command_of
from reproduction.tables import Cell
from semisup.config import Recipe
from semisup.errors import InputError
from semisup.runs import files

# The three errors of a run, and their names in its result.json.
FIGURES = {"last": "test_error", "median": "test_error_median", "best": "test_error_min"}

Record = dict[str, Any]


def file_name(table: str, recipe: str, scale: str) -> str:
    """Of a table's folder of runs, and without its ending of its record."""
    words = [f"table{table}" if table.isdigit() else table, recipe]
    return "_".join(words if scale == "full" else [*words, scale])


def read(path: Path) -> Record:
    """Read the record of a table.

    Raises:
        InputError: the file is damaged or is no such record.
        FileNotFoundError: there is none.
    """
    content = files.read_json(path)
    try:
        for key in ("table", "recipe", "scale", "commands"):
            content[key]
        for cell in content["cells"]:
            for run in cell["runs"]:
                _ = (cell["row"], cell["column"], cell["settings"].items(), run["seed"])
                _ = tuple(float(run[name]) for name in (*FIGURES, "steps", "train_seconds"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged, or is no table of ours: {error!r}") from None
    return content


def begun(path: Path) -> Record:
    """The record at `path`, or an empty one if there is none yet."""
    return read(path) if path.exists() else {"commands": [], "cells": []}


def runs_on_record(record: Mapping[str, Any], cell: Cell) -> dict[int, Record]:
    """The runs of a cell that are on record, by their seeds; those of other settings are not its.

    Args:
        record: from `begun`.
        cell: the cell.
    """
    return {} if _differences(record, cell) else _recorded(record, cell)


def check_settings(record: Mapping[str, Any], cell: Cell, path: Path) -> None:
    """Raise InputError if the record has runs of this cell that have other settings."""
    if differences := _differences(record, cell):
        raise InputError(
            f"{path} has runs with other settings ({'; '.join(differences)}); choose another --out"
        )


def _recorded(record: Mapping[str, Any], cell: Cell) -> dict[int, Record]:
    place = (cell.row, cell.column)
    return {
        run["seed"]: run
        for found in record["cells"]
        if (found["row"], found["column"]) == place
        for run in found["runs"]
    }


def _differences(record: Mapping[str, Any], cell: Cell) -> list[str]:
    """Settings in which the runs on record of this cell, if any, are others."""
    if not _recorded(record, cell):
        return []
    place, wanted = (cell.row, cell.column), settings_of(cell.recipe)
    [there] = [
        found["settings"] for found in record["cells"] if (found["row"], found["column"]) == place
    ]
    defaults = dataclasses.asdict(Recipe())
    pairs = {
        name: [settings.get(name, defaults.get(name)) for settings in (there, wanted)]
        for name in there | wanted
    }
    return [f"{name} was {was!r}, is {now!r}" for name, (was, now) in pairs.items() if was != now]


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """What a recipe sets otherwise than by default, but for seeds and for where files lie."""
    pairs, defaults = (dataclasses.asdict(r) for r in (recipe, Recipe()))
    return {
        name: value
        for name, value in pairs.items()
        if name not in DISTINCT and value != defaults[name]
    }


def read_run(run: Run, start: bool, hardware: str) -> Record:
    """The line of a run that has ended.

    Args:
        run: the run.
        start: take the error before the first step for each of the three.
        hardware: what it was made on.

    Returns:
        Errors in percent by the names in `FIGURES`, `curve`, the error at each step of an
        evaluation, and `seed`, `steps`, `selected_step`, `evaluations` (after the first step),
        `train_seconds`, `precision`, `hardware` and the `date` on which it ended.
    """
    result = files.read_json(run.folder.result)
    errors = {name: result[key] for name, key in FIGURES.items()}
    evaluations = run.folder.read_evaluations()
    if start:
        errors = dict.fromkeys(FIGURES, evaluations[0]["test_error"])
    ended = datetime.fromtimestamp(run.folder.result.stat().st_mtime, timezone.utc)
    return {
        "seed": run.recipe.seed,
        **errors,
        "steps": result["steps"],
        "selected_step": result["selected_step"],
        "evaluations": sum(record["step"] > 0 for record in evaluations),
        "train_seconds": round(result["train_seconds"], 1),
        "precision": run.folder.read_precision(),
        "hardware": hardware,
        "date": ended.date().isoformat(),
        "curve": [[e["step"], round(e["test_error"], 4)] for e in evaluations],
    }


def cell_record(cell: Cell, cells: Sequence[Cell], runs: Sequence[Record]) -> Record:
    """One cell: the paper's figure and ours, each with its `error` and `deviation`, in percent.

    Ours are the median and the standard deviation over the seeds. A figure that there is
    not is None.

    Args:
        cell: the cell.
        cells: all of its table.
        runs: the line of each of its runs that has ended.
    """
    return {
        "row": cell.row,
        "column": cell.column,
        "paper": cell.paper and dict(zip(("error", "deviation"), cell.paper, strict=True)),
        **{name: _over_seeds([run[name] for run in runs]) for name in FIGURES},
        "command": command_of(cell, cells),
        "settings": settings_of(cell.recipe),
        "runs": list(runs),
    }


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write a record whole or not at all: a line for each run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, _lines(record, 0) + "\n")


def _lines(value: Any, depth: int) -> str:
    """JSON, down to the runs (which are the members of a list of depth 3) with line breaks."""
    brackets = "{}" if isinstance(value, dict) else "[]"
    if not value or not isinstance(value, (dict, list)) or depth > (3 if brackets == "[]" else 2):
        return json.dumps(value)
    members = [
        f"{json.dumps(key)}: {_lines(part, depth + 1)}" for key, part in value.items()
    ] if isinstance(value, dict) else [_lines(part, depth + 1) for part in value]  # fmt: skip
    margin = " " * depth
    inside = ",\n".join(f"{margin} {member}" for member in members)
    return f"{brackets[0]}\n{inside}\n{margin}{brackets[1]}"


def _over_seeds(errors: Sequence[float]) -> dict[str, float | None] | None:
    if not errors:
        return None
    deviation = statistics.stdev(errors) if len(errors) > 1 else None
    return {"error": statistics.median(errors), "deviation": deviation}
