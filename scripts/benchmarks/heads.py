"""A dense layer on cached features, as `--recipe=photos` trains it: seconds of 500 steps."""

import collections
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semisup import experiment, recipes
from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData
from semisup.data.lazy_images import with_features
from semisup.data.pipeline import association_batches
from semisup.data.splits import choose_split
from semisup.models import backbones
from semisup.training.loop import make_train_step

_STEPS, _FEATURES, _IMAGES = 500, 1280, 6000


def measure(repeats: int = 3) -> dict[str, float]:
    """Medians, 100 labelled and 200 unlabelled rows in a step, 4 labels a class, float32.

    Returns:
        Seconds of 500 steps through our loop's step, of these on one batch that is there, of
        the batches alone, and through `fit`; "dropout" for the recipe's dropout of 0.2.
    """
    random = np.random.default_rng(0)
    features = random.normal(size=(_IMAGES, _FEATURES)).astype(np.float32)
    turns: dict[str, Callable[[], Any]] = {}
    for name, dropout in (("", 0.0), ("dropout ", 0.2)):
        setup = _experiment(features, dropout)
        turns |= {f"{name}{kind}": turn for kind, turn in _turns(setup, features).items()}
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(repeats):
        for name, turn in turns.items():
            started = time.perf_counter()
            turn()
            seconds[name].append(time.perf_counter() - started)
    return {name: round(float(np.median(values)), 2) for name, values in seconds.items()}


def _experiment(features: np.ndarray, dropout: float) -> experiment.Experiment:
    """The recipe's model on these features; the images behind them are never looked at."""
    images = with_features(np.zeros((_IMAGES, 8, 8, 3), np.uint8), features)
    labels = np.arange(_IMAGES) % 10
    dataset = Dataset("features", images, labels, images[:10], labels[:10], tuple("0123456789"))
    with tempfile.TemporaryDirectory() as folder:
        network = [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(_FEATURES, 8),
            keras.layers.Flatten(),
        ]
        path = Path(folder) / "backbone.keras"
        keras.Sequential(network).save(path)
        backbone = backbones.build(str(path), dataset.image_shape, 128, dropout=dropout)
    recipe = recipes.get(
        "photos",
        architecture=str(path),
        precision="float32",
        dropout=dropout,
        sup_per_class=4,
        sup_per_batch=10,
        unsup_batch_size=200,
    )
    recipe = experiment.with_defaults(recipe)
    model = experiment.build_model(recipe, dataset, backbone)
    split = choose_split(dataset, recipe.sup_per_class)
    return experiment.Experiment(recipe, LabeledData(dataset, split), model, backbone)


def _turns(setup: experiment.Experiment, features: np.ndarray) -> dict[str, Callable[[], Any]]:
    batches = setup.batches()
    train_step = make_train_step(setup.model, batches)
    iterator = iter(batches)
    ready = next(iterator)
    train_step(*ready)
    labeled = setup.data.split.labeled
    for_fit = association_batches(
        features[labeled], setup.data.labeled_labels, features, unsup_batch_size=200
    )
    fitted = experiment.build_model(setup.recipe, setup.data.dataset, setup.backbone)
    fitted.fit(for_fit, steps_per_epoch=1, verbose=0)

    def steps(next_batch: Callable[[], Any]) -> None:
        for _ in range(_STEPS):
            logs = train_step(*next_batch())
        logs["loss"].numpy()

    return {
        "steps": lambda: steps(lambda: next(iterator)),
        "steps on one batch": lambda: steps(lambda: ready),
        "batches": lambda: collections.deque((next(iterator) for _ in range(_STEPS)), maxlen=0),
        "fit": lambda: fitted.fit(for_fit, steps_per_epoch=_STEPS, verbose=0),
    }
