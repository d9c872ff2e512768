"""Training time until an error is reached: the authors' protocol against ours.

Each run is a process of `semisup-train` in a folder of its own, one after the other, the two
protocols in turn; finished ones are not run again. The error is that of the runs; the seconds
are its step times the milliseconds of a step, which are measured afterwards, all in turn,
since no machine keeps its speed for the hours that the runs take.
"""

import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import curve_style
import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from semisup import recipes
from semisup.errors import InputError
from semisup.runs import files
from semisup.runs.directory import RunDirectory
from semisup.training import comparison

# Percent, on MNIST's 10,000 test digits.
TARGETS = (1.5, 1.1)


# Of each protocol: its recipe, and what is changed in it.
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
    "ours": ("mnist_fast", {"eval_interval": 25}),
}

_SHOWN = {"authors": "authors' protocol, float32", "ours": "recipe mnist_fast"}

# Of one seed, the evaluations: training seconds, test error in percent.
Curve = list[tuple[float, float]]


def measure(data_dir: Path, out: Path, seeds: int, rounds: int) -> dict[str, Any]:
    """Train each protocol with each seed, then measure their steps.

    Args:
        data_dir: MNIST's files.
        out: the runs' folders are made here, the picture too.
        seeds: from 0 on.
        rounds: turns of each protocol in the measurement of its step.

    Returns:
        For each protocol the evaluations of each seed, (step, test error in percent); where and
        when these runs were made, some perhaps before; the median milliseconds of a step; and
        for each target the seconds at which the median error over the seeds is there, or None.
    """
    evaluations: dict[str, list[list[tuple[int, float]]]] = {name: [] for name in PROTOCOLS}
    results: list[dict[str, Any]] = []
    for seed in range(seeds):
        for name in PROTOCOLS:
            logdir = out / name / f"seed{seed}"
            _train(name, data_dir, logdir, seed)
            run = RunDirectory(logdir)
            records = run.read_evaluations()
            results.append(files.read_json(run.result))
            evaluations[name].append([(int(r["step"]), r["test_error"]) for r in records])
    measured = {"evaluations": evaluations, "runs_made": comparison.made_on(results)}
    measured["step_ms"] = _measure_steps(rounds)
    draw(measured, out / "time_to_accuracy.png")
    curves = over_seconds(measured)
    return {
        **measured,
        "seconds_to": {
            name: {str(target): seconds_to(of_seeds, target) for target in TARGETS}
            for name, of_seeds in curves.items()
        },
    }


def over_seconds(measured: Mapping[str, Any]) -> dict[str, list[Curve]]:
    """For each protocol the evaluations of each seed, (seconds, error)."""
    return {
        name: [
            [
                (round(step * measured["step_ms"][name] / 1e3, 1), error)
                for step, error in of_seed
                if step
            ]
            for of_seed in of_seeds
        ]
        for name, of_seeds in measured["evaluations"].items()
    }


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


def _train(protocol: str, data_dir: Path, logdir: Path, seed: int) -> None:
    recipe, changes = PROTOCOLS[protocol]
    command = [sys.executable, "-m", "semisup.train", f"--recipe={recipe}"]
    command += [f"--{setting}={value}" for setting, value in changes.items()]
    command += [f"--data_dir={data_dir}", f"--logdir={logdir}"]
    command += [f"--seed={seed}", f"--sup_seed={seed}"]
    if subprocess.run(command, check=False).returncode != 0:
        raise InputError(f"the run in {logdir} failed; its lines are above")


def _measure_steps(rounds: int) -> dict[str, float]:
    """Median milliseconds of a step of each protocol, in turn, through the real pipeline."""
    from benchmarks import steps

    data = steps.dataset("mnist")
    turns = {
        name: steps.through_pipeline(recipes.get(recipe, **changes), data)
        for name, (recipe, changes) in PROTOCOLS.items()
    }
    times: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            times[name] += turn()["step"]
    return {name: round(statistics.median(values), 2) for name, values in times.items()}


@matplotlib.rc_context(curve_style.CURVES)
def draw(measured: Mapping[str, Any], path: Path) -> None:
    """Draw the error over the training seconds: each seed thin, the median of the seeds bold.

    Args:
        measured: what `measure` returns, of it "evaluations" and "step_ms".
        path: the PNG file to write.
    """
    curves = over_seconds(measured)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    for i, (name, of_seeds) in enumerate(curves.items()):
        seconds = [second for second, _ in of_seeds[0]]
        errors = [[error for _, error in of_seed] for of_seed in of_seeds]
        for of_seed in errors:
            axes.plot(seconds, of_seed, color=f"C{i}", ls="-", lw=0.8, alpha=0.4, marker="")
        middle = [statistics.median(column) for column in zip(*errors, strict=True)]
        look: Any = {"color": f"C{i}", "ls": "-", "marker": "os"[i], "lw": 2.2}
        axes.plot(seconds, middle, **look, label=_SHOWN[name])
    for target in TARGETS:
        axes.axhline(target, color="grey", lw=0.8, ls=":")
    axes.set_yscale("log")
    ticks = [0.8, 1.1, 1.5, 2, 3, 5, 10, 20]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(ylim=(0.7, 25), xlim=(4, None))
    axes.set(xlabel="seconds of training", ylabel="test error, %")
    axes.set_title("MNIST, 100 labels: thin lines are seeds, bold ones their median")
    axes.legend()
    curve_style.save(figure, path)
