"""Milliseconds of one training step: ours, a naive one, PyTorch's; and the machine's minimum.

All variants of a network take turns in one process, a few steps each, round after round, so
that whatever else slows the machine slows them all.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks import naive
from benchmarks.timing import timed
from semisup import experiment, recipes
from semisup.config import Recipe
from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData
from semisup.data.splits import choose_split
from semisup.runtime import precision
from semisup.training.loop import make_train_step

# The recipe of this name has the network, augmentation and batch sizes.
SHAPES = {"mnist": (28, 28, 1), "svhn": (32, 32, 3), "stl10": (96, 96, 3)}

# Steps in a turn; of ours, so many before them until the pipeline works as in a long training.
_TURN, _WARM_UP = 8, 4

# Batches that were made in others' turns are taken away, at most so many, until one has to be
# waited for, for longer than so many seconds.
_MOST_AHEAD, _WAITED = 64, 1e-3

Turn = Callable[[], dict[str, list[float]]]


def measure(name: str, rounds: int, with_torch: bool) -> dict[str, Any]:
    """Times of all variants of one network, 100 labelled and 100 unlabelled images a step.

    Args:
        name: a key of `SHAPES`.
        rounds: turns of each variant.
        with_torch: whether to measure PyTorch too (not for stl10).

    Returns:
        For each variant, in each of `precisions`, the 10th, 50th and 90th percentile of its
        milliseconds; for ours also with "wait", milliseconds of a step in which it waited for
        its batch, and with "ready", on a batch that is already there; "rate", GFLOP/s of a
        matrix product; and "gflop", the convolutions and matrix products of a step.
    """
    turns: dict[str, Turn] = {}
    for policy in precisions():
        turns |= _ours(name, policy)
        turns[f"rate {policy}"] = _matmul(policy)
    turns |= naive.turns(dataset(name), recipes.get(name), _TURN)
    if with_torch and name != "stl10":
        from benchmarks import torch_step

        turns |= torch_step.turns(name, SHAPES[name], _TURN, precisions())
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for take_turn in turns.values():
            for kind, values in take_turn().items():
                times.setdefault(kind, []).extend(values)
    figures: dict[str, Any] = {
        kind: np.percentile(values, [10, 50, 90]).round(2).tolist()
        for kind, values in times.items()
    }
    figures["gflop"] = round(gflop(experiment.build_model(recipes.get(name), dataset(name))), 1)
    return figures


def precisions() -> tuple[str, ...]:
    """float32, and mixed_bfloat16 where `auto` picks it: without its instructions a step takes
    twenty times as long, which is no figure to compare with."""
    return tuple(dict.fromkeys(("float32", precision.resolve("auto"))))


def gflop(model: keras.Model, images: int = 200) -> float:
    """10^9 multiplications and additions in a training step's convolutions and dense layers.

    Forward once; backward the same for the weights and, but for the first layer, the inputs.
    """
    per_image = 0.0
    layers = [x for x in model.network.layers if hasattr(x, "kernel")]
    for i, layer in enumerate(layers):
        places = int(np.prod(layer.output.shape[1:-1]))
        per_image += 2.0 * places * np.prod(layer.kernel.shape) * (2 if i == 0 else 3)
    return images * per_image / 1e9


def dataset(name: str) -> Dataset:
    """Noise in the shape of a data set."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2000, *SHAPES[name]), dtype=np.uint8)
    labels = np.arange(2000) % 10
    return Dataset(name, images, labels, images[:10], labels[:10], tuple("0123456789"))


def through_pipeline(recipe: Recipe, data: Dataset) -> Turn:
    """A recipe's step as it is in training: "step" in all, "wait" for its batch; and "ready",
    on a batch that is already there."""
    recipe = experiment.with_defaults(recipe)
    model = experiment.build_model(recipe, data)
    split = choose_split(data, recipe.sup_per_class)
    batches = experiment.Experiment(recipe, LabeledData(data, split), model).batches()
    train_step = make_train_step(model, batches)
    iterator = iter(batches)
    ready = next(iterator)
    train_step(*ready)

    def turn() -> dict[str, list[float]]:
        times: dict[str, list[float]] = {"step": [], "wait": [], "ready": []}
        _drain(iterator)
        for i in range(_WARM_UP + _TURN):
            started = time.perf_counter()
            batch = next(iterator)
            there = time.perf_counter()
            train_step(*batch)["loss"].numpy()
            if i >= _WARM_UP:
                times["step"].append(1e3 * (time.perf_counter() - started))
                times["wait"].append(1e3 * (there - started))
        for _ in range(_TURN):
            with timed(times["ready"]):
                train_step(*ready)["loss"].numpy()
        return times

    return turn


def _drain(batches: Iterator[Any]) -> None:
    """Take away the batches that are there already."""
    for _ in range(_MOST_AHEAD):
        started = time.perf_counter()
        next(batches)
        if time.perf_counter() - started > _WAITED:
            return


def _ours(name: str, policy: str) -> dict[str, Turn]:
    augmentation = "digits" if name == "mnist" else name
    recipe = recipes.get(name, augmentation=augmentation, precision=policy)
    turn = through_pipeline(recipe, dataset(name))
    kinds = {"step": "", "wait": ", wait", "ready": ", ready"}
    return {
        f"ours {policy}": lambda: {
            f"ours {policy}{kinds[kind]}": values for kind, values in turn().items()
        }
    }


def _matmul(policy: str, size: int = 2048) -> Turn:
    dtype = tf.float32 if policy == "float32" else tf.bfloat16
    x = tf.cast(tf.random.normal([size, size]), dtype)
    product = tf.function(lambda: tf.reduce_sum(tf.cast(tf.matmul(x, x), tf.float32)))
    product()

    def turn() -> dict[str, list[float]]:
        times: list[float] = []
        for _ in range(3):
            with timed(times):
                product().numpy()
        return {f"rate {policy}": [2.0 * size**3 / 1e6 / ms for ms in times]}

    return turn
