"""Run a table of the paper, every cell over its seeds, and set ours beside the paper's.

    .venv/bin/python scripts/reproduce.py --table=1 --data_dir=DIR
    .venv/bin/python scripts/reproduce.py --table=3 --scale=smoke       minutes, no data needed
    .venv/bin/python scripts/reproduce.py --table=3 --recipe=mnist --rows=100,1000 --seeds=2

A table is laid on a recipe: data, network, steps. --recipe=NAME takes another one (several,
with commas, make a table each). Every other setting of a recipe may be given too, such as
--max_steps, and holds for all cells that do not vary it. DIR is the folder of the data set, or
a folder with a folder for each (DIR/mnist, DIR/svhn, DIR/usps).

Each run is a process of semisup-train with a folder under OUT; what it prints is in a .log file
beside that. Writes the record, such as OUT/table1_mnist.json, and .md. Runs that have ended are not
made again, so a command that was stopped goes on; the record alone, copied to the OUT of another
machine, will do. --backend=dask uses the cluster that DASK_SCHEDULER_ADDRESS names, else workers on
this machine.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from absl import flags
from reproduction import command, details, records, running
from reproduction.places import places_of
from reproduction.running import Run
from reproduction.scales import SEEDS, scaled
from reproduction.tables import STUDENTS, TABLES, Cell
from tqdm import tqdm

from semisup import recipes
from semisup.cli.app import run_main
from semisup.cli.flags import define_recipe_flags, given_settings
from semisup.config import Recipe
from semisup.errors import InputError, few
from semisup.runtime.paths import expanded

_TABLE = flags.DEFINE_enum("table", None, list(TABLES), "the table to reproduce")
_SCALE = flags.DEFINE_enum(
    "scale",
    "full",
    list(SEEDS),
    "full: the recipe's number of steps; short: a tenth of them; smoke: 20 small steps on digits "
    "that need no files, to test that everything works",
)
_SEEDS = flags.DEFINE_integer(
    "seeds", None, "runs of each cell; by default 10, with --scale=short 3, smoke 1", lower_bound=1
)
_ROWS = flags.DEFINE_list("rows", None, "only these rows of the table, such as 100,all")
_OUT = flags.DEFINE_string("out", "runs/reproduction", "folder for the runs and the tables")
_JOBS = flags.DEFINE_integer("jobs", 1, "number of runs at a time", lower_bound=1)
_BACKEND = flags.DEFINE_enum(
    "backend", "threading", ("threading", "dask"), "joblib's backend, which starts the runs"
)

# What the cells set themselves, or what would make it another table.
_NOT_YOURS = (
    *("dataset", "target_dataset", "seed", "sup_seed", "init_from", "teacher", "split_file"),
    "compat",
)


# Folders of runs that can't stand beside those on record, and why.
_left_out: dict[str, str] = {}

# Why, and how to mend it.
_OTHER_DATA = "on other images or classes than those on record"
_OTHER_PRECISION = "in another precision than those of their row on record"
_MENDS = {
    _OTHER_DATA: "restore the data and remove these folders, or choose another --out",
    _OTHER_PRECISION: "choose another --out for the runs of this machine",
}


def main() -> None:
    if not _TABLE.value:
        raise InputError(f"--table is missing; it is one of {', '.join(TABLES)}")
    given = given_settings()
    for name in _NOT_YOURS:
        if name in given:
            raise InputError(f"--{name} can't be given here; --recipe chooses the data")
    table, scale = TABLES[_TABLE.value], _SCALE.value
    names, smoke_changes = table.recipes, {}
    if scale == "smoke":
        names, smoke_changes = (table.smoke[0],), table.smoke[1]
    if flags.FLAGS["recipe"].present:
        names, smoke_changes = flags.FLAGS.recipe.split(","), {}

    for name in names:
        of_table = STUDENTS.get(name, _TABLE.value)
        if of_table != _TABLE.value:
            raise InputError(f"{name} needs a teacher, which only --table={of_table} trains first")

    def prepare(name: str) -> Recipe:
        recipe = scaled(recipes.get(name, **smoke_changes), scale)
        places = places_of(recipe, given.get("data_dir"), given.get("target_data_dir"))
        return recipes.changed(recipe, **{**given, **places})

    out, seeds = expanded(_OUT.value).resolve(), _SEEDS.value or SEEDS[scale]
    tables = []
    for name in names:
        folder = out / records.file_name(_TABLE.value, name, scale)
        tables.append(_Table(_TABLE.value, name, table.cells(name, prepare), folder))
    every, missing = _wanted(tables, seeds)
    print(
        f"{len(every)} runs, {len(every) - len(missing)} of them made before; to watch one: "
        f"tail -f {_OUT.value}/*/*/seed*.log",
        flush=True,
    )
    try:
        failed = _make(missing, out, tables)
    except KeyboardInterrupt:
        print("\nStopped. The same command resumes the runs.")
        raise
    finally:
        for laid in tables:
            record = _write(laid)
            details.write(record, table, laid.folder.with_suffix(".md"))
            print(f"\n{details.render(record, table)}\nwritten to {laid.folder}.md and .json")
    _refuse_left_out()
    if failed:
        raise InputError(
            f"{len(failed)} of {len(every)} runs failed; the same command tries them again. "
            f"The first: {failed[0]}"
        )


def _refuse_left_out() -> None:
    """Raise InputError if runs are left out of the tables."""
    said = []
    for why, mend in _MENDS.items():
        if some := [folder for folder, found in _left_out.items() if found == why]:
            said.append(f"{len(some)} runs are {why}, so they are left out: {few(some)}; {mend}")
    if said:
        raise InputError(". ".join(said))


@dataclass(frozen=True)
class _Table:
    """A table laid on a recipe: its cells, and the folder of its runs."""

    table: str
    recipe: str
    cells: list[Cell]
    folder: Path

    @property
    def path(self) -> Path:
        """The file of its record."""
        return self.folder.with_suffix(".json")

    def on_record(self) -> records.Record:
        """What the record has by now: other commands may add to it, too."""
        return records.begun(self.path, self.table, self.recipe, _SCALE.value, self.cells)


def _wanted(tables: list[_Table], seeds: int) -> tuple[dict[Path, Run], list[Run]]:
    """All runs, by their folders since two cells may read the same ones, and those to be made.

    A run is done if it is on record or its folder says so; but the weights or labels that
    another one needs must be here.
    """
    every, missing = {}, {}
    for laid in tables:
        before = laid.on_record()
        for cell in _chosen_rows(laid.cells):
            known = records.runs_on_record(before, cell)
            for run in running.runs_of(cell, seeds, laid.folder):
                folder = run.folder.path.resolve()  # as teachers and sources are named
                every[folder] = run
                if run.recipe.seed not in known and not running.is_done(run):
                    missing[folder] = run
    for run in list(missing.values()):
        for needed in filter(None, (run.recipe.init_from, run.recipe.teacher)):
            if not running.is_done(every[Path(needed)]):
                missing[Path(needed)] = every[Path(needed)]
    return every, list(missing.values())


def _chosen_rows(cells: list[Cell]) -> list[Cell]:
    if _ROWS.value is None:
        return cells
    rows = dict.fromkeys(cell.row for cell in cells)
    unknown = [row for row in _ROWS.value if row not in rows]
    if unknown:
        raise InputError(f"no row {', '.join(unknown)} in this table; its rows: {', '.join(rows)}")
    chosen = [cell for cell in cells if cell.row in _ROWS.value]
    needed = {cell.source for cell in chosen} | {cell.teacher for cell in chosen}
    return [cell for cell in cells if cell in chosen or cell.folder in needed]


def _make(missing: list[Run], out: Path, tables: list[_Table]) -> list[str]:
    """Make the runs under `out`, and tell of each; returns what those that failed say.

    The records are written after each run, so that they can be taken elsewhere at any time.
    """
    failed: list[str] = []
    started = time.monotonic()
    # The bar is for a terminal; the lines are for a log file too.
    with tqdm(total=len(missing), unit="run", disable=None) as bar:
        for done, (run, complaint) in enumerate(
            running.run_all(missing, _JOBS.value, _BACKEND.value), start=1
        ):
            result = run.folder.read_result()
            if not complaint and result is None:
                complaint = "its result is not here: the worker has another folder of this name"
            if complaint:
                failed.append(f"{run.folder}: {complaint}")
                news = f"failed: {complaint}"
            else:
                news = f"test error {result['test_error']:.2f} %" if result else ""
            left = (time.monotonic() - started) / done * (len(missing) - done) / 60
            place = run.folder.path.relative_to(out)
            bar.write(f"{done}/{len(missing)}  {place}  {news}  {left:.1f} min left", sys.stdout)
            sys.stdout.flush()
            bar.update()
            for laid in tables:
                _write(laid)
    return failed


def _write(laid: _Table) -> records.Record:
    """Write the record of a table: what was on it, and the runs that have ended in its folder."""
    with records.alone(laid.path):
        record = _with_ended_runs(laid, laid.on_record())
        records.write(record, laid.path)
    return record


def _with_ended_runs(laid: _Table, before: records.Record) -> records.Record:
    cells = []
    every = [records.runs_on_record(before, cell) for cell in laid.cells]
    data = [records.data_settings(cell.recipe) for cell in laid.cells]
    for cell, runs, of_data in zip(laid.cells, every, data, strict=True):
        on_same = [other for other, known in zip(every, data, strict=True) if known == of_data]
        # The folder of a run on record may be gone, or of an earlier version.
        for run in running.runs_there(cell, laid.folder, besides=runs):
            found = records.read_run(run, cell.start)
            if records.on_other_data(found, (each for row in on_same for each in row.values())):
                _left_out[str(run.folder)] = _OTHER_DATA
            elif records.in_other_precision(found, runs.values()):
                _left_out[str(run.folder)] = _OTHER_PRECISION
            else:
                runs[run.recipe.seed] = found
        ordered = [runs[seed] for seed in sorted(runs)]
        cells.append(records.cell_record(cell, laid.cells, ordered))
    note = {"note": before["note"]} if "note" in before else {}
    return {
        "table": laid.table,
        "recipe": laid.recipe,
        "scale": _SCALE.value,
        "commands": command.added(before["commands"], "reproduce.py"),
        **note,
        "defaults": records.defaults(),
        "cells": cells,
    }


if __name__ == "__main__":
    define_recipe_flags()
    run_main(main, __doc__)
