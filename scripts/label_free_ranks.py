"""How well the label-free statistics rank checkpoints and runs, over finished runs.

    .venv/bin/python scripts/label_free_ranks.py --runs=DIR[,DIR] [--what=NAME --out=FILE.json]

Takes every finished run with test errors, at any depth under the folders that --runs names; they
must be on one data set. Prints Spearman's rank correlation of each statistic with the accuracy
on the test images: over the last evaluations of all runs ("between runs": may it choose a visit
weight, a seed?), and over the checkpoints of each run ("within a run", the median: may it choose a
checkpoint?). 1 is a perfect order, 0 none. Then the test error of the last checkpoint, of the one
that the score chooses, and of the best one.
"""

import shlex
import sys
from typing import Any

from absl import flags

from semisup.cli.app import load_tensorflow, run_main
from semisup.errors import InputError
from semisup.runs import files
from semisup.runs.directory import RunDirectory
from semisup.runtime.paths import expanded

_RUNS = flags.DEFINE_list("runs", None, "folders that contain runs")
_WHAT = flags.DEFINE_string(
    "what", None, "description of the runs, for --out; by default the names of the folders"
)
_OUT = flags.DEFINE_string("out", None, "also write the figures to this JSON file")


def main() -> None:
    if not _RUNS.value:
        raise InputError("--runs is missing; it names folders with runs in them")
    load_tensorflow()
    import numpy as np
    from reproduction import ranks

    from semisup.evaluation.label_free import NAMES, SCORE

    roots = [expanded(root).resolve() for root in _RUNS.value]
    folders = sorted({path.parent for root in roots for path in root.rglob("result.json")})
    read = {folder: _evaluations(RunDirectory(folder)) for folder in folders}
    ranked = {folder: each for folder, each in read.items() if each and SCORE in each[0]}
    if not ranked:
        raise InputError(f"no finished run with label-free scores under {', '.join(_RUNS.value)}")
    if left := len(read) - len(ranked):
        print(f"{left} finished runs without test errors or label-free scores are left out")
    origins = [ranks.origin(RunDirectory(folder)) for folder in ranked]
    ranks.refuse_several_data_sets(origins)
    all_runs = list(ranked.values())
    last = [evaluations[-1] for evaluations in all_runs]
    correlations = {
        name: {
            "between_runs": ranks.rank_correlation(last, name),
            "within_a_run": ranks.within_runs(all_runs, name),
        }
        for name in NAMES
    }
    errors = {
        "last": [e["test_error"] for e in last],
        "chosen": [ranks.chosen_by(e, SCORE)["test_error"] for e in all_runs],
        "best": [min(e["test_error"] for e in evaluations) for evaluations in all_runs],
    }
    medians = {name: float(np.median(values)) for name, values in errors.items()}
    print(f"{len(all_runs)} runs; rank correlation with the accuracy")
    print(f"  {'statistic':26s}{'between runs':>14s}{'within a run':>14s}")
    for name, found in correlations.items():
        print(f"  {name:26s}{found['between_runs']:14.2f}{found['within_a_run']:14.2f}")
    print(
        f"median test error: last {medians['last']:.2f} %, chosen by the score "
        f"{medians['chosen']:.2f} %, best {medians['best']:.2f} %"
    )
    if _OUT.value:
        # NaN for the correlation of what does not vary.
        numbers = {
            name: {key: files.json_number(value) for key, value in found.items()}
            for name, found in correlations.items()
        }
        what = _WHAT.value or ", ".join(_RUNS.value)
        content = {
            "what": what,
            "runs": len(all_runs),
            "rank_correlation": numbers,
            "median_error": medians,
            "command": shlex.join(sys.argv),
            "each_run": origins,
        }
        files.write_json(expanded(_OUT.value), content)


def _evaluations(run: RunDirectory) -> list[dict[str, Any]]:
    """The evaluations of a run after its first step, on test images."""
    return [
        evaluation
        for evaluation in run.read_evaluations()
        if evaluation["step"] > 0 and evaluation["test_error"] is not None
    ]


if __name__ == "__main__":
    run_main(main, __doc__)
