"""Association beside other methods, on the same split, network, batches and learning rates.

    .venv/bin/python scripts/compare.py --recipe=mnist5k --optimizer=adam \\
        --methods=labels_only,association,fixmatch
    .venv/bin/python scripts/compare.py --recipe=usps_to_mnist --data_dir=DIR \\
        --methods=labels_only,association,dann,mmd,coral --search=1
    .venv/bin/python scripts/compare.py --recipe=mnist5k --time        then --budget=seconds

Every method is a loss on the batches of the recipe, which is added to the classification loss; a
name such as association+fixmatch adds both. Any setting of a recipe may be given too, such as
--max_steps. DIR is the folder of the data set, or one with a folder for each.

Writes OUT.json, to which each run is added as it ends, so that the same command goes on where it
was stopped; then OUT.md, the table, and OUT.png, the error over the seconds.
"""

import dataclasses
import os
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags
from reproduction import command
from reproduction.places import places_of
from reproduction.scales import stretched
from reproduction.side_by_side import engine, share_of_machine, unordered
from reproduction.tables import STUDENTS
from tqdm import tqdm

from semisup import recipes
from semisup.cli.app import load_tensorflow, run_main
from semisup.cli.flags import define_recipe_flags, given_settings
from semisup.config import Recipe
from semisup.errors import InputError
from semisup.runtime.paths import expanded

if TYPE_CHECKING:
    from comparison.record import Record
    from comparison.running import Job

_METHODS = flags.DEFINE_list(
    "methods",
    "labels_only,association,pseudo_labels,pi_model,mean_teacher,transformations,vat,fixmatch",
    "methods to compare; dann, mmd and coral are available, too, and + combines several methods",
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "runs of each method, from seed 0 on", lower_bound=1)
_BUDGET = flags.DEFINE_enum(
    "budget",
    "steps",
    ["steps", "seconds"],
    "steps: all methods take the recipe's number of steps; seconds: each method takes as many "
    "steps as it can in the time that association needs",
)
_SEARCH = flags.DEFINE_integer(
    "search",
    0,
    "first choose the parameters of each method, among the published ones and a few others, by "
    "the error on a held-out fifth of the training images, with this many seeds from 100 on; 0 "
    "uses the published parameters",
    lower_bound=0,
)
_TIME = flags.DEFINE_bool(
    "time",
    False,
    "only measure the time of a step of each method, of all in turn if one was not timed yet; "
    "nothing else should be running",
)
_OUT = flags.DEFINE_string(
    "out", None, "files to write, without an ending; by default runs/comparison/RECIPE"
)
_JOBS = flags.DEFINE_integer("jobs", 1, "number of runs at a time", lower_bound=1)
# No threads: the runs of a process would share seeds.
_BACKEND = flags.DEFINE_enum(
    "backend", "loky", ("loky", "dask"), "joblib's backend for several runs"
)

# The first seed of the search, far from those of the results.
_SEARCH_SEED = 100

# What the comparison sets itself, or what its runs would leave out.
_NOT_YOURS = (
    *("seed", "sup_seed", "split_file", "teacher", "compat", "select", "eval_images"),
    "log_interval",
)


def main() -> None:
    recipe = _recipe()
    names = list(dict.fromkeys(_METHODS.value))
    if not names:
        raise InputError("--methods is empty; leave it out for all of them")
    load_tensorflow()
    from comparison import checks, methods, record

    from semisup.runtime import precision

    parts = list(dict.fromkeys(part for name in names for part in methods.parts_of(name)))
    checks.refuse_ignored(recipe, search=_SEARCH.value > 0)
    for line in checks.notes(recipe, parts):
        print(line)
    # What it stands for here, so that all runs have the same, wherever they are made.
    recipe = dataclasses.replace(recipe, precision=precision.resolve(recipe.precision))
    out = expanded(_OUT.value or f"runs/comparison/{flags.FLAGS.recipe}")
    if not out.name:
        raise InputError(f"--out={_OUT.value} names no file; give a name without an ending")
    try:
        with record.held(out):
            _compare(recipe, names, parts, out)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on; the run in progress begins again.")
        raise


