"""A run's evaluations: made on one device, written down, and one of them taken as the result."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from semisup import experiment
from semisup.config import Recipe
from semisup.evaluation import label_free
from semisup.evaluation.metrics import evaluate
from semisup.inference import saved_run
from semisup.models.associative_model import AssociativeModel
from semisup.optimizers.ema import averaged_weights, take_averages
from semisup.runs import directory, files
from semisup.runtime import distribution
from semisup.visualization import figures, projector, tensorboard

# `test_error_median` is the median of this many evaluations at the end of a run.
MEDIAN_OVER = 5


class Judge:
    """Judges a model in training. In a run of several workers only the chief has one.

    Its methods write to TensorBoard too: call them inside `with writer.as_default()`.

    Args:
        setup: the run. Its own model takes over the weights to be judged or saved: one
            device, averaged weights.
        model: the model that learns; `setup.model`, or its like on many devices.
        logdir: the run's folder.
        step: where the run stands. Evaluations of later steps are forgotten; the run goes
            on from a checkpoint before them.
    """

    def __init__(
        self, setup: experiment.Experiment, model: AssociativeModel, logdir: Path, step: int
    ) -> None:
        self._setup, self._learning, self._logdir = setup, model, logdir
        self.evaluations = directory.read_metrics(logdir, last_step=step)
        self._sample = figures.choose_walk_sample(setup.dataset, setup.split)
        self._probe = figures.choose_walk_sample(
            setup.dataset, setup.split, per_class=10, unlabeled=100
        )
        self._label_free_probe = label_free.choose_probe(setup.dataset, setup.split)

    def evaluate(self, step: int, train_seconds: float, logs: Mapping[str, float]) -> float:
        """Evaluate the model, and write that down with the training's `logs`.

        Returns:
            The error on the test images, in percent.
        """
        dataset = self._setup.dataset
        with self._judged() as model:
            report = evaluate(
                model, dataset.test_images, dataset.test_labels, dataset.class_names
            ).report
            scores = label_free.scores(model, self._label_free_probe)
            tensorboard.write_evaluation(step, report, model, self._sample, self._probe)
        tensorboard.write_label_free(step, scores)
        record = {
            "step": step,
            "train_seconds": train_seconds,
            "test_error": report.error,
            **scores,
            **logs,
        }
        self.evaluations.append(record)
        directory.append_metrics(self._logdir, record)
        return report.error

    def save_if_chosen(self, step: int) -> None:
        """With --select=label_free, the best model so far is on disk at any time."""
        recipe = self._setup.recipe
        if recipe.select == "label_free" and step == _selected(self.evaluations, recipe)["step"]:
            with self._judged() as model:
                directory.save_model(self._logdir, model)

    def take_selected(self, step: int) -> None:
        """After the last step, give `setup.model` the weights that are the result."""
        if self._setup.recipe.select == "last":
            take_averages(self._learning)
            distribution.take_over(self._learning, self._setup.model)
        else:
            experiment.load_weights(self._setup.model, self._logdir / directory.MODEL)
        tensorboard.write_end(step, self._setup)

    def write_result(self, step: int, train_seconds: float) -> dict[str, float]:
        """Write all that a finished run's folder holds; see `semisup.training.loop.train`."""
        recipe = self._setup.recipe
        errors = [record["test_error"] for record in self.evaluations if record["step"] > 0]
        selected = _selected(self.evaluations, recipe)
        result = {
            "test_error": selected["test_error"],
            "selected_step": selected["step"],
            "test_error_median": statistics.median(errors[-MEDIAN_OVER:]),
            "test_error_min": min(errors),
            "train_seconds": train_seconds,
            "steps": step,
        }
        if recipe.select == "last":
            directory.save_model(self._logdir, self._setup.model)
        saved_run.save_labeled(self._logdir, saved_run.collect_labeled(self._setup))
        projector.write(self._logdir, self._setup)
        # The last: with it, the run has ended.
        files.write_json(self._logdir / directory.RESULT, result)
        return result

    @contextmanager
    def _judged(self) -> Iterator[AssociativeModel]:
        """Inside, the model to judge and to save."""
        with averaged_weights(self._learning):
            distribution.take_over(self._learning, self._setup.model)
            yield self._setup.model


def _selected(evaluations: Sequence[Mapping[str, float]], recipe: Recipe) -> Mapping[str, float]:
    """The evaluation that is the result: the last, or the best by the label-free score.

    The untrained model counts only where there is nothing else; no score is the worst score;
    of equals, the later wins.
    """
    if recipe.select == "last":
        return evaluations[-1]
    return max(evaluations, key=lambda e: (e["step"] > 0, e.get(label_free.SCORE, -1.0), e["step"]))
