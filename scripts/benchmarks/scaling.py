"""Association losses over the number of samples: with matrices, and in blocks of B.

Each size runs in a process of its own, so that its peak memory is its own.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import curve_style
import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from benchmarks.child import output_of
from benchmarks.timing import memory_mb, peak_mb, timed
from semisup.losses import association, blockwise

SIZES = {"matrices": (1024, 2048, 4096, 8192), "blocks": (1024, 2048, 4096, 8192, 16384, 32768)}

# Embeddings have so many dimensions, and each class so many labelled samples: with more samples
# come more classes, 1,024 of them at 8,192 samples.
DIMENSIONS, PER_CLASS = 128, 8


def measure(picture: Path) -> dict[str, Any]:
    """Seconds (median of 3) and extra megabytes at the peak, for each size.

    Args:
        picture: where to draw them.
    """
    figures: dict[str, Any] = {kind: {} for kind in SIZES}
    # From small to large and both kinds in turn.
    for size in SIZES["blocks"]:
        for kind, block_size in (("matrices", 0), ("blocks", blockwise.BLOCK_SIZE)):
            if size in SIZES[kind]:
                words = ["-m", "benchmarks.scaling", str(size), str(block_size)]
                what = f"association, {kind} of {size:,},"
                output = output_of(what, words, Path(__file__).parents[1])
                seconds, megabytes = json.loads(output.splitlines()[-1])
                figures[kind][size] = {"seconds": round(seconds, 4), "mb": round(megabytes)}
                print(f"{size:>6} {kind:9} {seconds:8.3f} s {megabytes:7.0f} MB", flush=True)
    _draw(figures, picture)
    return figures


def small_losses_ms() -> float:
    """Milliseconds of the losses and their gradients for 100 by 100 samples, median of 200."""
    gradients, data = _gradients(None), _inputs(100, 10)
    gradients(*data)
    times: list[float] = []
    for _ in range(200):
        with timed(times):
            gradients(*data)[0].numpy()
    return statistics.median(times)


def _measure_one(size: int, block_size: int) -> tuple[float, float]:
    """Seconds and extra megabytes of one size, in this process."""
    gradients = _gradients(block_size)
    gradients(*_inputs(64, 64 // PER_CLASS))
    data, times = _inputs(size, size // PER_CLASS), list[float]()
    before = memory_mb()  # the peak is perhaps that of making the data
    for _ in range(3):
        with timed(times):
            gradients(*data)[0].numpy()
    return statistics.median(times) / 1e3, peak_mb() - before


def _gradients(block_size: int | None) -> Any:
    """A function of (A, B, labels): the gradients of walker and visit loss, as a graph."""
    rows = tf.TensorSpec([None, DIMENSIONS])

    @tf.function(input_signature=[rows, rows, tf.TensorSpec([None], tf.int64)])
    def gradients(A: tf.Tensor, B: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([A, B])
            losses = association.association_losses(A, B, labels, block_size=block_size)
            loss = losses.walker + losses.visit
        return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, [A, B])]

    return gradients


def _inputs(size: int, classes: int) -> tuple[Any, Any, Any]:
    random, shape = np.random.default_rng(0), (size, DIMENSIONS)
    A, B = (0.3 * tf.constant(random.standard_normal(shape, np.float32)) for _ in "AB")
    return A, B, tf.constant(np.arange(size) % classes)


@matplotlib.rc_context(curve_style.CURVES)
def _draw(figures: dict[str, Any], path: Path) -> None:
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for kind in ("matrices", "blocks"):
        sizes = list(figures[kind])
        for axes, quantity in ((left, "seconds"), (right, "mb")):
            values = [max(figures[kind][size][quantity], 1e-3) for size in sizes]
            axes.loglog(sizes, values, label=kind)
    for axes, label, power in ((left, "seconds, losses and gradients", 2), (right, "MB more", 1)):
        sizes = list(figures["blocks"])
        quantity = "seconds" if power == 2 else "mb"
        end = figures["blocks"][sizes[-1]][quantity]
        slope = [end * (size / sizes[-1]) ** power for size in sizes]
        name = "N times M" if power == 2 else "N + M"
        axes.loglog(sizes, slope, ":", marker="", color="grey", label=f"grows as {name}")
        axes.set(xlabel="N = M", ylabel=label)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=8)
        axes.minorticks_off()
        axes.legend()
    figure.suptitle(f"Association losses, {DIMENSIONS} dimensions, N / {PER_CLASS} classes")
    curve_style.save(figure, path)


if __name__ == "__main__":
    print(json.dumps(_measure_one(int(sys.argv[1]), int(sys.argv[2]))))
