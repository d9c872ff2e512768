"""How fast a training step is, and whether it ever waits for its images.

    .venv/bin/python scripts/benchmark.py [--steps=40] [--cases=mnist,svhn,stl10] [--out=FILE.json]

For each network, with 100 labelled and 100 unlabelled images of its size and the
augmentation that its recipe has, through our own pipeline and training step:

    step    milliseconds from one batch to the next, as in training
    wait    of these, milliseconds in which the step waited for its batch
    alone   milliseconds of a step on a batch that is already there

Medians, and the 10th and 90th percentile; the two kinds of step take turns, ten by ten. The
first batches of each ten were made while the step had others, and don't count. Run nothing else.
"""

import platform
import time
from pathlib import Path

from absl import flags

from semisup import recipes
from semisup.console import load_tensorflow, run_main
from semisup.errors import InputError

# Steps of one kind before the other has its turn; batches that may wait ready by then.
_BLOCK, _PREFETCHED = 10, 4

_STEPS = flags.DEFINE_integer("steps", 40, "steps of each kind and case", lower_bound=_BLOCK)
_CASES = flags.DEFINE_list("cases", ["mnist", "svhn", "stl10"], "mnist, svhn, stl10")
_OUT = flags.DEFINE_string("out", None, "also write the figures to this JSON file")

# The recipe whose network, augmentation and batch sizes are measured, and its image size.
_SHAPES = {"mnist": (28, 28, 1), "svhn": (32, 32, 3), "stl10": (96, 96, 3)}


def main() -> None:
    unknown = set(_CASES.value) - _SHAPES.keys()
    if unknown:
        raise InputError(f"unknown cases {sorted(unknown)}; known: {', '.join(_SHAPES)}")
    load_tensorflow()
    figures = {name: measure(name, _STEPS.value) for name in _CASES.value}
    heads = ("step ms (10-90 %)", "alone ms (10-90 %)")
    print("case    " + "".join(head.rjust(26) for head in heads) + "  wait ms    wait")
    for name, figure in figures.items():
        step, alone, wait = (figure[key] for key in ("step_ms", "alone_ms", "wait_ms"))
        spread = [f"{f[1]:.1f} ({f[0]:.1f}-{f[2]:.1f})" for f in (step, alone)]
        share = 100 * wait[1] / step[1]
        print(f"{name:8s}{spread[0]:>26s}{spread[1]:>26s}{wait[1]:>9.2f}{share:>7.1f}%")
    if _OUT.value:
        from semisup.runs import write_json

        machine = {"processor": platform.processor(), "python": platform.python_version()}
        write_json(Path(_OUT.value), {"machine": machine, "cases": figures})


def measure(name: str, steps: int) -> dict[str, list[float]]:
    """10th, 50th and 90th percentile of the milliseconds of each kind of step."""
    import numpy as np

    from semisup import experiment
    from semisup.data.dataset import Dataset
    from semisup.data.splits import choose_split
    from semisup.training import make_train_step

    recipe = recipes.get(name, augmentation="digits" if name == "mnist" else name)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2000, *_SHAPES[name]), dtype=np.uint8)
    labels = np.arange(2000) % 10
    dataset = Dataset(name, images, labels, images[:10], labels[:10], tuple("0123456789"))
    model = experiment.build_model(recipe, dataset)
    split = choose_split(dataset, recipe.sup_per_class)
    batches = experiment.Experiment(recipe, dataset, split, model).batches()
    train_step = make_train_step(model, batches.element_spec)
    iterator = iter(batches)
    ready = next(iterator)
    for _ in range(3):
        train_step(*next(iterator))
    times: dict[str, list[float]] = {"step_ms": [], "wait_ms": [], "alone_ms": []}
    for _ in range(steps // _BLOCK):
        for i in range(_BLOCK):
            started = time.perf_counter()
            batch = next(iterator)
            there = time.perf_counter()
            _finish(train_step(*batch))
            if i >= _PREFETCHED:
                times["step_ms"].append(1e3 * (time.perf_counter() - started))
                times["wait_ms"].append(1e3 * (there - started))
        for _ in range(_BLOCK):
            started = time.perf_counter()
            _finish(train_step(*ready))
            times["alone_ms"].append(1e3 * (time.perf_counter() - started))
    return {kind: np.percentile(values, [10, 50, 90]).tolist() for kind, values in times.items()}


def _finish(logs: dict) -> None:
    logs["loss"].numpy()


if __name__ == "__main__":
    run_main(main, __doc__)
