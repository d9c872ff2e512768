"""Training seconds until an error is reached: the authors' protocol against `mnist_fast`.

Each run is a process of `semisup-train` in a folder of its own, one after the other, the two
protocols in turn; finished ones are not run again.
"""

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from semisup import runs
from semisup.errors import InputError

# Percent, on MNIST's 10,000 test digits.
TARGETS = (1.5, 1.1)

PROTOCOLS = {
    "authors": [
        "--recipe=mnist",
        "--precision=float32",
        "--learning_rate=1e-3",
        "--decay_factor=1",
        "--max_steps=5000",
        "--eval_interval=250",
    ],
    "mnist_fast": ["--recipe=mnist_fast"],
}


def measure(data_dir: Path, out: Path, seeds: int) -> dict[str, Any]:
    """Train each protocol with each seed.

    Args:
        data_dir: MNIST's files.
        out: the runs' folders are made here, the picture too.
        seeds: from 0 on.

    Returns:
        For each protocol its curves, for each seed [[training seconds, error], ...], and for
        each target the seconds until the median error over the seeds is there, or None.
    """
    curves: dict[str, list[list[list[float]]]] = {name: [] for name in PROTOCOLS}
    for seed in range(seeds):
        for name, words in PROTOCOLS.items():
            logdir = out / name / f"seed{seed}"
            command = [sys.executable, "-m", "semisup.train", *words, f"--data_dir={data_dir}"]
            command += [f"--logdir={logdir}", f"--seed={seed}", f"--sup_seed={seed}"]
            if subprocess.run(command, check=False).returncode != 0:
                raise InputError(f"a run of {name} failed; its lines are above")
            records = runs.read_evaluations(logdir)
            curves[name].append([[r["train_seconds"], r["test_error"]] for r in records])
    reached = {
        name: {str(target): seconds_to(of_seeds, target) for target in TARGETS}
        for name, of_seeds in curves.items()
    }
    draw(curves, out / "time_to_accuracy.png")
    return {"curves": curves, "seconds_to_error": reached}


def seconds_to(curves: list[list[list[float]]], target: float) -> float | None:
    """Seconds until the median error over the seeds first is at most `target`; None if never.

    Args:
        curves: for each seed [[training seconds, error], ...], evaluated at the same steps.
        target: error in percent.
    """
    for evaluations in zip(*curves, strict=True):
        seconds, errors = zip(*evaluations, strict=True)
        if statistics.median(errors) <= target:
            return statistics.median(seconds)
    return None


def draw(curves: dict[str, list[list[list[float]]]], path: Path) -> None:
    """The error over the training seconds: each seed thin, the median of the seeds bold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for colour, (name, of_seeds) in zip(("#b3261e", "#1a7f37"), curves.items(), strict=True):
        for curve in of_seeds:
            axes.plot(*zip(*curve, strict=True), color=colour, lw=0.8, alpha=0.4)
        middle = [
            [statistics.median(column) for column in zip(*points, strict=True)]
            for points in zip(*of_seeds, strict=True)
        ]
        label = {"authors": "authors' protocol, float32"}.get(name, name)
        axes.plot(*zip(*middle, strict=True), color=colour, lw=2.2, label=label)
    for target in TARGETS:
        axes.axhline(target, color="grey", lw=0.8, ls=":")
    axes.set_yscale("log")
    ticks = [1, 1.1, 1.5, 2, 3, 5, 10]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(ylim=(0.9, 12), xlim=(0, None))
    axes.set(xlabel="training seconds (2 cores)", ylabel="test error, %")
    axes.set_title("MNIST, 100 labels: thin lines are seeds, bold ones their median")
    axes.legend()
    figure.savefig(path, dpi=130)
