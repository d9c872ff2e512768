"""Association losses over the number of samples: with matrices, and in blocks of B.

Each size runs in a process of its own, so that its peak memory is its own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
from curve_style import CURVES
from matplotlib.figure import Figure

SIZES = {"matrices": (1024, 2048, 4096, 8192), "blocks": (1024, 2048, 4096, 8192, 16384, 32768)}

# Embeddings have so many dimensions, and each class so many labelled samples: with more samples
# come more classes, 1,024 of them at 8,192 samples.
DIMENSIONS, PER_CLASS = 128, 8

_SCRIPT = """
import json, statistics, sys, time
from pathlib import Path
import numpy as np, tensorflow as tf
from semisup.losses import association
size, block_size = map(int, sys.argv[1:])
def peak():
    # Not getrusage, whose peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

random = np.random.default_rng(0)
spec = tf.TensorSpec([None, {D}])

@tf.function(input_signature=[spec, spec, tf.TensorSpec([None], tf.int64)])
def gradients(A, B, labels):
    with tf.GradientTape() as tape:
        tape.watch([A, B])
        losses = association.association_losses(A, B, labels, block_size=block_size)
        loss = losses.walker + losses.visit
    return [tf.convert_to_tensor(g) for g in tape.gradient(loss, [A, B])]

def inputs(n):
    A, B = (tf.constant(random.normal(0, 0.3, (n, {D})), tf.float32) for _ in "AB")
    return A, B, tf.constant(np.arange(n) % (n // {C}))

gradients(*inputs(64))
data = inputs(size)
before = peak()
times = []
for _ in range(3):
    started = time.perf_counter()
    gradients(*data)[0].numpy()
    times.append(time.perf_counter() - started)
print(json.dumps([statistics.median(times), peak() - before]))
""".replace("{D}", str(DIMENSIONS)).replace("{C}", str(PER_CLASS))


def measure(picture: Path | None) -> dict[str, Any]:
    """Seconds (median of 3) and extra megabytes at the peak, for each size.

    Args:
        picture: where to draw them; None for nowhere.
    """
    from semisup.losses.association import BLOCK_SIZE

    figures: dict[str, Any] = {kind: {} for kind in SIZES}
    # From small to large and both kinds in turn.
    for size in SIZES["blocks"]:
        for kind, block_size in (("matrices", 0), ("blocks", BLOCK_SIZE)):
            if size in SIZES[kind]:
                command = [sys.executable, "-c", _SCRIPT, str(size), str(block_size)]
                result = subprocess.run(command, capture_output=True, text=True, check=True)
                seconds, megabytes = json.loads(result.stdout.splitlines()[-1])
                figures[kind][size] = {"seconds": round(seconds, 4), "mb": round(megabytes)}
                print(f"{size:>6} {kind:9} {seconds:8.3f} s {megabytes:7.0f} MB", flush=True)
    if picture:
        _draw(figures, picture)
    return figures


def small_losses_ms(repeats: int = 200) -> float:
    """Milliseconds of the losses and their gradients for 100 by 100 samples, median."""
    import numpy as np
    import tensorflow as tf

    from benchmarks.timing import timed
    from semisup.losses import association

    random = np.random.default_rng(0)
    A, B = (tf.constant(random.normal(0, 0.3, (100, DIMENSIONS)), tf.float32) for _ in "AB")
    labels = tf.constant(np.arange(100) % 10)

    @tf.function
    def gradients(A, B):
        with tf.GradientTape() as tape:
            tape.watch([A, B])
            losses = association.association_losses(A, B, labels)
            loss = losses.walker + losses.visit
        return tape.gradient(loss, [A, B]), losses

    gradients(A, B)
    times: list[float] = []
    for _ in range(repeats):
        with timed(times):
            gradients(A, B)[0][0].numpy()
    return float(np.median(times))


@matplotlib.rc_context(CURVES)
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
    figure.savefig(path)
