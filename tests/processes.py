"""Functions and programs in processes of their own, without seconds of imports for each."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

from semisup.cli.app import load_tensorflow
from semisup.config import Recipe

# The server imports TensorFlow once; a process is then a fork of it.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.processes", "semisup.training.loop"])

# What the processes print; gone when the tests end.
_LOGS = tempfile.TemporaryDirectory()

# Seconds after which a process hangs: without an exit code it fails its test.
_PATIENCE = 1800

# Python for the top of a program: the most memory that it has had, in kilobytes.
_PEAK = """
from pathlib import Path
def peak():
    # Not getrusage, whose peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])
"""

# Batches of images that stay in their files; each has pixels of one value.
_BATCHES = """
from semisup.data import lazy_images
from semisup.data.pipeline import association_batches
from {module} import {load}
lazy_images.memory_for_images = lambda: 2000
before = peak()
dataset = {load}(Path({place!r}))
for images, _ in association_batches(
    dataset.train_images, dataset.train_labels, dataset.unlabeled_images, sup_per_batch=1,
    unsup_batch_size=20,
).take(100):
    assert images.shape == (22, 384, 256, 3)
    assert (images == images[:, :1, :1, :1]).numpy().all()
print(peak() - before)
"""


def kilobytes_of(script: str) -> int:
    """What a Python program prints at its end, such as `peak() - before`."""
    result = subprocess.run([sys.executable, "-c", _PEAK + script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return int(result.stdout.splitlines()[-1])  # after lines of progress, on a slow machine


def kilobytes_of_batches(module: str, load: str, place: Path) -> int:
    """Memory for a data set of two classes and for a hundred batches of it.

    Args:
        module, load: the function that loads it.
        place: its file or folder of RGB images of 256x384 pixels, each of one grey.
    """
    return kilobytes_of(_BATCHES.format(module=module, load=load, place=str(place)))


def start(function, *arguments):
    """A process that runs a function of a module and ends with the tests; see `said`."""
    descriptor, log = tempfile.mkstemp(dir=_LOGS.name)
    os.close(descriptor)
    process = _CONTEXT.Process(target=_logged, args=(log, function, *arguments), daemon=True)
    process.start()
    join = process.join
    process.join = lambda seconds=_PATIENCE: join(seconds)
    process.log = Path(log)
    return process


def said(process) -> str:
    """What a started process has printed."""
    return process.log.read_text(errors="replace")


def event():
    """Something that one process sets and another waits for."""
    return _CONTEXT.Event()


def train(recipe: Recipe, logdir: Path, deterministic: bool = False, **options) -> None:
    """What semisup-train does with these settings."""
    import tensorflow as tf

    from semisup.training import evaluator, loop

    evaluator._draw = lambda *arguments: None  # as the fixture `without_pictures`
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    loop.train(recipe, logdir, **options)


def train_held(recipe: Recipe, logdir: Path, step: int, held, go, **options) -> None:
    """`train`, but before it saves this step it sets `held`, and waits for `go`.

    Whoever kills it or sends it a signal in between can be sure that it has not ended.
    """
    from semisup.runs import checkpoints

    save = checkpoints.save

    def hold_and_save(run, now, *arguments, **state):
        if now == step:
            held.set()
            go.wait()
        return save(run, now, *arguments, **state)

    checkpoints.save = hold_and_save
    train(recipe, logdir, **options)


def run(program: str, *arguments, cwd=None) -> subprocess.CompletedProcess[str]:
    """`python -m semisup.PROGRAM ARGUMENTS`, to its end.

    All of it but the start of Python and its imports, which tests of closed streams, signals
    and --help take from a new process.
    """
    words = [str(word) for word in arguments]
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder, "out"), Path(folder, "errors")
        place = str(cwd or Path.cwd())
        process = _CONTEXT.Process(
            target=_run, args=(program, words, place, dict(os.environ), out, errors)
        )
        process.start()
        process.join(_PATIENCE)
        if process.exitcode is None:
            process.kill()
        return subprocess.CompletedProcess(
            [program, *words], process.exitcode, out.read_text(), errors.read_text()
        )


def _run(program, words, cwd, environment, out, errors):
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    load_tensorflow()  # what it notes of the machine, it notes before anybody listens
    for descriptor, path in ((1, out), (2, errors)):
        _redirect(descriptor, path)
    sys.argv[1:] = words
    runpy.run_module(f"semisup.{program}", run_name="__main__", alter_sys=True)


def _logged(log, function, *arguments):
    for descriptor in (1, 2):
        _redirect(descriptor, log)
    function(*arguments)


def _redirect(descriptor, path):
    """Let what is written to a standard stream, in Python or below, go to the end of a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, descriptor)
    os.close(file)
