"""Compare training with labels only and with association, on the same split and seeds."""

import dataclasses
import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from semisup import experiment
from semisup.config import BASELINE, Recipe
from semisup.errors import InputError
from semisup.runs import files
from semisup.runs.directory import RunDirectory
from semisup.runtime import signals, workers
from semisup.runtime.paths import expanded
from semisup.training import loop, progress

_RECORD = "comparison.json"


def compare(
    recipe: Recipe,
    logdir: str | Path,
    seeds: int,
    command: Sequence[str] = (),
    overwrite: bool = False,
    **options: Any,
) -> dict[str, list[float]]:
    """Train with labels only and with association: the same split, network, steps and seeds.

    With labels only the optimizer is Adam, which then ends at a lower error than Muon.

    The runs lie in `logdir`, those that have ended are not made again; comparison.json there
    has the errors.

    Args:
        recipe: the settings of the runs with association. Their seeds, of the initial weights and
            of the split, count up from the recipe's.
        logdir: the folder for all runs.
        seeds: runs of each kind.
        command: the words of the command line, for the record.
        overwrite: start all runs again.
        options: others of `loop.train`.

    Returns:
        The test errors in percent, by seed, of "labels only" and "association": the last ones, or
        those of the evaluation that the recipe's `select` chose.

    Raises:
        InputError: the recipe has no loss on unlabelled images, or a teacher, or as `loop.train`.
        signals.Stopped: SIGINT or SIGTERM came during a run or between two.
    """
    logdir = expanded(logdir)
    _check(recipe)
    dataset = experiment.load_data(recipe)
    if len(dataset.test_labels) == 0:
        raise InputError(
            f"`compare` compares test errors, but {dataset.name} has no test images and too few "
            "labelled ones to hold some out; label at least two images of a class"
        )
    kinds = {"labels only": dataclasses.replace(recipe, **BASELINE), "association": recipe}
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    runs = [
        (kind, seeded(each, n), RunDirectory(logdir / _folder(kind, recipe.seed + n)))
        for n in range(seeds)
        for kind, each in kinds.items()
    ]
    if overwrite:  # all at once: a comparison is resumed without it
        strategy = options.get("strategy")
        for settings in kinds.values():  # what is wrong is refused before anything is removed
            experiment.build(settings, dataset)
        with workers.lost_worker_reported(strategy), workers.chief_first(strategy):
            if workers.is_chief(strategy):
                _clear([run for _, _, run in runs], recipe)
                (logdir / _RECORD).unlink(missing_ok=True)
    try:
        for kind, settings, run in runs:
            number = settings.seed - recipe.seed + 1
            print(f"\n{kind}, seed {settings.seed} ({number} of {seeds})", flush=True)
            result = loop.train(settings, run.path, command, dataset=dataset, **options)
            results[kind].append(result)
    except KeyboardInterrupt:  # between the steps of two runs, whose results are kept
        raise signals.Stopped from None
    errors = {kind: [result["test_error"] for result in each] for kind, each in results.items()}
    every = [*chain(*results.values())]
    test_images = every[0].get("test_images", len(dataset.test_labels))
    collapsed = [bool(result.get("collapsed")) for result in results["association"]]
    if workers.is_chief(options.get("strategy")):
        record = {"test_error": errors, "first_seed": recipe.seed, "steps": recipe.max_steps}
        record |= {"test_images": test_images, "collapsed": collapsed}
        record |= {"command": shlex.join(command), **made_on(every)}
        files.write_json(logdir / _RECORD, record)
    # Each run said so, far above the table that the caller prints.
    for line in (*progress.describe_test_size(test_images), *_describe_collapse(collapsed)):
        print(f"\n{line}")
    return errors


def _describe_collapse(collapsed: Sequence[bool]) -> Iterator[str]:
    if any(collapsed):
        yield (
            f"warning: the walk had collapsed at the end of {sum(collapsed)} of {len(collapsed)} "
            "runs with association; docs/runs.md says what to try"
        )


def _check(recipe: Recipe) -> None:
    if not recipe.associates:
        raise InputError(
            "`compare` needs a recipe with a loss on unlabelled images, but `walker_weight`, "
            "`visit_weight`, `pseudo_label_weight` and `vat_weight` are 0"
        )
    if recipe.teacher:
        raise InputError(
            "`compare` can't be used with `teacher`, since its runs with labels only have no "
            "pseudo-labels; leave out `teacher`"
        )


def made_on(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The `hardware`, `versions` and `date` of runs, from their results: a list where they differ.

    Some may have been made before, on another machine.
    """
    made: dict[str, Any] = {}
    for name in ("hardware", "versions", "date"):
        distinct: list[Any] = []
        for result in results:
            value = result.get(name, "not recorded")
            if value not in distinct:
                distinct.append(value)
        made[name] = distinct[0] if len(distinct) == 1 else distinct
    return made


def seeded(recipe: Recipe, number: int) -> Recipe:
    """The recipe with both seeds counted up."""
    return dataclasses.replace(recipe, seed=recipe.seed + number, sup_seed=recipe.sup_seed + number)


def _folder(kind: str, seed: int) -> Path:
    return Path(kind.replace(" ", "_")) / f"seed{seed}"


def _clear(runs: Sequence[RunDirectory], recipe: Recipe) -> None:
    for run in runs:
        run.refuse_links()
        run.refuse_needed(recipe)
    for run in runs:
        if run.recipe.exists():
            with run.hold():
                run.clear()


def table(errors: dict[str, list[float]], first_seed: int) -> str:
    """Write the errors as text: a line for each seed, then the medians and the ranges."""
    width = max(map(len, errors)) + 4
    lines = ["".join([" " * 10, *(kind.rjust(width) for kind in errors)])]
    for number, row in enumerate(zip(*errors.values(), strict=True)):
        cells = (f"{error:.2f} %".rjust(width) for error in row)
        lines.append("".join([f"seed {first_seed + number}".ljust(10), *cells]))
    medians = (f"{statistics.median(each):.2f} %".rjust(width) for each in errors.values())
    ranges = (f"{min(each):.2f}-{max(each):.2f}".rjust(width) for each in errors.values())
    lines += ["".join(["median".ljust(10), *medians]), "".join(["range".ljust(10), *ranges])]
    return "\n".join(lines)
