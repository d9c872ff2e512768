"""Evaluate a model during training, record the evaluations, and select one as the result."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from absl import logging

from semisup import experiment
from semisup.config import Recipe
from semisup.evaluation import label_free
from semisup.evaluation.metrics import Evaluation, evaluate
from semisup.models.associative_model import AssociativeModel
from semisup.optimizers.ema import averaged_weights, take_averages
from semisup.runs import files, labeled_embeddings
from semisup.runs.directory import RunDirectory
from semisup.runtime import distribution, machine, progress
from semisup.visualization import choose_walk_sample, projector, tensorboard

# `test_error_median` is the median of this many evaluations at the end of a run.
MEDIAN_OVER = 5

_DRAWING_SECONDS = 3.0  # of the pictures at the end, about


class Evaluator:
    """Evaluates a model in training. In a run of several workers only the chief has one.

    The test images are embedded once for each evaluation; the record, TensorBoard, figures and
    projector all read that. Its methods write to TensorBoard: call them inside
    `with writer.as_default()`.

    Args:
        setup: the run. Its own model takes over the weights to be evaluated or saved: one
            device, averaged weights.
        model: the model that learns; `setup.model`, or its like on many devices.
        run: the run's folder.
        step: where the run stands. Evaluations of later steps are forgotten; the run goes
            on from a checkpoint before them.
    """

    def __init__(
        self, setup: experiment.Experiment, model: AssociativeModel, run: RunDirectory, step: int
    ) -> None:
        self._setup, self._learning, self._run = setup, model, run
        before = run.read_evaluations()
        self.evaluations = [record for record in before if record["step"] <= step]

        if before and setup.recipe.select != "last":
            lost = int(_selected(before, setup.recipe)["step"])
            # Its checkpoint was whole, and is damaged: then model.keras has its weights, and those
            # of an earlier evaluation that was the best before are gone.
            if lost > step and run.has_checkpoint(lost):
                for record in self.evaluations:
                    if record["step"] < step:
                        record["weights_lost"] = True
        run.write_evaluations(self.evaluations)
        self._newest: tuple[int, Evaluation] | None = None
        self._seconds_per_image = 0.0
        self._sample = choose_walk_sample(setup.data)
        self._histograms = choose_walk_sample(setup.data, per_class=10, unlabeled=100)
        self._probe = label_free.choose_probe(setup.data)

    def evaluate(self, step: int, train_seconds: float, logs: Mapping[str, float]) -> float | None:
        """Evaluate the model, and record that with the training's `logs`.

        Returns:
            The error on the test images, in percent; None where there are none.
        """
        with self._evaluated() as model:
            evaluation = self._evaluate_on_test_images(step)
            scores = label_free.scores(model, self._probe)
            _draw(
                tensorboard.write_evaluation,
                *(step, evaluation, model, self._sample, self._histograms),
            )
        tensorboard.write_label_free(step, scores)
        error = files.json_number(evaluation.report.error)
        record: dict[str, Any] = {
            "step": step,
            "train_seconds": train_seconds,
            "test_error": error,
            "test_images": len(self._setup.data.dataset.test_labels),
            **scores,
            **logs,
        }
        self.evaluations.append(record)
        self._run.append_evaluation(record)
        return error

    def save_if_selected(self, step: int) -> None:
        """With `select=label_free`, keep the best model so far on disk at any time."""
        recipe = self._setup.recipe
        if recipe.select == "label_free" and step == _selected(self.evaluations, recipe)["step"]:
            with self._evaluated():
                self._run.save_model(self._setup.whole_model())

    def end_seconds(self) -> float:
        """About how long `finish` will take, going by the newest evaluation."""
        data, recipe = self._setup.data, self._setup.recipe
        images = min(len(data.split.labeled), labeled_embeddings.EMBEDDINGS_KEPT)
        images += min(len(data.split.unlabeled), tensorboard.NEIGHBORS_AMONG)
        if recipe.select == "label_free":  # it evaluates the selected weights again
            images += len(data.dataset.test_labels)
        return images * self._seconds_per_image + _DRAWING_SECONDS

    def finish(self, step: int, train_seconds: float, collapsed: bool) -> None:
        """Write all that a finished run's folder holds; see `semisup.training.loop.train`.

        What can't be had again is written before any picture is drawn.

        Args:
            step: the last training step.
            train_seconds: of the training steps alone.
            collapsed: whether the walk was collapsed at the end.
        """
        setup, run = self._setup, self._run
        kept = min(len(setup.data.split.labeled), labeled_embeddings.EMBEDDINGS_KEPT)
        progress.write_line(f"Writing the model and the embeddings of {kept:,} labelled images")
        if setup.recipe.select == "last":
            take_averages(self._learning)
            distribution.take_over(self._learning, setup.model)
            run.save_model(setup.whole_model())
        else:
            setup.load_weights(run.model)
        labeled = labeled_embeddings.embed(setup.model, setup.data)
        labeled.record.save(run.labeled)
        selected = _selected(self.evaluations, setup.recipe)
        evaluation = self._evaluate_on_test_images(int(selected["step"]))
        progress.write_line("Drawing pictures and the projector page for TensorBoard")
        _draw(tensorboard.write_end, step, setup.data, setup.model, evaluation)
        _draw(projector.write, *(run, setup.data, evaluation, labeled.indices, labeled.predictions))
        errors = [record["test_error"] for record in self.evaluations if record["step"] > 0]
        known = [error for error in errors if error is not None]  # none without test images
        result = {
            "test_error": selected["test_error"],
            "selected_step": selected["step"],
            "test_error_median": statistics.median(known[-MEDIAN_OVER:]) if known else None,
            "test_error_min": min(known, default=None),
            "train_seconds": train_seconds,
            "steps": step,
            "collapsed": collapsed,
            "test_images": len(setup.data.dataset.test_labels),
            **machine.here_and_now(),
        }
        files.write_json(run.result, result)  # the last: with it, the run has ended

    def _evaluate_on_test_images(self, step: int) -> Evaluation:
        """Evaluate `setup.model`, whose weights are those of `step`; once for each step."""
        if self._newest is None or self._newest[0] != step:
            dataset = self._setup.data.dataset
            images, labels = dataset.test_images, dataset.test_labels
            began = time.monotonic()
            evaluation = evaluate(self._setup.model, images, labels, dataset.class_names)
            self._seconds_per_image = (time.monotonic() - began) / max(len(labels), 1)
            self._newest = step, evaluation
        return self._newest[1]

    @contextmanager
    def _evaluated(self) -> Iterator[AssociativeModel]:
        """Context manager: yield the model to evaluate and to save, with averaged weights."""
        with averaged_weights(self._learning):
            distribution.take_over(self._learning, self._setup.model)
            yield self._setup.model


def _draw(write: Callable[..., Any], *arguments: Any) -> None:
    """Call a function that draws; if it fails, warn and go on."""
    try:
        write(*arguments)
    except Exception as error:  # matplotlib and TensorBoard fail in many ways
        logging.warning(f"{write.__module__}.{write.__name__} failed: {error}")


def _selected(evaluations: Sequence[Mapping[str, Any]], recipe: Recipe) -> Mapping[str, Any]:
    """The evaluation that is the result: the last, or the best by the label-free score.

    The untrained model counts only where there is nothing else, likewise one whose weights are
    lost; no score is the worst score; of equals, the later wins.
    """
    if recipe.select == "last":
        return evaluations[-1]

    def rank(record: Mapping[str, Any]) -> tuple[Any, ...]:
        there = not record.get("weights_lost")
        return there, record["step"] > 0, record.get(label_free.SCORE, -1.0), record["step"]

    return max(evaluations, key=rank)
