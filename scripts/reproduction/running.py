"""The runs of a table: each a process of `semisup-train`, many side by side through joblib."""

import dataclasses
import functools
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduction import places
from reproduction.side_by_side import engine, share_of_machine, unordered
from reproduction.tables import Cell
from semisup import recipes
from semisup.config import Recipe
from semisup.data.registry import is_own
from semisup.errors import InputError
from semisup.runs.directory import RunDirectory

# Where files lie is no setting of an experiment: a table may move, and so may its data, but for
# people's own.
_PLACES = ("data_dir", "target_data_dir", "init_from", "teacher")

# What tells the runs of one cell apart.
DISTINCT = (*_PLACES, "seed", "sup_seed")

# The training processes of this process, so that Ctrl-C can end them well.
_children: set[subprocess.Popen] = set()


@dataclass(frozen=True)
class Run:
    """One run to be made: `recipe`, in `folder`."""

    recipe: Recipe
    folder: RunDirectory


def own_places(recipe: Recipe) -> dict[str, str | None]:
    """The settings that say where people's own images lie: only the place tells these apart."""
    sets = {"data_dir": recipe.dataset, "target_data_dir": recipe.target_dataset}
    return {place: getattr(recipe, place) for place, name in sets.items() if is_own(name)}


def runs_of(cell: Cell, seeds: int, out: Path) -> list[Run]:
    """The cell's runs, one for each seed from 0 on, in folders under `out`."""
    found = []
    for seed in range(seeds):
        changes: dict[str, Any] = {"seed": seed, "sup_seed": seed}
        if cell.source:
            changes["init_from"] = str((out / cell.source / f"seed{seed}").resolve())
        if cell.teacher:
            changes["teacher"] = str((out / cell.teacher / f"seed{seed}").resolve())
        recipe = dataclasses.replace(cell.recipe, **changes)
        found.append(Run(recipe, RunDirectory(out / cell.folder / f"seed{seed}")))
    return found


def runs_there(cell: Cell, out: Path, besides: Collection[int] = ()) -> list[Run]:
    """The cell's runs with the same settings that have ended, with an error, and are here.

    Args:
        cell: the cell.
        out: the folder of its table.
        besides: seeds whose folders are left alone.
    """
    names = (re.fullmatch(r"seed(\d+)", path.name) for path in (out / cell.folder).glob("seed*"))
    found = [int(name[1]) for name in names if name]
    every = runs_of(cell, max([0, *(seed + 1 for seed in found)]), out)
    others = [run for run in every if run.recipe.seed not in besides]
    results = ((run, run.folder.read_result()) for run in others if not _differences(run))
    return [run for run, result in results if result and result["test_error"] is not None]


def is_done(run: Run) -> bool:
    """Whether the run has ended already.

    Raises:
        InputError: its folder holds a run with other settings, or one without a test error.
    """
    if differences := _differences(run):
        raise InputError(
            f"{run.folder} holds a run with other settings ({'; '.join(differences)}); "
            "choose another --out"
        )
    if complaint := _without_error(run):
        raise InputError(f"{run.folder}: {complaint}")
    return run.folder.read_result() is not None


def _without_error(run: Run) -> str:
    """A line about a run that has ended without a test error; empty for any other."""
    result = run.folder.read_result()
    if result and result["test_error"] is None:
        return (
            "its data has no test images, so there is no test error; label at least two images of "
            "a class, and choose another --out"
        )
    return ""


def _differences(run: Run) -> list[str]:
    """Settings in which the run that its folder holds, if any, is another."""
    if not run.folder.recipe.exists():
        return []
    there, wanted = (dataclasses.asdict(r) for r in (run.folder.read_recipe(), run.recipe))
    ignored = set(_PLACES) - own_places(run.recipe).keys()
    return [
        f"{name} was {there[name]!r}, is {wanted[name]!r}"
        for name in wanted
        if name not in ignored and there[name] != wanted[name]
    ]


