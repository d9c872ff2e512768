"""Train an image classifier from few labels and many unlabelled images.

    semisup-train                                     5,000 real digits, 100 labels, no download
    semisup-train --recipe=mnist --data_dir=DIR       all of MNIST
    semisup-train --recipe=photos --data_dir=DIR      photographs of your own
    semisup-train --helpfull                          every flag

Ends with the test error; with --compare, with a table of errors. The run's folder (--logdir) holds
all else; look at it with `tensorboard --logdir=DIR`, evaluate it again with `semisup-eval
--logdir=DIR`.
"""

import os
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags

from semisup import recipes
from semisup.cli import authors
from semisup.cli.app import load_tensorflow, refuse_empty, run_main
from semisup.cli.flags import define_recipe_flags, name_of_run, recipe_from_flags
from semisup.config import Recipe
from semisup.errors import InputError
from semisup.runtime import signals
from semisup.runtime.paths import expanded

_LOGDIR = flags.DEFINE_string(
    "logdir", None, "the run's folder; by default a new one in runs/. A run in it is resumed"
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "remove the run in --logdir, and start again")
_SAVE_INTERVAL = flags.DEFINE_integer(
    "save_interval",
    None,
    "steps between checkpoints; by default one at each evaluation",
    lower_bound=1,
)
_DETERMINISTIC = flags.DEFINE_bool(
    "deterministic",
    False,
    "use only deterministic operations, which may be slower: the same command then gives the same "
    "weights, bit for bit, on the same machine; otherwise the last bits may differ, above all on a "
    "GPU",
)
_COMPARE = flags.DEFINE_bool(
    "compare",
    False,
    "also train with labels only (with Adam), on the same split with the same network and seeds, "
    "and print both errors, to see whether association helps",
)
_SEEDS = flags.DEFINE_integer(
    "seeds",
    1,
    "with --compare: number of seeds; each is trained with labels only and with association",
    lower_bound=1,
)
_STRATEGY = flags.DEFINE_enum(
    "strategy",
    "none",
    ("none", "mirrored", "multi_worker"),
    "the devices that share each batch: none (one device), mirrored (all GPUs of this machine) or "
    "multi_worker (of all machines in the environment variable TF_CONFIG)",
)

# What --help explains; --helpfull explains all.
_FIRST_FLAGS = (
    *("recipe", "data_dir", "logdir", "dataset", "sup_per_class", "architecture", "augmentation"),
    *("max_steps", "seed", "compare"),
)


def main() -> None:
    if flags.FLAGS["seeds"].present and not _COMPARE.value:
        raise InputError("--seeds is for --compare; one run has --seed")
    refuse_empty("logdir")
    recipe = recipe_from_flags(
        None if _OVERWRITE.value else _LOGDIR.value,
        one_run=not _COMPARE.value and _STRATEGY.value != "multi_worker",
    )
    recipes.check_complete(flags.FLAGS.recipe, recipe)
    # Another one for each process, so that several may start in one second.
    now = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    logdir = expanded(_LOGDIR.value or f"runs/{name_of_run()}-{now}")
    try:
        result = _train(recipe, logdir)
    except signals.Stopped as stopped:
        if stopped.result and not _COMPARE.value:
            _say(recipe, stopped.result)
            raise
        without = ", without --overwrite" if _OVERWRITE.value else ""
        print(
            "\nStopped and saved. To resume, give the same command with "
            f"--logdir={shlex.quote(str(logdir))}{without}"
        )
        raise
    except KeyboardInterrupt:
        where = f" with --logdir={shlex.quote(str(logdir))}" if logdir.exists() else ""
        print(f"\nStopped before training. The same command{where} starts or resumes the run.")
        raise
    if result is not None:  # a comparison has printed its own
        _say(recipe, result)


def _say(recipe: Recipe, result: Mapping[str, Any]) -> None:
    """Print what a run ended with."""
    chosen = ""
    if recipe.select == "label_free":
        chosen = f", chosen from {result['steps']} by the label-free score"
    seconds = f"{result['train_seconds']:.0f} s of training"
    after = f"after {result['selected_step']} steps{chosen} ({seconds}"
    some = f" of {result['test_images']:,} test images" if recipe.eval_images else ""
    if result["test_error"] is None:
        print(f"test error unknown, since there are no test images; ended {after})")
    else:
        print(
            f"test error {result['test_error']:.2f} %{some} {after}; median of the last "
            f"evaluations {result['test_error_median']:.2f} %, lowest "
            f"{result['test_error_min']:.2f} %)"
        )
    if result.get("collapsed"):
        so = "so this result does not benefit from association"
        if result["selected_step"] < result["steps"]:
            so = "after the evaluation that was chosen"
        print(
            f"warning: the walk had collapsed at the end of training, {so}; docs/runs.md says what "
            "to try"
        )
        if recipe.select == "last":
            print(
                "--select=label_free keeps the evaluation with the best label-free score, "
                "which may be an earlier one"
            )


def _train(recipe: Recipe, logdir: Path) -> dict[str, Any] | None:
    """Train as the flags say; returns the result, None of a comparison."""
    if _STRATEGY.value == "multi_worker":
        # A worker that is gone is news to all of TensorFlow; one line of ours is enough.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(f"Loading TensorFlow and {recipe.dataset}", flush=True)
    load_tensorflow()  # which --help and bad flags do not need
    import tensorflow as tf

    from semisup.runtime import distribution
    from semisup.training.loop import train

    if _DETERMINISTIC.value:
        tf.config.experimental.enable_op_determinism()
    options: dict[str, Any] = {
        "overwrite": _OVERWRITE.value,
        "save_interval": _SAVE_INTERVAL.value,
        "strategy": distribution.strategy(_STRATEGY.value),
    }
    if not _COMPARE.value:
        return train(recipe, logdir, sys.argv, **options)
    from semisup.training import comparison

    errors = comparison.compare(recipe, logdir, _SEEDS.value, sys.argv, **options)
    some = f" on at most {recipe.eval_images:,} test images" if recipe.eval_images else ""
    chosen = " at the most" if recipe.select != "last" else ""
    print(f"\nTest errors{some} after {recipe.max_steps} steps{chosen}:")
    print(comparison.table(errors, recipe.seed))
    return None


def console_main() -> None:
    define_recipe_flags()
    authors.define_flags(authors.ONLY_OF_TRAINING)
    run_main(main, __doc__, first_flags=_FIRST_FLAGS)


if __name__ == "__main__":
    console_main()
