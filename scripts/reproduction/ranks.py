"""Whether label-free statistics put checkpoints and runs in the order of their test error."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from semisup.errors import InputError
from semisup.runs import files
from semisup.runs.directory import RunDirectory

Evaluation = Mapping[str, float]

_OF_RECIPE = ("dataset", "target_dataset", "seed", "sup_seed")
_OF_RESULT = ("steps", "hardware", "versions", "date")


def origin(run: RunDirectory) -> dict[str, Any]:
    """What a record says of a finished run: its folder, data sets, seeds, steps, and where it ran.

    Runs of an earlier version may lack some.
    """
    recipe, result = files.read_json(run.recipe)["recipe"], files.read_json(run.result)
    found = {name: recipe.get(name) for name in _OF_RECIPE}
    folder = "/".join(run.path.parts[-2:])
    return {"run": folder, **found, **{name: result.get(name) for name in _OF_RESULT}}


def refuse_several_data_sets(origins: Sequence[Mapping[str, Any]]) -> None:
    """Raise InputError if runs are on different data sets, whose errors have no common order."""
    targets = (f" to {each['target_dataset']}" * bool(each["target_dataset"]) for each in origins)
    counts = Counter(
        f"{each['dataset']}{target}" for each, target in zip(origins, targets, strict=True)
    )
    if len(counts) > 1:
        said = ", ".join(f"{name} ({count})" for name, count in counts.items())
        raise InputError(
            f"--runs has runs on several data sets, which can't be ranked together: {said}; name "
            "folders with runs on one of them"
        )


def rank_correlation(evaluations: Sequence[Evaluation], name: str) -> float:
    """Spearman's rank correlation of a statistic with the accuracy, in [-1, 1].

    1 if a higher value always goes with a lower test error; NaN where either does not vary,
    or there are fewer than three evaluations.

    Args:
        evaluations: lines of metrics.jsonl, each with "test_error" and `name`.
        name: the statistic.
    """
    values = [e[name] for e in evaluations]
    errors = [e["test_error"] for e in evaluations]
    if len(evaluations) < 3 or len(set(values)) == 1 or len(set(errors)) == 1:
        return float("nan")
    return -float(spearmanr(values, errors).statistic)


def within_runs(runs: Sequence[Sequence[Evaluation]], name: str) -> float:
    """The median over runs of each one's rank correlation over its checkpoints; NaN if none has.

    Args:
        runs: of each run its evaluations after the first step.
        name: the statistic.
    """
    found = [rank_correlation(evaluations, name) for evaluations in runs]
    found = [r for r in found if np.isfinite(r)]
    return float(np.median(found)) if found else float("nan")


def chosen_by(evaluations: Sequence[Evaluation], name: str) -> Evaluation:
    """The evaluation with the highest value; of equals, the latest."""
    return max(evaluations, key=lambda e: (e[name], e["step"]))
