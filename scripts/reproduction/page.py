"""docs/results.md: every table of the paper, with what has been run and how to run the rest."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reproduction import report
from reproduction.places import places_of
from reproduction.tables import TABLES
from semisup import recipes
from semisup.config import Recipe
from semisup.errors import InputError

_INTRODUCTION = """# Results

The paper's tables, ours beside the paper's. This page is made by `scripts/results_page.py` from
the files in `docs/results/`, which `scripts/reproduce.py` wrote: edit those, not this.
`DIR` stands for a folder that holds `DIR/mnist`, `DIR/svhn` and so on, `SOURCE` for that of a run
whose weights another one begins with, `100_LABELS_TEACHER` and the like for that of
one whose labels another one learns. "Not run here" means just that: the command below the table
fills it.

"""

# The name of the file that `scripts/label_free_ranks.py --out` is to write.
RANKS = "label_free.json"


def read_reports(folder: Path) -> list[dict[str, Any]]:
    """The reports in a folder, in the order of their names.

    Raises:
        InputError: a file is damaged or is no report.
    """
    paths = sorted(path for path in folder.glob("*.json") if path.name != RANKS)
    reports = [_read(path, "table") for path in paths]
    unknown = {content["table"] for content in reports} - TABLES.keys()
    if unknown:
        raise InputError(f"{folder} holds a report on a table {unknown.pop()!r} that there is not")
    return reports


def read_ranks(folder: Path) -> dict[str, Any] | None:
    """The figures of `scripts/label_free_ranks.py` in a folder; None if it holds none.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / RANKS
    return _read(path, "rank_correlation") if path.exists() else None


def _read(path: Path, key: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content[key]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged, or is none of ours: {error!r}") from None
    return content


def render_page(
    reports: Sequence[Mapping[str, Any]], ranks: Mapping[str, Any] | None = None
) -> str:
    """The page as Markdown.

    Args:
        reports: what was run, from `read_reports`.
        ranks: the figures of `scripts/label_free_ranks.py`, if there are any.
    """
    parts = [_INTRODUCTION + report.READING + "\n"]
    for name, table in TABLES.items():
        run = [content for content in reports if content["table"] == name]
        there = {content["recipe"] for content in run}
        run += [_not_run(name, recipe) for recipe in table.recipes if recipe not in there]
        parts += [report.render(content, table) for content in run]
    if ranks:
        parts.append(_render_ranks(ranks))
    return "\n".join(parts)


def _not_run(table: str, recipe: str) -> dict[str, Any]:
    """The report on a table of which nothing has been run."""
    choice = "" if TABLES[table].recipes == (recipe,) else f" --recipe={recipe}"
    places = " --data_dir=DIR"

    def prepare(name: str) -> Recipe:
        """With DIR, which stands for any place, wherever files are needed."""
        return recipes.get(name, **places_of(recipes.get(name), "DIR"))

    cells = TABLES[table].cells(recipe, prepare)
    return {
        "table": table,
        "recipe": recipe,
        "scale": "full",
        "commands": [f".venv/bin/python scripts/reproduce.py --table={table}{choice}{places}"],
        "hardware": "",
        "cells": [report.cell_report(c, [], report.command_of(c, cells)) for c in cells],
    }


def _render_ranks(ranks: Mapping[str, Any]) -> str:
    lines = [
        "### The label-free score",
        "",
        f"Spearman's rank correlation with the accuracy on the test images, over {ranks['runs']} "
        "runs: of their last evaluations, and within a run over its checkpoints (the median over "
        "the runs; - where no run has three of them). 1 is a perfect order, 0 none. "
        "`semisup/evaluation/label_free.py` says what they are.",
        "",
        "| statistic | between runs | within a run |",
        "| --- | --- | --- |",
    ]
    for name, found in ranks["rank_correlation"].items():
        values = (found[key] for key in ("between_runs", "within_a_run"))
        words = ["-" if value is None else f"{value:.2f}" for value in values]
        lines.append(f"| {name.removeprefix('label_free_')} | {' | '.join(words)} |")
    errors = ranks["median_error"]
    lines += [
        "",
        f"Median test error of the last checkpoint {errors['last']:.2f} %, of the one that the "
        f"score chooses (`--select=label_free`) {errors['chosen']:.2f} %, of the best "
        f"{errors['best']:.2f} %.",
    ]
    return "\n".join(lines) + "\n"
