"""How fast semisup is on this machine: one command, one table, all comparisons in turn.

    .venv/bin/python scripts/benchmark.py       all but photos and accuracy; 20 minutes
    .venv/bin/python scripts/benchmark.py --parts=steps --cases=mnist
    .venv/bin/python scripts/benchmark.py --parts=accuracy --data_dir=MNIST      1.5 hours

Parts:
    steps         milliseconds of a training step in each precision, through the real
                  pipeline; written naively; in PyTorch, if it is installed; the machine's
                  matrix products, and the step that they would allow; waiting for input
    association   seconds and memory of the losses over N and M, with matrices and in blocks
    startup       seconds to --help and to the first training step; peak memory
    inference     images a second of an evaluation, and of semisup-predict on 10,000 files
    heads         500 steps of a dense layer on cached features
    photos        seconds of --recipe=photos on STL-10 whose features are in the cache; needs
                  --data_dir=STL10 --backbone=PATH.keras
    checkpoints   what a checkpoint every 500 steps costs
    growth        a start, a step, an evaluation and memory, over the number of images, classes,
                  rows of a batch and dimensions; what --out has measured already is kept
    accuracy      training seconds until an error on MNIST is reached

Run nothing else beside it. Medians; in brackets the 10th and 90th percentile.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from semisup.cli.app import load_tensorflow, run_main
from semisup.data import registry
from semisup.errors import InputError
from semisup.runtime.machine import here_and_now
from semisup.runtime.paths import expanded

PARTS = (
    "steps",
    "association",
    "startup",
    "inference",
    "heads",
    "checkpoints",
    "growth",
    "photos",
    "accuracy",
)
_NEED_FILES = ("photos", "accuracy")

_PARTS = flags.DEFINE_list(
    "parts",
    [part for part in PARTS if part not in _NEED_FILES],
    f"what to measure: any of {', '.join(PARTS)}",
)
_CASES = flags.DEFINE_list("cases", ["mnist", "svhn", "stl10"], "networks for the part steps")
_ROUNDS = flags.DEFINE_integer(
    "rounds", 6, "number of rounds; each measures all variants in turn", lower_bound=1
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "number of seeds for the part accuracy", lower_bound=1)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "MNIST's files, for the part accuracy; STL-10's, for the part photos; or a folder with both, "
    "mnist and stl10",
)
_BACKBONE = flags.DEFINE_string("backbone", None, "a saved network, for the part photos")
_OUT = flags.DEFINE_string("out", "runs/benchmark", "folder for benchmark.json, pictures and runs")


def main() -> None:
    _check_names("parts", _PARTS.value, PARTS)
    _check_names("cases", _CASES.value, ("mnist", "svhn", "stl10"))
    if "accuracy" in _PARTS.value and not _DATA_DIR.value:
        raise InputError("the part accuracy needs --data_dir, the folder of MNIST's files")
    if "photos" in _PARTS.value and not (_DATA_DIR.value and _BACKBONE.value):
        raise InputError("the part photos needs --data_dir, STL-10's files, and --backbone")
    for part, name in (("accuracy", "mnist"), ("photos", "stl10")):
        if part in _PARTS.value and not Path(_place_of(name)).exists():
            raise InputError(f"the part {part} finds no {_place_of(name)}, of --data_dir")
    out = expanded(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    load_tensorflow()
    from semisup.runs.files import read_json, write_json

    path = out / "benchmark.json"
    figures: dict[str, Any] = read_json(path) if path.exists() else {}
    for part in _PARTS.value:
        print(f"\n{part}", flush=True)
        # Parts may be of other days and machines, and so may cases and points, of which each says
        # when it was measured.
        measured = {} if part in ("steps", "growth") else {"measured": here_and_now()}
        before = figures.get(part, {}) if part == "steps" else {}
        figures[part] = {**before, **measured, **_measure(part, out)}
        write_json(path, figures)
    print(f"\nall figures: {path}")


def _measure(part: str, out: Path) -> dict[str, Any]:
    """The figures of a part, which are also printed."""
    from benchmarks import growth, heads, inference, saving, startup

    told: dict[str, Callable[[], dict[str, Any]]] = {
        "steps": _steps,
        "association": lambda: _association(out),
        "growth": lambda: growth.measure(out / "growth.json", out / "growth.png"),
        "accuracy": lambda: _accuracy(out),
    }
    if part in told:
        return told[part]()
    figures = {
        "startup": startup.measure,
        "inference": inference.measure,
        "heads": heads.measure,
        "checkpoints": saving.measure,
        "photos": lambda: startup.photos(_place_of("stl10"), str(_BACKBONE.value)),
    }[part]()
    print(", ".join(f"{name}: {value}" for name, value in figures.items()))
    return figures


def _steps() -> dict[str, Any]:
    from importlib.util import find_spec

    from benchmarks import steps

    figures = {}
    for case in _CASES.value:
        found = steps.measure(case, _ROUNDS.value, with_torch=find_spec("torch") is not None)
        figures[case] = {**found, "measured": here_and_now()}
        print(f"\n{case}: a step is {found['gflop']} GFLOP")
        for kind, value in found.items():
            if kind == "gflop":
                continue
            low, middle, high = value
            unit = "GFLOP/s" if kind.startswith("rate") else "ms"
            print(f"  {kind:38s}{middle:8.1f} {unit} ({low:.1f}-{high:.1f})")
        for precision in steps.precisions():
            minimum = found["gflop"] / found[f"rate {precision}"][1] * 1e3
            step, wait = (found[f"ours {precision}{end}"][1] for end in ("", ", wait"))
            print(
                f"  {precision}: minimum {minimum:.0f} ms, ours {step / minimum:.2f} times that, "
                f"waiting for input {100 * wait / step:.1f} %"
            )
        ours = min(found[f"ours {precision}"][1] for precision in steps.precisions())
        others = {k: v[1] for k, v in found.items() if k.startswith(("naive", "torch"))}
        for kind, value in others.items():
            print(f"  {kind}: {value / ours:.2f} times our faster step")
    return figures


def _association(out: Path) -> dict[str, Any]:
    from benchmarks import scaling

    figures = scaling.measure(out / "association_scaling.png")
    figures["ms_100_by_100"] = round(scaling.small_losses_ms(), 3)
    largest = max(figures["matrices"])
    plain, blocks = (figures[kind][largest] for kind in ("matrices", "blocks"))
    print(
        f"at {largest}: {plain['seconds'] / blocks['seconds']:.1f} times faster in blocks, "
        f"{plain['mb'] / max(blocks['mb'], 1):.1f} times less memory"
    )
    print(f"100 by 100, losses and gradients: {figures['ms_100_by_100']} ms")
    return figures


def _accuracy(out: Path) -> dict[str, Any]:
    from benchmarks import accuracy

    figures = accuracy.measure(Path(_place_of("mnist")), out, _SEEDS.value, _ROUNDS.value)
    for name, seconds in figures["seconds_to"].items():
        ms = figures["step_ms"][name]
        print(f"{name}: {ms} ms a step; seconds to an error of {seconds}")
    return figures


def _place_of(dataset: str) -> str:
    """The files of a data set: --data_dir, or what lies in it under the set's name."""
    return registry.place_of(dataset, _DATA_DIR.value) or ""  # main refuses parts without it


def _check_names(flag: str, given: list[str], known: tuple[str, ...]) -> None:
    if not given:
        raise InputError(f"--{flag} is empty; known: {', '.join(known)}")
    if unknown := sorted(set(given) - set(known)):
        raise InputError(f"--{flag}: unknown {', '.join(unknown)}; known: {', '.join(known)}")


if __name__ == "__main__":
    run_main(main, __doc__)
