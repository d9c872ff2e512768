"""Training time until an error is reached: the authors' protocol against ours.

Each run is a process of `semisup-train` in a folder of its own, one after the other, the two
protocols in turn; finished ones are not run again. The error is that of the runs; the seconds
are its step times the milliseconds of a step, which are measured afterwards, all in turn,
since no machine keeps its speed for the hours that the runs take. What a teacher needs to label
images for the next run counts as training.
"""

import itertools
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from semisup import recipes, runs
from semisup.errors import InputError

# Percent, on MNIST's 10,000 test digits.
TARGETS = (1.5, 1.1)


class Stage(NamedTuple):
    """A run: its recipe, and what is changed in it."""

    recipe: str
    changes: dict[str, Any]


# Each stage after the first one learns from the one before it.
PROTOCOLS: dict[str, tuple[Stage, ...]] = {
    "authors": (
        Stage(
            "mnist",
            {
                "precision": "float32",
                "learning_rate": 1e-3,
                "decay_factor": 1.0,
                "max_steps": 5000,
                "eval_interval": 250,
            },
        ),
    ),
    "ours": (Stage("mnist_fast", {}), Stage("mnist_student", {})),
}

_SHOWN = {
    "authors": "authors' protocol, float32",
    "ours": "mnist_fast, then mnist_student on its labels",
}

# Of each stage's recipe: step and test error in percent of its evaluations.
Evaluations = dict[str, list[tuple[int, float]]]

# An evaluation: training seconds, test error in percent.
Curve = list[tuple[float, float]]


def measure(data_dir: Path, out: Path, seeds: int, rounds: int) -> dict[str, Any]:
    """Train each protocol with each seed, then measure their steps.

    Args:
        data_dir: MNIST's files.
        out: the runs' folders are made here, the picture too.
        seeds: from 0 on.
        rounds: turns of each stage in the measurement of its step.

    Returns:
        For each protocol the evaluations of each seed; for each recipe the median milliseconds
        of a step, and the seconds of the labelling before it, if there is any; and for each
        protocol and target the seconds at which the median error over the seeds is there,
        or None.
    """
    evaluations: dict[str, list[Evaluations]] = {name: [] for name in PROTOCOLS}
    for seed in range(seeds):
        for name, stages in PROTOCOLS.items():
            teacher, of_seed = None, {}
            for stage in stages:
                logdir = out / name / f"seed{seed}" / stage.recipe
                _train(stage, data_dir, logdir, teacher, seed)
                records = runs.read_evaluations(logdir)
                of_seed[stage.recipe] = [(int(r["step"]), r["test_error"]) for r in records]
                teacher = logdir
            evaluations[name].append(of_seed)
    step_ms = _measure_steps(rounds)
    labelling = {
        learner.recipe: _labelling_seconds(data_dir, out / name / "seed0" / teacher.recipe, learner)
        for name, stages in PROTOCOLS.items()
        for teacher, learner in itertools.pairwise(stages)
    }
    curves = {
        name: [curve(of_seed, step_ms, labelling) for of_seed in of_seeds]
        for name, of_seeds in evaluations.items()
    }
    _draw(curves, out / "time_to_accuracy.png")
    return {
        "evaluations": evaluations,
        "step_ms": step_ms,
        "labelling_seconds": labelling,
        "seconds_to": {
            name: {str(target): seconds_to(of_seeds, target) for target in TARGETS}
            for name, of_seeds in curves.items()
        },
    }


def curve(stages: Evaluations, step_ms: dict[str, float], labelling: dict[str, float]) -> Curve:
    """The evaluations of all stages over the training seconds since the first one began.

    Args:
        stages: the evaluations of one seed.
        step_ms: milliseconds of a step of each recipe.
        labelling: seconds before the first step of a recipe that learns from a teacher.
    """
    points: Curve = []
    begun = 0.0
    for recipe, evaluations in stages.items():
        begun += labelling.get(recipe, 0.0)
        points += [(round(begun + n * step_ms[recipe] / 1e3, 1), e) for n, e in evaluations]
        begun = points[-1][0]
    return points


def seconds_to(curves: list[Curve], target: float) -> float | None:
    """When the median error over the seeds first is at most `target`; None if never.

    Args:
        curves: one for each seed, evaluated at the same seconds.
        target: error in percent.
    """
    for evaluations in zip(*curves, strict=True):
        if statistics.median(error for _, error in evaluations) <= target:
            return evaluations[0][0]
    return None


def _train(stage: Stage, data_dir: Path, logdir: Path, teacher: Path | None, seed: int) -> None:
    command = [sys.executable, "-m", "semisup.train", f"--recipe={stage.recipe}"]
    command += [f"--{setting}={value}" for setting, value in stage.changes.items()]
    command += [f"--data_dir={data_dir}", f"--logdir={logdir}"]
    command += [f"--seed={seed}", f"--sup_seed={seed}"]
    if teacher:
        command.append(f"--teacher={teacher}")
    if subprocess.run(command, check=False).returncode != 0:
        raise InputError(f"the run in {logdir} failed; its lines are above")


def _measure_steps(rounds: int) -> dict[str, float]:
    """Median milliseconds of a step of each recipe, in turn, through the real pipeline."""
    from benchmarks import steps

    data = steps.dataset("mnist")
    turns = {
        stage.recipe: steps.through_pipeline(recipes.get(stage.recipe, **stage.changes), data)
        for stages in PROTOCOLS.values()
        for stage in stages
    }
    times: dict[str, list[float]] = {recipe: [] for recipe in turns}
    for _ in range(rounds):
        for recipe, turn in turns.items():
            times[recipe] += turn()["step"]
    return {recipe: round(statistics.median(values), 2) for recipe, values in times.items()}


def _labelling_seconds(data_dir: Path, teacher: Path, learner: Stage) -> float:
    """Seconds in which the run in the folder `teacher` labels the images of the next stage."""
    from semisup import self_training
    from semisup.data.catalogue import load_dataset
    from semisup.data.splits import read_split

    dataset = load_dataset("mnist", data_dir)
    split = read_split(teacher / runs.SPLIT, dataset)
    recipe = recipes.get(learner.recipe, **learner.changes)
    started = time.perf_counter()
    self_training.teach(teacher, dataset, split, recipe.teacher_share)
    return round(time.perf_counter() - started, 1)


def _draw(curves: dict[str, list[Curve]], path: Path) -> None:
    """The error over the training seconds: each seed thin, the median of the seeds bold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for colour, (name, of_seeds) in zip(("#b3261e", "#1a7f37"), curves.items(), strict=True):
        seconds = [second for second, _ in of_seeds[0]]
        errors = [[error for _, error in of_seed] for of_seed in of_seeds]
        for of_seed in errors:
            axes.plot(seconds, of_seed, color=colour, lw=0.8, alpha=0.4)
        middle = [statistics.median(column) for column in zip(*errors, strict=True)]
        axes.plot(seconds, middle, color=colour, lw=2.2, label=_SHOWN[name])
    for target in TARGETS:
        axes.axhline(target, color="grey", lw=0.8, ls=":")
    axes.set_yscale("log")
    ticks = [1, 1.1, 1.5, 2, 3, 5, 10]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(ylim=(0.9, 12), xlim=(0, None))
    axes.set(xlabel="seconds of training", ylabel="test error, %")
    axes.set_title("MNIST, 100 labels: thin lines are seeds, bold ones their median")
    axes.legend()
    figure.savefig(path, dpi=130)
