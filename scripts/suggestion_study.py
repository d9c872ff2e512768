"""Do suggested labels help more than random ones? Trains without, with suggested, with random ones.

    .venv/bin/python scripts/suggestion_study.py --recipe=photos --dataset=stl10 --data_dir=STL10 \\
        --architecture=PATH.keras --sup_per_class=1 --count=20 --seeds=5 --out=suggestions.json

For each seed: a run on the labels that there are; then --count of the unlabelled training images
get their true labels, once those that `semisup-eval --suggest` would name, once ones drawn at
random; and a run on each. Only training images serve as unlabelled ones, since their labels are
known.
"""

import dataclasses
import shlex
import statistics
import sys
from itertools import chain
from typing import Any

from absl import flags

from semisup.cli.app import load_tensorflow, run_main
from semisup.cli.flags import define_recipe_flags, recipe_from_flags
from semisup.config import Recipe
from semisup.errors import InputError
from semisup.runtime.paths import expanded

_COUNT = flags.DEFINE_integer("count", 20, "number of images to label", lower_bound=1)
_SEEDS = flags.DEFINE_integer("seeds", 5, "number of seeds", lower_bound=1)
_LOGDIR = flags.DEFINE_string("logdir", "runs/suggestion_study", "folder for all runs")
_OUT = flags.DEFINE_string("out", None, "also write the errors to this JSON file")


def main() -> None:
    recipe = recipe_from_flags(one_run=False)
    if recipe.target_dataset:
        raise InputError(
            "--target_dataset (or a recipe that has one) can't be studied: the images to label are "
            "those of the training set"
        )
    load_tensorflow()
    import numpy as np

    from semisup import experiment
    from semisup.data.splits import Split
    from semisup.inference import active_learning
    from semisup.runs import files
    from semisup.runs.directory import RunDirectory
    from semisup.training import comparison
    from semisup.training.loop import train

    dataset = dataclasses.replace(experiment.load_data(recipe), unlabeled_images=None)
    if len(dataset.test_labels) == 0:
        raise InputError(f"{dataset.name} has no test images to compare the choices on")
    results: dict[str, list[dict[str, Any]]] = {"before": [], "suggested": [], "random": []}
    for seed in range(_SEEDS.value):  # counted up from the recipe's
        seeded = comparison.seeded(recipe, seed)
        folder = expanded(_LOGDIR.value) / f"seed{seeded.seed}"
        before = RunDirectory(folder / "before")
        setup = experiment.build(seeded, dataset)
        split, candidates = setup.data.split, setup.data.candidates
        if len(candidates) == 0:
            raise InputError(
                f"all training images of {dataset.name} are labelled; give a smaller "
                "--sup_per_class, so that some are left to choose from"
            )
        results["before"].append(train(seeded, before.path, dataset=dataset))
        setup.load_weights(before.model)
        random, count = np.random.default_rng(seeded.seed), _COUNT.value
        suggested = active_learning.write(before, setup.data, setup.model, count)
        chosen = {
            "suggested": suggested,
            "random": random.choice(candidates, len(suggested), replace=False),
        }
        for kind, indices in chosen.items():
            labeled = Split(np.sort(np.concatenate([split.labeled, indices])), split.unlabeled)
            path = folder / f"{kind}.json"
            files.write_json(path, labeled.as_json())
            again = dataclasses.replace(seeded, split_file=str(path.resolve()))
            results[kind].append(train(again, folder / kind, dataset=dataset))
        print({kind: each[-1]["test_error"] for kind, each in results.items()}, flush=True)
    errors = {kind: [result["test_error"] for result in each] for kind, each in results.items()}
    for kind, each in errors.items():
        listed = ", ".join(f"{error:.1f}" for error in each)
        print(f"{kind:10s} median {statistics.median(each):5.2f} %   ({listed})")
    if _OUT.value:
        made = comparison.made_on([*chain(*results.values())])
        files.write_json(expanded(_OUT.value), {"test_error": errors, **_record(recipe), **made})


def _record(recipe: Recipe) -> dict[str, Any]:
    """What the study of a recipe was asked for."""
    seeds = [recipe.seed + seed for seed in range(_SEEDS.value)]
    asked = {"seeds": seeds, "steps": recipe.max_steps, "count": _COUNT.value}
    return {**asked, "command": shlex.join(sys.argv)}


if __name__ == "__main__":
    define_recipe_flags()
    run_main(main, __doc__)