def _compare(recipe: Recipe, names: Sequence[str], parts: Sequence[str], out: Path) -> None:
    from comparison import report, running
    from comparison.record import Record

    from semisup.runs import files

    record = Record(out.with_name(f"{out.name}.json"), flags.FLAGS.recipe, recipe)
    record.content["commands"] = command.added(record.content["commands"], "compare.py")
    chosen: dict[str, dict[str, float]] = {}
    if _SEARCH.value and not _TIME.value:
        _refuse(_run_all(record, list(_search_jobs(recipe, parts))))
        chosen = {part: _best(record, recipe, part) for part in parts}
    if _TIME.value or _BUDGET.value == "seconds":
        running.measure_times(record, names, chosen, recipe)
    if _TIME.value:
        for name in names:
            print(f"{name}: {record.milliseconds[name]:.1f} ms a step")
        return
    in_time = {} if record.untimed(names) else record.steps_in_time(names)
    steps_of = in_time if _BUDGET.value == "seconds" else {}
    failed = _run_all(record, list(_jobs(recipe, names, chosen, steps_of)))
    seeds = _SEEDS.value
    steps = {name: steps_of.get(name, recipe.max_steps) for name in names}
    if not any(report.seeds_of(record, n, chosen, steps[n], seeds) for n in names):
        _refuse(failed)
    record.write()  # of a command whose runs were made before, too
    page = report.page(record, names, chosen, in_time, seeds)
    files.write_text(out.with_name(f"{out.name}.md"), page)
    report.figure(record, names, chosen, steps_of, seeds, out.with_name(f"{out.name}.png"))
    print(f"\n{page}\nwritten to {out}.json, .md and .png")
    if record.untimed(names):
        print("The figure is over steps. The same command with --time, then without, adds seconds.")
    _refuse(failed)


def _recipe() -> Recipe:
    """The recipe with the settings that were given beside it.

    Raises:
        InputError: a setting is not for comparisons.
    """
    given = given_settings()
    for name in _NOT_YOURS:
        if name in given:
            raise InputError(f"--{name} can't be given here")
    if not flags.FLAGS["recipe"].present and {"dataset", "architecture"} & given.keys():
        raise InputError("--dataset and --architecture change a recipe; name one with --recipe")
    recipe = recipes.get(flags.FLAGS.recipe)
    places = places_of(
        recipes.changed(recipe, **given), given.get("data_dir"), given.get("target_data_dir")
    )
    recipe = recipes.changed(recipe, **{**given, **places})
    if recipe.freeze_steps > 0 or flags.FLAGS.recipe in STUDENTS:
        raise InputError(
            f"the recipe {flags.FLAGS.recipe} trains in two stages, which this script does not "
            "support"
        )
    for name in ("pseudo_label_weight", "vat_weight"):
        if getattr(recipe, name) > 0 and name not in given:
            print(
                f"The recipe's --{name}={getattr(recipe, name):g} is ignored; if it is given, only "
                "association is trained with it"
            )
            without: dict[str, Any] = {name: 0.0}
            recipe = dataclasses.replace(recipe, **without)
    if not recipe.associates:
        raise InputError(
            "the recipe has no loss on unlabelled images, so there is nothing to compare: its "
            "--walker_weight is 0"
        )
    if recipe.cluster_share > 0 and "cluster_share" not in given:
        print(
            f"The recipe's --cluster_share={recipe.cluster_share:g} is ignored; if it is given, "
            "all methods, also labels_only, are trained on these pseudo-labels"
        )
        recipe = dataclasses.replace(recipe, cluster_share=0.0)
    return recipe


def _search_jobs(recipe: Recipe, parts: Sequence[str]) -> Iterator["Job"]:
    from comparison import methods
    from comparison.running import Job

    for seed in range(_SEARCH_SEED, _SEARCH_SEED + _SEARCH.value):
        seeded = dataclasses.replace(recipe, seed=seed, sup_seed=seed)
        for part in parts:
            for parameters in ({}, *methods.METHODS[part].search):
                yield Job(part, {part: parameters}, seeded, validation=True)


