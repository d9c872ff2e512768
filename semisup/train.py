"""Train an image classifier from few labels and many unlabelled images.

    semisup-train                                     5,000 real digits, 100 labels, no download
    semisup-train --recipe=mnist --data_dir=DIR       all of MNIST
    semisup-train --help                              every flag

Ends with one line that states the test error. The run's folder (--logdir) holds all else;
look at it with `tensorboard --logdir=DIR`, judge it again with `semisup-eval --logdir=DIR`.
"""

import sys
import time
from pathlib import Path

from absl import flags

from semisup.console import load_tensorflow, run_main
from semisup.flags import define_recipe_flags, recipe_from_flags

_LOGDIR = flags.DEFINE_string(
    "logdir", None, "the run's folder; by default runs/RECIPE-TIME. A run in it goes on"
)


def main() -> None:
    recipe = recipe_from_flags()
    logdir = Path(_LOGDIR.value or f"runs/{flags.FLAGS.recipe}-{time.strftime('%Y%m%d-%H%M%S')}")
    load_tensorflow()  # which --help and bad flags do not need
    from semisup.training import train

    try:
        result = train(recipe, logdir, sys.argv)
    except KeyboardInterrupt:
        print(f"\nStopped and saved. To go on: the same command with --logdir={logdir}")
        raise
    chosen = ""
    if recipe.select == "label_free":
        chosen = f", chosen of {result['steps']} by the label-free score"
    print(
        f"test error {result['test_error']:.2f} % after {result['selected_step']} steps{chosen} "
        f"({result['train_seconds']:.0f} s of training; median of the last evaluations "
        f"{result['test_error_median']:.2f} %, least {result['test_error_min']:.2f} %)"
    )


def console_main() -> None:
    define_recipe_flags()
    run_main(main, __doc__)


if __name__ == "__main__":
    console_main()
