"""Evaluate a trained run: test error, confusion matrix, error of each class.

    semisup-eval --logdir=DIR             the model of a finished run, else the newest checkpoint
    semisup-eval --logdir=DIR --watch     each newest checkpoint, until the run ends
    semisup-eval --logdir=DIR --figures   the paper's figures too: figure2.png to figure4.png;
                                          with --figure_format=pdf, or svg, for print
    semisup-eval --logdir=DIR --suggest=20    suggest 20 unlabelled images to label next

All else is read from the run's folder, and the last evaluation is also written to eval.json
there. --out=FOLDER writes this, figures and suggestions elsewhere; --data_dir and
--target_data_dir say where the data is now, if it has moved since the training.
"""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from absl import flags

from semisup.cli import app, authors
from semisup.errors import InputError, check_bounds
from semisup.runs import files
from semisup.runs.directory import FIGURE_ENDINGS, RunDirectory

if TYPE_CHECKING:
    from semisup.evaluation.metrics import Evaluation, Report
    from semisup.experiment import Experiment

_LOGDIR = flags.DEFINE_string("logdir", None, "the folder of the run, as semisup-train wrote it")
_WATCH = flags.DEFINE_bool(
    "watch", False, "evaluate the newest checkpoint repeatedly until the run ends"
)
_FIGURES = flags.DEFINE_bool(
    "figures", False, "also draw the paper's figures 2, 3 and 4 of this run"
)
_FIGURE_FORMAT = flags.DEFINE_enum(
    "figure_format", "png", list(FIGURE_ENDINGS), "with --figures: the file format"
)
_TIMEOUT = flags.DEFINE_float(
    "timeout", 600.0, "with --watch: give up after this many seconds without a new checkpoint"
)
_SUGGEST = flags.DEFINE_integer(
    "suggest",
    0,
    "suggest this many unlabelled images to label next; they are written to suggestions.csv and "
    "suggestions.png",
    lower_bound=0,
)
_OUT = flags.DEFINE_string(
    "out", None, "folder to write to, created if it is missing; by default --logdir"
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "where the data set's files are now; by default where the run found them"
)
_TARGET_DATA_DIR = flags.DEFINE_string(
    "target_data_dir", None, "where the target's files are now; by default where the run found them"
)


def main() -> None:
    if not _LOGDIR.value:
        raise InputError("--logdir is missing; it names the folder of the run")
    app.refuse_empty("out", "data_dir", "target_data_dir")
    check_bounds("timeout", _TIMEOUT.value, above=0)
    run = RunDirectory(_LOGDIR.value)
    for line in (*_without_effect(), *authors.notes_on_evaluation()):
        print(app.with_flags(line))
    if _WATCH.value:
        run.wait_for_start(_TIMEOUT.value)
    recipe = run.read_begun_recipe()
    authors.check_evaluation(authors.given_values(authors.OF_THE_RUN), recipe)
    if _TARGET_DATA_DIR.value and recipe.target_dataset is None:
        raise InputError("this run has no target; leave out --target_data_dir")
    out = RunDirectory(_OUT.value or run.path)
    if files_above := [place for place in (out.path, *out.path.parents) if place.is_file()]:
        raise InputError(f"{files_above[0]} is a file; --out names a folder")
    if out.recipe.exists() and out.path.resolve() != run.path.resolve():
        raise InputError(f"{out} is the folder of another run; choose another --out")
    recipe = dataclasses.replace(
        recipe,
        data_dir=_DATA_DIR.value or recipe.data_dir,
        target_data_dir=_TARGET_DATA_DIR.value or recipe.target_data_dir,
        eval_images=0,
    )
    app.load_tensorflow()  # which --help and bad flags do not need
    from semisup import experiment
    from semisup.evaluation import metrics, names
    from semisup.optimizers.ema import averaged_weights

    # Figure 2 begins with the initial weights.
    setup = experiment.rebuild(recipe, run, first_weights=_FIGURES.value)
    run.check_split(setup.data.split_on_record.hash)
    if _SUGGEST.value:
        from semisup.inference import active_learning

        active_learning.check_candidates(setup.data)
    out.path.mkdir(parents=True, exist_ok=True)
    files.check_writable(out.path)
    dataset, model = setup.data.dataset, setup.model
    step = None
    for step in _weights_to_evaluate(run, setup):
        with averaged_weights(model):
            evaluation = metrics.evaluate(
                model, dataset.test_images, dataset.test_labels, dataset.class_names
            )
        print(f"\nstep {step}: {dataset.name}, {len(dataset.test_labels)} test images")
        if len(dataset.test_labels):
            print(evaluation.report.table())
        if missing := dataset.classes_without_test_images:
            print(names.untested(missing))
        print(f"test error {evaluation.report.error_text}", flush=True)
        files.write_json(out.eval, _as_json(step, evaluation.report))
    if step is None:
        raise InputError(f"{run} holds no checkpoint that could be evaluated")
    with averaged_weights(model):
        if _FIGURES.value:
            _draw(setup, evaluation, out, step)
        if _SUGGEST.value:
            _suggest(setup, out, _SUGGEST.value)


