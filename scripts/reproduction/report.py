"""What the runs of a table came to: one JSON object a table, and Markdown made of it."""

import dataclasses
import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from reproduction import running
from reproduction.running import Run
from reproduction.tables import ADAPTED, SOURCE_ONLY, TARGET_ONLY, Cell, Table
from semisup.runs import files

# The three figures of a run, and the heads of their columns.
FIGURES = {
    "last": "last",
    "median": "median of the last evaluations",
    "min": "least",
}

# Stands once on each page.
READING = (
    "Error in percent on the test images: median over the seeds, standard deviation in "
    "parentheses. *Last*: after the last step. *Median of the last evaluations*: of the last five, "
    "or of all if there are fewer. *Least*: of all evaluations, so chosen on the test images: a "
    "bound, not a result."
)


def read_run(run: Run, start: bool) -> dict[str, Any]:
    """What one run that has ended came to.

    Args:
        run: the run.
        start: take the error before the first step for each of the three.

    Returns:
        Errors in percent by the names in `FIGURES`, and `seed`, `steps`, `selected_step`,
        `evaluations` (after the first step), `train_seconds`, `precision` and the `date` on which
        it ended.
    """
    result = files.read_json(run.folder.result)
    errors = dict(
        zip(FIGURES, (result[f"test_error{end}"] for end in ("", "_median", "_min")), strict=True)
    )
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
        "date": ended.date().isoformat(),
    }


def cell_report(cell: Cell, ended: Sequence[Mapping[str, Any]], command: str) -> dict[str, Any]:
    """One cell: the paper's figure and ours, each with its `error` and `deviation`, in percent.

    Ours are the median and the standard deviation over the seeds. A figure that there is
    not is None.

    Args:
        cell: the cell.
        ended: `read_run` of each of its runs that has ended.
        command: the command of one of its runs.
    """
    return {
        "row": cell.row,
        "column": cell.column,
        "paper": cell.paper and dict(zip(("error", "deviation"), cell.paper, strict=True)),
        **{name: _over_seeds([run[name] for run in ended]) for name in FIGURES},
        "command": command,
        "runs": list(ended),
    }


def command_of(cell: Cell, cells: Sequence[Cell]) -> str:
    """The command of one of a cell's runs.

    DIR stands for places, S for the seed, SOURCE for the folder of the run whose weights
    others of `cells`, the table's, begin with, 100_LABELS_TEACHER and the like for that of a
    teacher.
    """
    changes: dict[str, Any] = {"seed": 0, "sup_seed": 0}
    for name in ("data_dir", "target_data_dir"):
        if getattr(cell.recipe, name) is not None:
            changes[name] = "DIR"
    if cell.source:
        changes["init_from"] = "SOURCE"
    if cell.teacher:
        changes["teacher"] = cell.teacher.upper()
    words = running.words(dataclasses.replace(cell.recipe, **changes))
    if cell.folder in {other.source for other in cells}:
        words.append("--logdir=SOURCE")
    if cell.folder in {other.teacher for other in cells}:
        words.append(f"--logdir={cell.folder.upper()}")
    return " ".join(["semisup-train", *words, "--sup_seed=S", "--seed=S"])


def gap_covered(cells: Sequence[Mapping[str, Any]], figure: str) -> float | None:
    """The share of the gap from source only to target only that adapting covers, in percent.

    Args:
        cells: of table 5, from `cell_report`.
        figure: "paper", or one of `FIGURES`.

    Returns:
        None where one of the three is missing.
    """
    found = {cell["row"]: cell[figure] for cell in cells}
    three = [found.get(row) for row in (SOURCE_ONLY, ADAPTED, TARGET_ONLY)]
    errors = [figure["error"] for figure in three if figure is not None]
    if len(errors) < 3:
        return None
    source, adapted, target = errors
    return 100.0 * (source - adapted) / (source - target) if source != target else None


