"""Seconds from a command to --help, to the first training step, to a result; peak memory."""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child import output_of

# semisup-train, but for a line on standard output when the first step has ended.
_FIRST_STEP = """
import os, time
from semisup import train
load = train.load_tensorflow
def load_and_mark():
    load()  # as the program does: Keras without what it can do without
    from semisup.training import loop
    make = loop.make_train_step
    def marked(*arguments):
        train_step = make(*arguments)
        class Marked:
            def __call__(self, *batch):
                logs = train_step(*batch)
                logs["loss"].numpy()
                print("first step", time.time(), flush=True)
                os._exit(0)
            def get_concrete_function(self):
                return train_step.get_concrete_function()
        return Marked()
    loop.make_train_step = marked
train.load_tensorflow = load_and_mark
train.console_main()
"""


# Not the peak that the system tells of a child, which begins with that of its parent.
_PEAK = """
from pathlib import Path
from semisup import train
try:
    train.console_main()
finally:
    status = Path("/proc/self/status").read_text()
    print("peak", status.partition("VmHWM:")[2].split()[0])
"""


def measure(repeats: int = 5) -> dict[str, Any]:
    """Medians, with the machine's disk cache warm."""
    help_seconds, first_seconds = [], []
    for _ in range(repeats):
        started = time.time()
        output_of("startup", ["-m", "semisup.train", "--help"])
        help_seconds.append(time.time() - started)
        with tempfile.TemporaryDirectory() as logdir:
            started = time.time()
            output = output_of("startup", ["-c", _FIRST_STEP, f"--logdir={logdir}/run"])
        line = next(line for line in output.splitlines() if line.startswith("first step"))
        first_seconds.append(float(line.split()[-1]) - started)
    with tempfile.TemporaryDirectory() as logdir:
        output = output_of("startup", ["-c", _PEAK, "--max_steps=20", f"--logdir={logdir}/run"])
    line = next(line for line in output.splitlines() if line.startswith("peak"))
    return {
        "help_seconds": round(float(np.median(help_seconds)), 2),
        "first_step_seconds": round(float(np.median(first_seconds)), 2),
        "peak_memory_mb": int(line.split()[-1]) // 1024,
    }


def photos(data_dir: str, backbone: str, repeats: int = 3) -> dict[str, Any]:
    """Seconds of `--recipe=photos` on STL-10 with its features in the cache, to the last line.

    Args:
        data_dir: STL-10's.
        backbone: a saved network, the file's name ends in .keras.
        repeats: runs of which the median is taken, after one that fills the cache.
    """
    seconds, train_seconds = [], []
    for number in range(repeats + 1):
        with tempfile.TemporaryDirectory() as logdir:
            words = ["-m", "semisup.train", "--recipe=photos", "--dataset=stl10"]
            words += ["--sup_per_class=4", f"--data_dir={data_dir}", f"--architecture={backbone}"]
            started = time.time()
            output_of("photos", [*words, f"--logdir={logdir}/run"])
            if number > 0:
                seconds.append(time.time() - started)
                result = json.loads(Path(f"{logdir}/run/result.json").read_text(encoding="utf-8"))
                train_seconds.append(result["train_seconds"])
    return {
        "photos_seconds": round(float(np.median(seconds)), 1),
        "photos_train_seconds": round(float(np.median(train_seconds)), 1),
    }
