"""Training time until an error is reached: the authors' protocol against `mnist_fast`.

Each run is a process of `semisup-train` in a folder of its own, one after the other, the two
protocols in turn; finished ones are not run again. The error is that of the runs; the seconds
are its step times the milliseconds of a step, which are measured afterwards, both protocols
in turn, since no machine keeps its speed for the hour that the runs take.
"""

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from semisup import recipes, runs
from semisup.errors import InputError

# Percent, on MNIST's 10,000 test digits.
TARGETS = (1.5, 1.1)

# The recipe, and what is changed in it.
PROTOCOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "authors": (
        "mnist",
        {
            "precision": "float32",
            "learning_rate": 1e-3,
            "decay_factor": 1.0,
            "max_steps": 5000,
            "eval_interval": 250,
        },
    ),
    "mnist_fast": ("mnist_fast", {}),
}

# An evaluation: the training step, the test error in percent.
Curve = list[tuple[int, float]]


def measure(data_dir: Path, out: Path, seeds: int, rounds: int) -> dict[str, Any]:
    """Train each protocol with each seed, then measure their steps.

    Args:
        data_dir: MNIST's files.
        out: the runs' folders are made here, the picture too.
        seeds: from 0 on.
        rounds: turns of each protocol in the measurement of its step.

    Returns:
        For each protocol its curves, one for each seed; the median milliseconds of a step;
        and for each target the step and the seconds at which the median error over the
        seeds is there, or None.
    """
    curves: dict[str, list[Curve]] = {name: [] for name in PROTOCOLS}
    for seed in range(seeds):
        for name, (recipe, changes) in PROTOCOLS.items():
            logdir = out / name / f"seed{seed}"
            words = [f"--{setting}={value}" for setting, value in changes.items()]
            command = [sys.executable, "-m", "semisup.train", f"--recipe={recipe}", *words]
            command += [f"--data_dir={data_dir}", f"--logdir={logdir}"]
            command += [f"--seed={seed}", f"--sup_seed={seed}"]
            if subprocess.run(command, check=False).returncode != 0:
                raise InputError(f"a run of {name} failed; its lines are above")
            records = runs.read_evaluations(logdir)
            curves[name].append([(int(r["step"]), r["test_error"]) for r in records])
    step_ms = measure_steps(rounds)
    reached = {
        name: {str(target): steps_to(of_seeds, target) for target in TARGETS}
        for name, of_seeds in curves.items()
    }
    seconds = {
        name: {t: None if n is None else round(n * step_ms[name] / 1e3, 1) for t, n in at.items()}
        for name, at in reached.items()
    }
    draw(curves, step_ms, out / "time_to_accuracy.png")
    return {"curves": curves, "step_ms": step_ms, "steps_to": reached, "seconds_to": seconds}


def measure_steps(rounds: int) -> dict[str, float]:
    """Median milliseconds of a step of each protocol, in turn, through the real pipeline."""
    from benchmarks import steps

    turns = {
        name: steps.through_pipeline(recipes.get(recipe, **changes), steps.dataset("mnist"))
        for name, (recipe, changes) in PROTOCOLS.items()
    }
    times: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            times[name] += turn()["step"]
    return {name: round(statistics.median(values), 2) for name, values in times.items()}


def steps_to(curves: list[Curve], target: float) -> int | None:
    """The step at which the median error over the seeds first is at most `target`; None if never.

    Args:
        curves: one for each seed, evaluated at the same steps.
        target: error in percent.
    """
    for evaluations in zip(*curves, strict=True):
        if statistics.median(error for _, error in evaluations) <= target:
            return evaluations[0][0]
    return None


def draw(curves: dict[str, list[Curve]], step_ms: dict[str, float], path: Path) -> None:
    """The error over the training seconds: each seed thin, the median of the seeds bold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for colour, (name, of_seeds) in zip(("#b3261e", "#1a7f37"), curves.items(), strict=True):
        seconds = [step * step_ms[name] / 1e3 for step, _ in of_seeds[0]]
        errors = [[error for _, error in curve] for curve in of_seeds]
        for of_seed in errors:
            axes.plot(seconds, of_seed, color=colour, lw=0.8, alpha=0.4)
        middle = [statistics.median(column) for column in zip(*errors, strict=True)]
        label = {"authors": "authors' protocol, float32"}.get(name, name)
        axes.plot(seconds, middle, color=colour, lw=2.2, label=label)
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
