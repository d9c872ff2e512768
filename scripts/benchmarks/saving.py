"""What a checkpoint every 500 steps costs, as a share of those steps."""

import tempfile
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.timing import timed
from semisup import experiment, recipes
from semisup.runs import checkpoints
from semisup.runs.directory import RunDirectory
from semisup.training.loop import make_train_step

INTERVAL = 500


def measure(repeats: int = 10) -> dict[str, Any]:
    """Medians of a step of the recipe mnist5k, and of a checkpoint of its model."""
    setup = experiment.build(recipes.get("mnist5k"))
    batches = setup.batches()
    train_step = make_train_step(setup.model, batches)
    iterator = iter(batches)
    train_step(*next(iterator))
    seconds = tf.Variable(0.0, dtype="float64")
    steps: list[float] = []
    saves: list[float] = []
    with tempfile.TemporaryDirectory() as logdir:
        for i in range(repeats):
            for _ in range(5):
                with timed(steps):
                    train_step(*next(iterator))["loss"].numpy()
            with timed(saves):
                checkpoints.save(RunDirectory(logdir), i, setup.model, train_seconds=seconds)
    step, save = float(np.median(steps)), float(np.median(saves))
    return {
        "step_ms": round(step, 1),
        "checkpoint_ms": round(save, 1),
        f"share_at_every_{INTERVAL}_steps_percent": round(100 * save / (INTERVAL * step), 3),
    }
