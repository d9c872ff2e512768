"""docs/results.md: the paper's tables, ours beside the paper's, from the records of the runs."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reproduction import details, records
from reproduction.details import figure, line, numbers
from reproduction.records import FIGURES, Record
from reproduction.tables import (
    ADAPTED,
    OF_ALL_LABELS,
    PUBLISHED_ADAPTED,
    SOURCE_ONLY,
    TABLES,
    TARGET_ONLY,
    TEACHER,
    UNAVAILABLE,
    Table,
    first_recipe,
)
from semisup import recipes
from semisup.errors import InputError
from semisup.runs import files

_INTRODUCTION = f"""# Results

This page is for readers who ask how our errors compare with the paper's, table by table. The
[README](../README.md#results) has a summary.

{details.READING}

- Seeds are 0, 1, 2 and so on. A seed chooses the labelled images, the initial weights and the order
  of the batches.
- The name of a recipe links to its record: the command of each run, hardware, dates. The JSON file
  beside it has every run.
- Minutes are of the training steps, mostly on a busy machine.
- Runs of 2026-11-25 or earlier with fewer than 256 labels a class drew these images in another
  order than today's commands do.
- `DIR` is a folder that holds `DIR/mnist`, `DIR/svhn` and so on.
- `scripts/reproduce.py` makes the records, and `scripts/results_page.py` makes this page from them.
"""

# How the names of the files begin that `scripts/label_free_ranks.py --out` is to write.
RANKS = "label_free"

# Tables that are laid out as a grid and drawn, and those whose runs are drawn over their steps.
GRIDS = ("3",)
_OVER_STEPS = ("1",)


def read_records(folder: Path) -> dict[str, Record]:
    """The records of tables in a folder, by the names of their files without the ending.

    The commands of a file that was renamed write to a folder of its own.

    Raises:
        InputError: a file is damaged or is no record of a table.
    """
    paths = sorted(p for p in folder.glob("*.json") if not p.name.startswith(RANKS))
    found = {path.stem: records.read(path) for path in paths}
    for name, record in found.items():
        if record["table"] not in TABLES:
            raise InputError(
                f"{folder / name}.json is of an unknown table; known: {', '.join(TABLES)}"
            )
        # Settings that are not the recipe's would not fit into the table that its command fills.
        if name != records.file_name(record["table"], record["recipe"], record["scale"]):
            record["commands"] = [f"{words} --out=runs/{name}" for words in record["commands"]]
    return found


def read_ranks(folder: Path) -> list[dict[str, Any]]:
    """The figures of `scripts/label_free_ranks.py` in a folder, a file for each group of runs.

    Raises:
        InputError: a file is damaged.
    """
    paths = sorted(folder.glob(f"{RANKS}*.json"))
    found = [files.read_json(path) for path in paths]
    for path, content in zip(paths, found, strict=True):
        if not {"what", "runs", "rank_correlation", "median_error"} <= content.keys():
            raise InputError(f"{path} is damaged, or is not of label_free_ranks.py")
    return found


def render_page(found: Mapping[str, Record], ranks: Sequence[Mapping[str, Any]] = ()) -> str:
    """The page as Markdown.

    Args:
        found: what was run, from `read_records`.
        ranks: the figures of `scripts/label_free_ranks.py`, from `read_ranks`.
    """
    parts = [_INTRODUCTION]
    for name, table in TABLES.items():
        of_table = {file: record for file, record in found.items() if record["table"] == name}
        parts.append("\n".join([f"## {table.title}", "", *_section(name, table, of_table)]))
    if ranks:
        parts.append(_render_ranks(ranks))
    return "\n".join(parts)


def with_curves(found: Mapping[str, Record]) -> dict[str, dict[str, Record]]:
    """The records to draw over training steps, by their tables and files: runs have curves."""
    drawn: dict[str, dict[str, Record]] = {}
    for file, record in found.items():
        has_curve = any(run.get("curve") for cell in record["cells"] for run in cell["runs"])
        if record["table"] in _OVER_STEPS and has_curve:
            drawn.setdefault(record["table"], {})[file] = record
    return drawn


def _section(name: str, table: Table, of_table: Mapping[str, Record]) -> Iterator[str]:
    if name == "5":
        yield from _adaptation(of_table)
    elif name in GRIDS:
        for file, record in of_table.items():
            if any(cell["runs"] for cell in record["cells"]):
                yield from _grid(file, record, table)
    elif of_table:
        yield from _list(table, of_table)
    if name in with_curves(of_table):
        yield f"![Error over training steps](results/table{name}_steps.png)\n"
        yield (
            "*A line for each run whose curve is on record. Made by `scripts/results_page.py` from "
            "the records.*\n"
        )
    if table.remark:
        yield f"{table.remark}\n"
    remarks = [
        f"- {_link(file, record)}: {remark}"
        for file, record in of_table.items()
        for remark in details.remarks(record)
    ]
    if remarks:
        yield "\n".join([*remarks, ""])
    if missing := "; ".join(_missing(table, of_table)):
        yield f"Not run: {missing}.\n"
    yield "```sh"
    every = (command for record in of_table.values() for command in record["commands"])
    commands = list(dict.fromkeys(every))
    yield from commands or [f".venv/bin/python scripts/reproduce.py --table={name} --data_dir=DIR"]
    yield "```\n"


def _link(file: str, record: Mapping[str, Any], row: str = "") -> str:
    """The recipe of a record, or that of a row which has another, with a link to the record."""
    recipe = record["recipe"]
    if "(teacher)" in row:
        recipe = first_recipe(recipe)
    elif "(no teacher)" in row:
        recipe = OF_ALL_LABELS
    return f"[`{recipe}`](results/{file}.md)"


def _list(table: Table, of_table: Mapping[str, Record]) -> Iterator[str]:
    """A line for each row of the paper's table and each recipe that was run, the rows together."""
    heads = [table.axes[0], f"paper ({table.paper_data})", *FIGURES, "recipe", "steps", "seeds"]
    heads.append("minutes a run")
    yield line(heads)
    yield line(["---"] * len(heads))
    cells = [
        (file, record, cell)
        for file, record in of_table.items()
        for cell in record["cells"]
        if cell["runs"]
    ]
    order = list(
        dict.fromkeys(c["row"].split(" ")[0] for r in of_table.values() for c in r["cells"])
    )
    for file, record, cell in sorted(cells, key=lambda c: order.index(c[2]["row"].split(" ")[0])):
        words = [cell["row"], figure(cell["paper"]), *(figure(cell[name]) for name in FIGURES)]
        runs = cell["runs"]
        minutes = statistics.median(run["train_seconds"] / 60 for run in runs)
        words += [_link(file, record, cell["row"]), numbers(runs, "steps"), f"{len(runs)}"]
        yield line([*words, f"{minutes:.0f}"])
    yield ""


def _grid(file: str, record: Mapping[str, Any], table: Table) -> Iterator[str]:
    """As the paper lays it out: rows by columns, the last error and in brackets the paper's."""
    figures = {(cell["row"], cell["column"]): cell for cell in record["cells"]}
    rows, columns = (list(dict.fromkeys(place)) for place in zip(*figures, strict=True))
    yield line([f"{table.axes[0]}; {table.axes[1]}:", *columns])
    yield line(["---"] * (1 + len(columns)))
    for row in rows:
        words = []
        for column in columns:
            ours, paper = (figures.get((row, column), {}).get(name) for name in ("last", "paper"))
            bracketed = f" [{paper['error']:.2f}]" if paper else ""
            words.append((f"{ours['error']:.2f}" if ours else "-") + bracketed)
        yield line([row, *words])
    runs = [run for cell in record["cells"] for run in cell["runs"]]
    seeds = [len(cell["runs"]) for cell in record["cells"] if cell["runs"]]
    yield (
        f"\nLast error of {_link(file, record)} after {numbers(runs, 'steps')} steps, median of "
        f"{' to '.join(dict.fromkeys((str(min(seeds)), str(max(seeds)))))} seeds; in brackets the "
        f"paper's on {table.paper_data}.\n"
    )
    yield f"![Error over the number of unlabelled images](results/{file}.png)\n"
    yield "*Made by `scripts/results_page.py` from the record.*\n"


def _adaptation(of_table: Mapping[str, Record]) -> Iterator[str]:
    """A line for each pair of source and target and each recipe: the figures side by side."""
    names = [f"adapted: {name}" for name in FIGURES]
    heads = ["source to target", "published", SOURCE_ONLY, *names, TARGET_ONLY, "gap covered"]
    heads += ["recipe", "steps", "seeds"]
    if of_table:
        yield line(heads)
        yield line(["---"] * len(heads))
    for file, record in of_table.items():
        cells = {cell["row"]: cell for cell in record["cells"]}
        recipe = recipes.named(record["recipe"])
        pair = (recipe.dataset, recipe.target_dataset)
        source, target = (figure(cells[row]["last"]) for row in (SOURCE_ONLY, TARGET_ONLY))
        share = details.gap_covered(record["cells"], "last")
        for row in (TEACHER, ADAPTED):
            if row not in cells:
                continue
            adapted, of_student = cells[row], row == ADAPTED
            yield line(
                [
                    " to ".join(map(str, pair)),
                    PUBLISHED_ADAPTED.get(pair, ""),
                    source,
                    *(figure(adapted[name]) for name in FIGURES),
                    target,
                    f"{share:.0f} %" if share is not None and of_student else "",
                    _link(file, record, row),
                    numbers(adapted["runs"], "steps"),
                    f"{len(adapted['runs'])}",
                ]
            )
    yield ""


def _missing(table: Table, of_table: Mapping[str, Record]) -> Iterator[str]:
    """What of a table there is no run of, in words: recipes, and rows of those that were run."""
    there = {record["recipe"] for record in of_table.values()}
    for recipe in table.recipes:
        if recipe not in there:
            why = UNAVAILABLE.get(recipes.named(recipe).dataset)
            yield f"`{recipe}`" + (f" ({why})" if why else "")
    for recipe in sorted(there):
        of_recipe = [record for record in of_table.values() if record["recipe"] == recipe]
        done = {cell["row"] for record in of_recipe for cell in record["cells"] if cell["runs"]}
        # A record may be older than a row of its table.
        rows = dict.fromkeys(cell.row for cell in table.cells(recipe, recipes.named))
        if left := [row for row in rows if row not in done]:
            yield f"`{recipe}` ({', '.join(left)})"


def _render_ranks(ranks: Sequence[Mapping[str, Any]]) -> str:
    """A column for each group of runs; within a run only where runs have enough checkpoints."""
    heads, columns = ["statistic"], []
    for group in ranks:
        for key, where in (("between_runs", "between runs"), ("within_a_run", "within a run")):
            column = {name: found[key] for name, found in group["rank_correlation"].items()}
            if key == "between_runs" or any(value is not None for value in column.values()):
                heads.append(f"{where}: {group['what']}")
                columns.append(column)
    lines = [
        "## The label-free score",
        "",
        "Can statistics of training images alone replace test labels? The table has Spearman's "
        "rank correlation of each statistic of `semisup/evaluation/label_free.py` with the "
        "accuracy on the test images, of the last evaluations of runs"
        + (
            ", and within a run over its checkpoints (the median over the runs)"
            if any(head.startswith("within") for head in heads)
            else ""
        )
        + ". 1 is a perfect order, 0 none. *agreement* is the share of unlabelled images to which "
        "classifier and walk give the same class. *score* is the geometric mean of the three. "
        f"Made by `scripts/label_free_ranks.py`{_without_origin(ranks)}.",
        "",
        line(heads),
        line(["---"] * len(heads)),
    ]
    for name in columns[0]:
        words = ["-" if c[name] is None else f"{c[name]:.2f}" for c in columns]
        lines.append(line([name.removeprefix("label_free_"), *words]))
    errors = [
        f"- {group['what']}, {group['runs']} runs: {group['median_error']['last']:.2f} %, "
        f"{group['median_error']['chosen']:.2f} %, {group['median_error']['best']:.2f} %"
        for group in ranks
    ]
    lines += [
        "",
        "Median test error of the last checkpoint, of the one that the score chooses "
        "(`--select=label_free`), and of the best:",
        "",
        *errors,
        "",
        "The runs of other tables are not in it: their records have no such statistics.",
        "",
        "No statistic ranks runs well in every group. Do not choose a run or a setting by one; "
        "label a few validation images instead.",
    ]
    return "\n".join(lines) + "\n"


def _without_origin(ranks: Sequence[Mapping[str, Any]]) -> str:
    """Of which groups a record does not say how the runs were made, in words."""
    unknown = [group["what"] for group in ranks if "each_run" not in group]
    if not unknown:
        return ""
    which = "these runs" if len(unknown) == len(ranks) else f"the runs of {', '.join(unknown)}"
    return f"; settings, hardware and dates of {which} are not on record"