def render(report: Mapping[str, Any], table: Table) -> str:
    """A table as Markdown: the paper's figure beside ours, a line a cell.

    Args:
        report: `table`, `recipe`, `scale`, `commands`, `hardware` and `cells`, perhaps a `note`
            on what a reader must know; as the JSON file has it.
        table: what the paper has.
    """
    name = "STL-10" if report["table"] == "stl10" else f"Table {report['table']}"
    cells = report["cells"]
    rows, columns = table.axes
    heads = [rows, *([columns] if columns else []), f"paper ({table.paper_data})"]
    heads += [*FIGURES.values(), "seeds", "steps"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for cell in cells:
        words = [cell["row"], *([cell["column"]] if columns else []), _figure(cell["paper"])]
        if cell["runs"]:
            words += [_figure(cell[name]) for name in FIGURES]
            words += [str(len(cell["runs"])), _distinct(cell["runs"], "steps")]
        else:
            words += ["not run here", *[""] * (len(FIGURES) + 1)]
        lines.append(_line(words))
    if report["table"] == "5":
        shares = [gap_covered(cells, figure) for figure in ("paper", *FIGURES)]
        words = ["" if share is None else f"{share:.1f} %" for share in shares]
        lines.append(_line(["share of the gap covered", *words, "", ""]))
    all_runs = [run for cell in cells for run in cell["runs"]]
    if columns and all_runs:
        lines = [*_grid(cells, table), "", *lines]
    notes = _notes(report, all_runs)
    if table.remark and any(cell["paper"] for cell in cells):
        notes = [*notes, table.remark]
    text = [f"### {name}: {table.title}; recipe `{report['recipe']}`", ""]
    text += [*notes, ""] if notes else []
    return "\n".join([*text, *lines, "", *_commands(report)]) + "\n"


def _grid(cells: Sequence[Mapping[str, Any]], table: Table) -> list[str]:
    """As the paper lays it out: rows by columns, the last error and in brackets the paper's."""
    figures = {(cell["row"], cell["column"]): cell for cell in cells}
    rows, columns = (list(dict.fromkeys(place)) for place in zip(*figures, strict=True))
    lines = [_line([f"{table.axes[0]}; {table.axes[1]}:", *columns])]
    lines.append(_line(["---"] * (1 + len(columns))))
    for row in rows:
        words = []
        for column in columns:
            ours, paper = (figures.get((row, column), {}).get(name) for name in ("last", "paper"))
            bracketed = f" [{paper['error']:.2f}]" if paper else ""
            words.append((f"{ours['error']:.2f}" if ours else "-") + bracketed)
        lines.append(_line([row, *words]))
    return [*lines, "", f"*(last error, in brackets the paper's on {table.paper_data})*"]


def _notes(report: Mapping[str, Any], all_runs: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    if report["scale"] == "smoke":
        notes.append("**A trial of 20 small steps: the figures mean nothing.**")
    if report["scale"] == "short":
        notes.append("**A tenth of the recipe's steps.**")
    if note := report.get("note"):
        notes.append(note)
    if any(run["selected_step"] != run["steps"] for run in all_runs):
        notes.append("*Last* is the evaluation with the best label-free score.")
    if all_runs:
        hours = sum(run["train_seconds"] for run in all_runs) / 3600
        dates = sorted({run["date"] for run in all_runs})
        when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        numbers = sorted({run["precision"] for run in all_runs if run.get("precision")})
        words = [report["hardware"], *([" and ".join(numbers)] if numbers else []), when]
        evaluations = _distinct(all_runs, "evaluations")
        notes.append(
            f"{', '.join(words)}, {hours:.1f} hours of training steps in all, evaluations in a "
            f"run: {evaluations}."
        )
    return notes


def _commands(report: Mapping[str, Any]) -> list[str]:
    lines = ["```sh", *report["commands"], "```", ""]
    missing = [cell["row"] for cell in report["cells"] if not cell["runs"]]
    if missing and len(missing) < len(report["cells"]):
        rows = shlex.quote(",".join(dict.fromkeys(missing)))
        lines += [f"What is missing: the same with `--rows={rows}`.", ""]
    lines += ["<details><summary>The command of each run (S: its seed)</summary>", "", "```sh"]
    lines += dict.fromkeys(cell["command"] for cell in report["cells"])
    return [*lines, "```", "", "</details>"]


def file_name(table: str, recipe: str, scale: str) -> str:
    """Of a table's folder of runs, and without its ending of its report."""
    words = [f"table{table}" if table.isdigit() else table, recipe]
    return "_".join(words if scale == "full" else [*words, scale])


def carried_on(path: Path, command: str) -> dict[str, Any]:
    """What a report keeps of the one there was: its commands, and now this one; a note, if any."""
    file = path.with_name(f"{path.name}.json")
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"commands": []}
    note = {"note": before["note"]} if "note" in before else {}
    return {"commands": list(dict.fromkeys([*before["commands"], command])), **note}


def write(report: Mapping[str, Any], table: Table, path: Path) -> None:
    """Write a report as `path`.json and `path`.md, each whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path.with_name(f"{path.name}.json"), json.dumps(report, indent=1) + "\n")
    page = f"{render(report, table)}\n{READING}\n"
    files.write_text(path.with_name(f"{path.name}.md"), page)


def _over_seeds(errors: Sequence[float]) -> dict[str, float | None] | None:
    if not errors:
        return None
    deviation = statistics.stdev(errors) if len(errors) > 1 else None
    return {"error": statistics.median(errors), "deviation": deviation}


def _figure(figure: Mapping[str, float | None] | None) -> str:
    if figure is None:
        return ""
    deviation = "" if figure["deviation"] is None else f" ({figure['deviation']:.2f})"
    return f"{figure['error']:.2f}{deviation}"


def _distinct(ended: Sequence[Mapping[str, Any]], name: str) -> str:
    return ", ".join(f"{value:,}" for value in sorted({run[name] for run in ended}))


def _line(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"
