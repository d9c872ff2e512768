"""Whether label-free statistics put checkpoints and runs in the order of their test error."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

Evaluation = Mapping[str, float]


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
