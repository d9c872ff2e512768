"""Images a second: evaluating, against the forward pass of training; classifying files."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks import steps
from benchmarks.child import output_of
from semisup import experiment, recipes
from semisup.data.image_io import read_images
from semisup.evaluation.metrics import predict

_FILES = 10_000


def measure(repeats: int = 3) -> dict[str, Any]:
    """Medians: the network of the recipe mnist5k on 28x28 digits, in the precision `auto` picks."""
    recipe = recipes.get("mnist5k", precision=steps.precisions()[-1])
    model = experiment.build_model(recipe, steps.dataset("mnist"))
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (_FILES // 2, *steps.SHAPES["mnist"]), dtype=np.uint8)
    forward = tf.function(lambda batch: model(batch, training=True), autograph=False)
    batches = [tf.constant(images[i : i + 200]) for i in range(0, len(images), 200)]
    rates: dict[str, list[float]] = {"training, forward": [], "evaluation": []}
    forward(batches[0])
    predict(model, images[:500])
    for _ in range(repeats):
        started = time.perf_counter()
        for batch in batches:
            outputs = forward(batch)
        outputs["logits"].numpy()
        rates["training, forward"].append(len(images) / (time.perf_counter() - started))
        started = time.perf_counter()
        predict(model, images)
        rates["evaluation"].append(len(images) / (time.perf_counter() - started))
    figures = {name: round(float(np.median(values))) for name, values in rates.items()}
    return {**figures, **_files(random)}


def _files(random: np.random.Generator) -> dict[str, float]:
    """Seconds to decode 10,000 small files, and of `semisup-predict` on one and on all of them."""
    with tempfile.TemporaryDirectory() as folder:
        run, files = Path(folder, "run"), Path(folder, "files")
        files.mkdir()
        for i in range(_FILES):
            pixels = random.integers(0, 256, (28, 28), dtype=np.uint8)
            Image.fromarray(pixels).save(files / f"{i:05d}.png")
        _run("train", f"--logdir={run}", "--max_steps=1")
        seconds = {}
        for name, words in (("one file", [files / "00000.png"]), ("all", [files])):
            started = time.perf_counter()
            _run("predict", f"--logdir={run}", f"--out={folder}/out.csv", *map(str, words))
            seconds[f"predict {name}, s"] = time.perf_counter() - started
        started = time.perf_counter()
        read_images(sorted(files.iterdir()))
        seconds["decoding, s"] = time.perf_counter() - started
    return {name: round(value, 1) for name, value in seconds.items()}


def _run(program: str, *words: str) -> None:
    output_of(f"inference, semisup-{program},", ["-m", f"semisup.{program}", *words])