def run_all(missing: Sequence[Run], jobs: int, backend: str) -> Iterator[tuple[Run, str]]:
    """Make the runs, `jobs` at a time; those that need another's weights or labels come after it.

    A run that fails or crashes harms no other. Where it stopped, it goes on next time.

    Args:
        missing: the runs.
        jobs: how many at a time.
        backend: joblib's: "threading" on this machine, "dask" on a cluster, which sees the same
            folders and has the same package.

    Yields:
        Each run when it has ended, and the last line it printed if it failed, else "".
    """
    late = [run for run in missing if run.recipe.init_from or run.recipe.teacher]
    waves = [[run for run in missing if run not in late], late]
    try:
        with engine(backend, jobs):
            for wave in filter(None, waves):
                yield from unordered(functools.partial(_run, jobs=jobs), wave, jobs)
    finally:
        for child in list(_children):
            child.send_signal(signal.SIGINT)  # it saves, and stops
            child.wait()


def words(recipe: Recipe) -> list[str]:
    """The recipe as arguments of semisup-train: from the nearest recipe that has a name.

    One of the same data is nearer than any other, as a reader would expect.
    """

    def differing(base: Recipe) -> dict[str, object]:
        pairs = {name: getattr(recipe, name) for name in dataclasses.asdict(recipe)}
        return {name: value for name, value in pairs.items() if value != getattr(base, name)}

    # None can't be said by a flag; the default recipe needs none for it.
    sayable = {
        name: changes
        for name, base in recipes.RECIPES.items()
        if None not in (changes := differing(base)).values()
    }
    name = min(
        sayable,
        key=lambda name: (
            "dataset" in sayable[name],
            "target_dataset" in sayable[name],
            len(sayable[name]),
        ),
    )
    return [f"--recipe={name}", *(f"--{key}={value}" for key, value in sayable[name].items())]


def command_of(cell: Cell, cells: Sequence[Cell]) -> str:
    """The command of one of a cell's runs.

    DIR stands for the folder of the data sets, S for the seed, SOURCE for the folder of the run
    whose weights others of `cells`, the table's, begin with, 100_LABELS_TEACHER and the like for
    that of a teacher.
    """
    changes: dict[str, Any] = {"seed": 0, "sup_seed": 0}
    sets = {"data_dir": cell.recipe.dataset, "target_data_dir": cell.recipe.target_dataset}
    for name, dataset in sets.items():
        if getattr(cell.recipe, name) is not None:
            changes[name] = places.in_words(dataset)
    for name in ("architecture", "weights"):  # of a file the name alone
        if (value := getattr(cell.recipe, name)) is not None:
            changes[name] = Path(value).name
    if cell.source:
        changes["init_from"] = "SOURCE"
    if cell.teacher:
        changes["teacher"] = cell.teacher.upper()
    said = words(dataclasses.replace(cell.recipe, **changes))
    if cell.folder in {other.source for other in cells}:
        said.append("--logdir=SOURCE")
    if cell.folder in {other.teacher for other in cells}:
        said.append(f"--logdir={cell.folder.upper()}")
    return shlex.join(["semisup-train", *said, "--sup_seed=S", "--seed=S"])


def _run(run: Run, jobs: int) -> tuple[Run, str]:
    """Make one of `jobs` runs at a time in a process; what it prints goes beside its folder."""
    share = share_of_machine(jobs) if jobs > 1 else {}
    run.folder.path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "semisup.train", *words(run.recipe), f"--logdir={run.folder}"]
    log = run.folder.path.with_suffix(".log")
    with log.open("a", encoding="utf-8") as file:  # after what an earlier try said
        said_before = file.tell()
        child = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **share}
        )
        _children.add(child)
        try:
            status = child.wait()
        finally:
            if child.poll() is not None:
                _children.discard(child)
    if status == 0:
        return run, _without_error(run)
    lines = log.read_bytes()[said_before:].decode(errors="replace").split("\n")
    said = next((line for line in reversed(lines) if line.strip()), "nothing printed")
    return run, f"{said.removeprefix('error: ')} (status {status}; {log})"