def _suggest(setup: "Experiment", out: RunDirectory, count: int) -> None:
    """Write which images to label next, and say so."""
    from semisup.inference import active_learning

    chosen = active_learning.write(out, setup.data, setup.model, count)
    table, picture = out.suggestions
    print(f"{len(chosen)} image{'s' * (len(chosen) != 1)} to label next: {table}, {picture}")
    if len(chosen) < count:
        print(f"fewer than requested: {active_learning.why_fewer(setup.data, len(chosen))}")


def _draw(setup: "Experiment", evaluation: "Evaluation", out: RunDirectory, step: int) -> None:
    """Draw the paper's figures."""
    from semisup.visualization import paper_figures

    print("drawing figures 2, 3 and 4", flush=True)
    for path in paper_figures.write_figures(
        out.path,
        setup.data,
        setup.model,
        evaluation,
        untrained=setup.untrained_model(),
        step=step,
        ending=_FIGURE_FORMAT.value,
    ):
        print(f"wrote {path}")


def _without_effect() -> Iterator[str]:
    """A line for each flag that was given and that needs another one."""
    for name, other in (("figure_format", "figures"), ("timeout", "watch")):
        if flags.FLAGS[name].present and not flags.FLAGS[other].value:
            yield f"`{name}` has no effect without `{other}`"


def _weights_to_evaluate(run: RunDirectory, setup: "Experiment") -> Iterator[int]:
    """Give the model the weights to evaluate, one state after the other; yields their steps."""
    from semisup.runs import checkpoints

    watched = False
    if _WATCH.value:
        for checkpoint in checkpoints.watch(run, _TIMEOUT.value):
            watched = True
            yield checkpoints.restore(setup.model, checkpoint)
    result = run.read_result()
    if watched:
        return
    if result and run.model.is_file():  # whose checkpoints may be left out, or damaged
        setup.load_weights(run.model)
        yield int(result["selected_step"])
    elif not _WATCH.value:
        yield checkpoints.restore(setup.model, checkpoints.newest(run))


def _as_json(step: int, report: "Report") -> dict[str, Any]:
    """What eval.json holds."""
    return {
        "step": step,
        # Null without test images.
        "test_error": files.json_number(report.error),
        "balanced_error": files.json_number(report.balanced_error),
        "macro_f1": files.json_number(report.macro_f1),
        # NaN for a class without test images.
        "error_per_class": {
            name: files.json_number(error)
            for name, error in zip(report.class_names, report.error_per_class, strict=True)
        },
        "confusion": report.confusion.tolist(),
    }


def console_main() -> None:
    authors.define_flags(authors.OF_THE_RUN)
    authors.define_flags(authors.ONLY_OF_EVALUATION)
    app.run_main(main, __doc__)


if __name__ == "__main__":
    console_main()
