"""A table's record as Markdown: every cell with its command. It lies beside the JSON."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reproduction.records import FIGURES
from reproduction.tables import ADAPTED, SOURCE_ONLY, TARGET_ONLY, Table
from semisup.runs import files

# Stands once on each page.
READING = (
    "Error in percent on the test images: median over the seeds, sample standard deviation in "
    "parentheses. *Last*: after the last step. *Median*: of the last five evaluations, or of all "
    "if there are fewer. *Best*: the lowest of all evaluations, chosen on the test images and so "
    "too optimistic."
)


def write(record: Mapping[str, Any], table: Table, path: Path) -> None:
    """Write `render`'s page, whole or not at all."""
    files.write_text(path, f"{render(record, table)}\n{READING}\n")


def render(record: Mapping[str, Any], table: Table) -> str:
    """A table as Markdown: the paper's figure beside ours, a line a cell.

    Args:
        record: from `records.read`.
        table: what the paper has.
    """
    cells = record["cells"]
    rows, columns = table.axes
    heads = [rows, *([columns] if columns else []), f"paper ({table.paper_data})"]
    heads += [*FIGURES, "seeds", "steps"]
    lines = [line(heads), line(["---"] * len(heads))]
    for cell in cells:
        words = [cell["row"], *([cell["column"]] if columns else []), figure(cell["paper"])]
        if cell["runs"]:
            words += [figure(cell[name]) for name in FIGURES]
            words += [numbers(cell["runs"], "seed"), numbers(cell["runs"], "steps")]
            lines.append(line(words))
    if record["table"] == "5":
        shares = [gap_covered(cells, name) for name in ("paper", *FIGURES)]
        words = ["" if share is None else f"{share:.1f} %" for share in shares]
        lines.append(line(["share of the gap covered", *words, "", ""]))
    # Of the sequential way the source's and the adapted errors are of the same runs.
    by_command = {cell["command"]: cell["runs"] for cell in cells}
    all_runs = [run for runs in by_command.values() for run in runs]
    notes = [*remarks(record), *([how_made(all_runs)] if all_runs else [])]
    text = [f"# {table.title}; recipe `{record['recipe']}`", ""]
    text += [part for note in notes for part in (note, "")]
    return "\n".join([*text, *lines, "", *_commands(record)]) + "\n"


def gap_covered(cells: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """The share of the gap from source only to target only that adapting covers, in percent.

    Args:
        cells: of table 5.
        name: "paper", or one of `FIGURES`.

    Returns:
        None where one of the three is missing, or the target's own labels do not help.
    """
    found = {cell["row"]: cell[name] for cell in cells}
    three = [found.get(row) for row in (SOURCE_ONLY, ADAPTED, TARGET_ONLY)]
    errors = [value["error"] for value in three if value is not None]
    if len(errors) < 3:
        return None
    source, adapted, target = errors
    return 100.0 * (source - adapted) / (source - target) if source > target else None


def remarks(record: Mapping[str, Any]) -> list[str]:
    """What a reader must know of a table's runs before the figures."""
    notes = []
    if record["scale"] == "smoke":
        notes.append("**A trial of 20 small steps: the figures mean nothing.**")
    if record["scale"] == "short":
        notes.append("**A tenth of the recipe's steps.**")
    if note := record.get("note"):
        notes.append(note)
    if any(run["selected_step"] != run["steps"] for c in record["cells"] for run in c["runs"]):
        notes.append("*Last* is the evaluation with the best label-free score.")
    if collapsed := [words for cell in record["cells"] if (words := _collapsed(cell))]:
        notes.append(f"The walk had collapsed at the end: {'; '.join(collapsed)}.")
    return notes


def _collapsed(cell: Mapping[str, Any]) -> str:
    """How many of a cell's runs had a collapsed walk, in words; empty if none."""
    count = sum(bool(run.get("collapsed")) for run in cell["runs"])
    place = ", ".join(filter(None, (cell["row"], cell["column"])))
    return f"{count} of {len(cell['runs'])} runs of *{place}*" if count else ""


def how_made(runs: Sequence[Mapping[str, Any]]) -> str:
    """Hardware, precision, days and hours of some runs, in a sentence."""
    hours = sum(run["train_seconds"] for run in runs) / 3600
    dates = sorted({run["date"] for run in runs})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    machines = sorted({run["hardware"] for run in runs})
    precisions = sorted({run["precision"] for run in runs if run.get("precision")})
    words = ["; ".join(machines), *([" and ".join(precisions)] if precisions else []), when]
    return (
        f"{', '.join(words)}; {hours:.1f} hours of training steps in all, evaluations in a run: "
        f"{numbers(runs, 'evaluations')}."
    )


def _commands(record: Mapping[str, Any]) -> list[str]:
    lines = ["```sh", *record["commands"], "```", ""]
    missing = [cell["row"] for cell in record["cells"] if not cell["runs"]]
    if len(missing) == len(record["cells"]):
        lines += ["No run has ended.", ""]
    elif why := record.get("closed"):
        lines += [f"No run may be added: {why}.", ""]
    elif missing:
        rows = shlex.quote(",".join(dict.fromkeys(missing)))
        lines += [f"What is missing: the same with `--rows={rows}`.", ""]
    lines += ["The command of each run (S: its seed):", "", "```sh"]
    lines += dict.fromkeys(cell["command"] for cell in record["cells"])
    return [*lines, "```"]


def line(words: Sequence[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(words)} |"


def figure(value: Mapping[str, float | None] | None) -> str:
    """An error with its deviation in parentheses; nothing for None."""
    if value is None:
        return ""
    deviation = "" if value["deviation"] is None else f" ({value['deviation']:.2f})"
    return f"{value['error']:.2f}{deviation}"


def numbers(runs: Sequence[Mapping[str, Any]], name: str) -> str:
    """The distinct values of a field of runs, as "0, 1, 2"."""
    return ", ".join(f"{value:,}" for value in sorted({run[name] for run in runs}))
