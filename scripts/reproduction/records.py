"""The record of a table: a JSON file with the results of its runs, wherever they were made.

    {"table", "recipe", "scale", "commands", "note", "closed", "defaults", "cells": [
        {"row", "column", "paper", "last", "median", "best", "command", "settings", "runs": [
            {"seed", "last", "median", "best", "steps", ..., "curve": [[step, error], ...]}]}]}

"note" and "closed" are written by hand, if at all: what a reader must know, and why no run may be
added. "settings" are those that differ from "defaults". A finished run is known by its line: its
folder need not be there any more.
"""

import dataclasses
import fcntl
import json
import os
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reproduction.running import DISTINCT, Run, command_of, own_places
from reproduction.tables import Cell
from semisup.config import Recipe
from semisup.data.fingerprint import json_digest
from semisup.data.splits import PIXELS
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
        content["defaults"].items()
        for cell in content["cells"]:
            for run in cell["runs"]:
                _ = (cell["row"], cell["column"], cell["settings"].items(), run["seed"])
                _ = tuple(float(run[name]) for name in (*FIGURES, "steps", "train_seconds"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged, or is not a record of a table: {error!r}") from None
    return content


def begun(path: Path, table: str, recipe: str, scale: str, cells: Sequence[Cell]) -> Record:
    """The record at `path`, which is to go on, or an empty one if there is none yet.

    Args:
        path: the file.
        table, recipe, scale: what it must be of.
        cells: of the table on this recipe.

    Raises:
        InputError: it is of another table, or has runs with other settings than the cells, or
            it is closed.
    """
    start = {"table": table, "recipe": recipe, "scale": scale, "commands": [], "cells": []}
    if not path.exists():
        return {**start, "defaults": defaults()}
    record = read(path)
    if why := record.get("closed"):
        raise InputError(f"{path} takes no more runs: {why}; choose another --out")
    by_place = {(cell.row, cell.column): cell for cell in cells}
    differences = [
        f"{name} was {record[name]!r}, is {start[name]!r}"
        for name in ("table", "recipe", "scale")
        if record[name] != start[name]
    ]
    for found in record["cells"]:
        place = (found["row"], found["column"])
        if not found["runs"]:
            continue
        if place not in by_place:
            differences.append(f"it has a row {found['row']!r}")
            continue
        before = {**record["defaults"], **found["settings"]}
        differences += differing(before, settings_of(by_place[place].recipe))
    refuse(path, differences)
    return record


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, the settings that differ between those on record and the result of `settings_of`.

    One that there was not yet was at what is its default now. Where people's own images lie,
    earlier records do not say.
    """
    unknown = {"data_dir", "target_data_dir"} - before.keys()
    before, now = {**defaults(), **before}, {**defaults(), **now}
    return [
        f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
        for name in before | now
        if before.get(name) != now.get(name) and name not in unknown
    ]


def refuse(path: Path, differences: Sequence[str]) -> None:
    """Raise InputError if there are differences between the record at `path` and what is asked."""
    if differences:
        said = "; ".join(dict.fromkeys(differences))
        raise InputError(f"{path} has runs with other settings ({said}); choose another --out")


def runs_on_record(record: Mapping[str, Any], cell: Cell) -> dict[int, Record]:
    """The runs of a cell that are on record, by their seeds."""
    return {
        run["seed"]: run
        for found in record["cells"]
        if (found["row"], found["column"]) == (cell.row, cell.column)
        for run in found["runs"]
    }


def defaults() -> dict[str, Any]:
    """What settings are by default, but for seeds and for where files lie."""
    pairs = dataclasses.asdict(Recipe())
    return {name: value for name, value in pairs.items() if name not in DISTINCT}


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """What a recipe sets otherwise than by default, but for seeds and for where files lie.

    People's own images are told apart by where they lie.
    """
    pairs = dataclasses.asdict(recipe)
    changed = {name: pairs[name] for name, value in defaults().items() if pairs[name] != value}
    return changed | own_places(recipe)


def read_run(run: Run, start: bool) -> Record:
    """The line of a run that has ended.

    Args:
        run: the run.
        start: take the error before the first step for each of the three.

    Returns:
        Errors in percent by the names in `FIGURES`, `curve`, the error at each step of an
        evaluation, and `seed`, `steps`, `selected_step`, `evaluations` (after the first step),
        `train_seconds`, whether its walk had `collapsed` at the end, `precision`, a digest of its
        `data`, and the `hardware`, the `versions` and the `date` of its end.
    """
    result = files.read_json(run.folder.result)
    errors = {name: result[key] for name, key in FIGURES.items()}
    evaluations = run.folder.read_evaluations()
    data = files.read_json(run.folder.split).get("data", {})
    if start:
        errors = dict.fromkeys(FIGURES, evaluations[0]["test_error"])
    return {
        "seed": run.recipe.seed,
        **errors,
        "steps": result["steps"],
        "selected_step": result["selected_step"],
        "evaluations": sum(record["step"] > 0 for record in evaluations),
        "train_seconds": round(result["train_seconds"], 1),
        "collapsed": None if start else result.get("collapsed"),
        "precision": files.read_json(run.folder.recipe).get("precision"),
        "data": json_digest(_without_labels(data)),
        PIXELS: data.get(PIXELS),
        "test_images": result.get("test_images"),
        **{name: result.get(name, "not recorded") for name in ("hardware", "versions", "date")},
        "curve": [[e["step"], round(e["test_error"], 4)] for e in evaluations],
    }


def on_other_data(run: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the images or classes of a run are others than those of other runs."""
    others = list(others)
    return any(_differs(name, run, others) for name in ("data", PIXELS, "test_images"))


def data_settings(recipe: Recipe) -> tuple[Any, ...]:
    """The settings of a recipe's data set: where these are equal, the images must be, too."""
    names = "dataset target_dataset new_size train_in_pool fold remove_classes compat"
    return tuple(getattr(recipe, name) for name in names.split())


def in_other_precision(run: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> bool:
    """Whether `precision="auto"` stood for another precision in a run than in other runs."""
    return _differs("precision", run, others)


def _differs(name: str, run: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a run has another value than those of the others that have one, as not all do."""
    known = {other[name] for other in others if other.get(name)}
    return bool(known and run.get(name)) and run[name] not in known


def _without_labels(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's split knows of its data set but for its pixels, whichever are labelled."""
    return {name: value for name, value in data.items() if name not in ("labels", PIXELS)}


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


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Context manager: lock the records in the folder of `path` for this process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write a record whole or not at all: a line for each run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, _lines(record, 0) + "\n")


def _lines(value: Any, depth: int) -> str:
    """JSON with a line for each run (the members of a list of depth 3) and for each plain dict."""
    nested = isinstance(value, (dict, list)) and depth < 4
    if isinstance(value, dict):
        nested = nested and any(isinstance(part, (dict, list)) for part in value.values())
    if not nested or not value:
        return json.dumps(value)
    margin = " " * (depth + 1)
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_lines(part, depth + 1)}" for key, part in value.items()]
    else:
        parts = [_lines(part, depth + 1) for part in value]
    inside = ",\n".join(f"{margin}{part}" for part in parts)
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n{inside}\n{margin[1:]}{last}"


def _over_seeds(errors: Sequence[float]) -> dict[str, float | None] | None:
    if not errors:
        return None
    deviation = statistics.stdev(errors) if len(errors) > 1 else None
    return {"error": statistics.median(errors), "deviation": deviation}
