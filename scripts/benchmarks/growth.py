"""How a start, a step, an evaluation and memory grow with the data, the classes and the batch.

Each point is measured in a process of its own, so that its peak memory is its own, and kept as
soon as it is known: a run that was cut short goes on where it stopped.
"""

import json
import statistics
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.child import output_of
from benchmarks.timing import peak_mb
from semisup.runs import files
from semisup.runtime.machine import here_and_now

# Rendered digits with a quarter of MNIST's pixels, so that large batches fit into the memory. The
# time depends on no value, so this many different ones are repeated.
SIDE, DIFFERENT = 14, 1_000

# Of each kind of growth, the sizes.
SIZES = {
    "images": (4_000, 32_000, 250_000, 1_000_000),
    "images, streamed": (4_000, 32_000, 250_000, 1_000_000),
    "classes": (10, 50, 200, 1_000),
    "batch": (200, 1_000, 4_000, 16_384),
    "embedding": (32, 128, 1_024, 8_192),
}

MEASURED = {"start": "s", "step": "s", "evaluation": "s", "memory": "MB"}

_STEPS, _MOST_SECONDS = 10, 20.0


class Point(NamedTuple):
    """What is measured: the data, and the settings of the recipe."""

    images: int
    test_images: int
    classes: int
    settings: dict[str, Any]


def point(kind: str, size: int) -> Point:
    """The data and the settings of a size; what does not grow is as in the recipe mnist."""
    if kind.startswith("images"):
        return Point(size, size // 4, 10, {})
    if kind == "classes":
        labeled = {"sup_per_class": 4, "sup_per_batch": 1, "unsup_batch_size": size}
        return Point(max(4_000, 10 * size), 4_000, size, labeled)
    if kind == "batch":
        of_class = size // 20
        labeled = {"sup_per_class": of_class, "sup_per_batch": of_class}
        return Point(2 * size + 4_000, 4_000, 10, {**labeled, "unsup_batch_size": size // 2})
    return Point(4_000, 4_000, 10, {"emb_size": size})


def measure(kept: Path, picture: Path) -> dict[str, Any]:
    """Measure what is not known yet, and draw all.

    Args:
        kept: a JSON file of what is known, which is added to.
        picture: where to draw all that is known.

    Returns:
        For each kind, and each size as text, the seconds of a start (from the file of the images
        to the end of the first step), of a step (median) and of an evaluation, and the megabytes
        by which the process grew at its peak; and where and when it was `measured`.
    """
    figures: dict[str, Any] = files.read_json(kept) if kept.exists() else {}
    for kind, sizes in SIZES.items():
        for size in sizes:
            known = figures.setdefault(kind, {})
            if str(size) not in known:
                known[str(size)] = {**_measured(kind, size), "measured": here_and_now()}
                files.write_json(kept, figures)
            said = [f"{name} {known[str(size)][name]:g} {unit}" for name, unit in MEASURED.items()]
            print(f"{kind:17s}{size:>10,}: {', '.join(said)}", flush=True)
    _draw(figures, picture)
    return figures


def _measured(kind: str, size: int) -> dict[str, float]:
    scripts = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        # Written here, or the memory that this takes would count as the other process's.
        path = Path(folder, "digits.npz")
        _write(path, point(kind, size))
        words = ["-m", "benchmarks.growth", kind, str(size), str(path)]
        output = output_of(f"growth, {kind} {size:,},", words, scripts)
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def _measure_point(kind: str, size: int, path: Path) -> dict[str, float]:
    from semisup.cli.app import load_tensorflow

    load_tensorflow()
    import tensorflow as tf

    from semisup import experiment, recipes
    from semisup.data import lazy_images
    from semisup.evaluation.metrics import evaluate
    from semisup.training.loop import make_train_step

    at = point(kind, size)
    if kind.endswith("streamed"):  # too large for the memory, it says, but for the labels
        lazy_images.memory_for_images = lambda: at.images * SIDE**2 // 2
    tf.constant(0) + 1  # TensorFlow's own memory
    before = peak_mb()
    began = time.perf_counter()
    settings = {"dataset": "npz", "data_dir": str(path), **at.settings}
    setup = experiment.build(recipes.get("mnist", **settings))
    batches = setup.batches()
    train_step = make_train_step(setup.model, batches)
    iterator = iter(batches)
    train_step(*next(iterator))["loss"].numpy()
    start = time.perf_counter() - began
    steps: list[float] = []
    while len(steps) < _STEPS and sum(steps) < _MOST_SECONDS:
        began = time.perf_counter()
        train_step(*next(iterator))["loss"].numpy()
        steps.append(time.perf_counter() - began)
    dataset = setup.data.dataset
    images, labels = dataset.test_images, dataset.test_labels
    evaluate(setup.model, images[:500], labels[:500], dataset.class_names)  # traces it
    began = time.perf_counter()
    evaluate(setup.model, images, labels, dataset.class_names)
    evaluation = time.perf_counter() - began
    values = (start, statistics.median(steps), evaluation, peak_mb() - before)
    return {name: round(value, 4) for name, value in zip(MEASURED, values, strict=True)}


def _write(path: Path, at: Point) -> None:
    """A file of rendered digits, not compressed, so that images can stay in it."""
    arrays: dict[str, Any] = {}
    for seed, (split, count) in enumerate((("train", at.images), ("test", at.test_images))):
        digits = _digits(seed)
        arrays[f"{split}_images"] = np.resize(digits, (count, *digits.shape[1:]))
        arrays[f"{split}_labels"] = np.arange(count) % at.classes
    np.savez(path, **arrays)


@cache
def _digits(seed: int) -> np.ndarray:
    """uint8 [DIFFERENT, SIDE, SIDE, 1], in grey: `semisup.data.sources.synth_digits`."""
    from PIL import Image

    from semisup.data.sources.synth_digits import render

    images, _ = render(DIFFERENT, seed)
    small = [Image.fromarray(image).convert("L").resize((SIDE, SIDE)) for image in images]
    return np.stack([np.asarray(image) for image in small])[..., None]


def _draw(figures: dict[str, Any], path: Path) -> None:
    """One panel for each kind, logarithmic both ways; in grey what grows as the size does."""
    # Here, so that the processes that measure their memory do without them.
    import curve_style
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    with matplotlib.rc_context(curve_style.CURVES):
        panels = figure.subplots(2, 3, sharey=True).ravel()  # the last one has the legend
    for axes, (kind, points) in zip(panels[: len(figures)], figures.items(), strict=True):
        sizes = [int(size) for size in points]
        for name, unit in MEASURED.items():
            scale = 1e-3 if unit == "MB" else 1.0
            values = [max(found[name] * scale, 1e-3) for found in points.values()]
            label = f"{name}, {'GB' if unit == 'MB' else unit}"
            axes.loglog(sizes, values, label=label, ms=4)
        for shift in 10.0 ** np.arange(-9, 3):
            slope = [shift * size for size in sizes]
            axes.loglog(sizes, slope, ":", marker="", color="grey", lw=0.6)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=20)
        axes.set(title=kind, ylim=(5e-3, 100))
        axes.minorticks_off()
    panels[0].set_ylabel("seconds; gigabytes")
    panels[3].set_ylabel("seconds; gigabytes")
    panels[-1].axis("off")
    panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="center")
    curve_style.save(figure, path)


if __name__ == "__main__":
    print(json.dumps(_measure_point(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
