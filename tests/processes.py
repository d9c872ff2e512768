"""Runs in processes of their own, which can be killed, without seconds of imports for each."""

import multiprocessing
from pathlib import Path

from semisup.config import Recipe

# The server imports TensorFlow once; a process is then a fork of it.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.processes", "semisup.training.loop"])


def start(function, *arguments):
    """A process that runs a function of a module, prints nothing, and ends with the tests."""
    process = _CONTEXT.Process(target=_quietly, args=(function, *arguments), daemon=True)
    process.start()
    return process


def event():
    """Something that one process sets and another waits for."""
    return _CONTEXT.Event()


def train(recipe: Recipe, logdir: Path, deterministic: bool = False, **options) -> None:
    """What semisup-train does with these settings."""
    import tensorflow as tf

    from semisup.training import loop

    if deterministic:
        tf.config.experimental.enable_op_determinism()
    loop.train(recipe, logdir, **options)


def _quietly(function, *arguments):
    import os
    import sys

    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    function(*arguments)