def _best(record: "Record", recipe: Recipe, part: str) -> dict[str, float]:
    """The parameters with the lowest median error on validation images; of equals, the first."""
    from comparison import methods

    medians = []
    for parameters in ({}, *methods.METHODS[part].search):
        made = methods.parameters_of(part, {part: parameters})
        every = record.matching(
            method=part, parameters=made, validation=True, steps=recipe.max_steps
        )
        # The record may have more seeds of some, of another search.
        runs = [run for run in every if run["seed"] < _SEARCH_SEED + _SEARCH.value]
        medians.append((statistics.median(record.errors(runs)), dict(parameters)))
    return min(medians, key=lambda pair: pair[0])[1]


def _jobs(
    recipe: Recipe,
    names: Sequence[str],
    chosen: dict[str, dict[str, float]],
    steps_of: dict[str, int],
) -> Iterator["Job"]:
    from comparison.running import Job

    for seed in range(_SEEDS.value):
        for name in names:
            changed = stretched(recipe, steps_of.get(name, recipe.max_steps))
            yield Job(name, chosen, dataclasses.replace(changed, seed=seed, sup_seed=seed))


def _run_all(record: "Record", jobs: Sequence["Job"]) -> list[str]:
    """Make the runs that the record has not; each is kept as it ends.

    Returns:
        What made runs fail.
    """
    if not jobs:  # of a search of methods without parameters
        return []
    missing = [job for job in jobs if record.find(job.key) is None]
    kind = "of the search" if any(job.validation for job in jobs) else "to compare"
    print(f"{len(jobs)} runs {kind}, {len(jobs) - len(missing)} of them made before", flush=True)
    if not missing:
        return []
    failed = []
    with tqdm(total=len(missing), unit="run", disable=None) as bar:
        for run in _made([job._replace(data=record.data_of(job.validation)) for job in missing]):
            if complaint := run if isinstance(run, str) else _kept(record, run):
                failed.append(complaint)
            bar.update()
    return failed


def _kept(record: "Record", run: dict[str, Any]) -> str:
    """Add a run to the record; a line instead if its data are others than those of runs there.

    The run itself knew only of those on record when the command began.
    """
    from comparison.record import refuse_other_data

    try:
        refuse_other_data(run, record.data_of(run["validation"]))
    except InputError as error:
        return f"{run['method']}: {error}"
    record.add(run)
    return ""


def _refuse(failed: Sequence[str]) -> None:
    """Raise InputError if runs failed."""
    if failed:
        raise InputError(
            f"{len(failed)} runs failed; the same command tries them again; the first: {failed[0]}"
        )


def _made(jobs: Sequence["Job"]) -> Iterator[dict[str, Any] | str]:
    if _JOBS.value == 1 and _BACKEND.value == "loky":
        yield from map(_attempt, jobs)
        return
    os.environ |= share_of_machine(_JOBS.value)
    try:
        with engine(_BACKEND.value, _JOBS.value):
            # As tuples: to read a Job would import TensorFlow, with its notes, before `_attempt`.
            yield from unordered(_attempt, map(tuple, jobs), _JOBS.value)
    except Exception as error:
        if not isinstance(error, BrokenExecutor) and type(error).__name__ != "KilledWorker":
            raise  # the latter is Dask's
        yield "a process was killed, perhaps for want of memory; try fewer --jobs"


def _attempt(of_job: Sequence[Any]) -> dict[str, Any] | str:
    """The record of a run, or what made it fail, given the fields of its `Job`."""
    load_tensorflow()  # where this is another process
    import tensorflow as tf
    from comparison.running import Job, run

    job = Job(*of_job)
    try:
        return run(job)
    except (InputError, tf.errors.ResourceExhaustedError, MemoryError, OSError) as error:
        return f"{job.method}: {' '.join(str(error).split()) or type(error).__name__}"


if __name__ == "__main__":
    define_recipe_flags()
    run_main(main, __doc__)
