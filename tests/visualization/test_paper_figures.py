"""semisup-eval, with its figures, on a run whose result the label-free score selected."""

import dataclasses
import json
import sys
import warnings

import keras
import matplotlib.image
import numpy as np
import pytest

from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData
from semisup.data.splits import choose_split
from semisup.evaluation import label_free
from semisup.evaluation.metrics import evaluate
from semisup.models.associative_model import AssociativeModel
from semisup.training import loop
from semisup.visualization import paper_figures
from semisup.visualization.paper_figures import write_figures
from tests import processes
from tests.processes import run


def test_write_figures_by_the_evaluator_on_the_selected_weights(tiny, tmp_path, monkeypatch):
    score = label_free.scores

    def first_is_best(model, probe):
        best = int(model.optimizer.iterations) == 10
        return {**score(model, probe), label_free.SCORE: float(best)}

    monkeypatch.setattr(label_free, "scores", first_is_best)
    steps = {"max_steps": 20, "eval_interval": 10}
    result = loop.train(dataclasses.replace(tiny, select="label_free", **steps), tmp_path)
    assert result["selected_step"] == 10
    done = run("eval", f"--logdir={tmp_path}", "--figures")
    assert done.returncode == 0, done.stderr
    evaluated = json.loads((tmp_path / "eval.json").read_text())
    assert evaluated["step"] == 10
    assert evaluated["test_error"] == pytest.approx(result["test_error"])
    for name in ("figure2.png", "figure3.png", "figure4.png"):
        assert f"wrote {tmp_path / name}" in done.stdout
        pixels = matplotlib.image.imread(tmp_path / name)
        assert pixels.shape[1] > 1000
        assert pixels.min() < 0.2 < 0.95 < pixels.max()


def eval_figures(logdir, out):
    """Run semisup-eval --figures with figures that say only which weights each model has."""
    from semisup import eval as program
    from semisup import experiment
    from semisup.runs.directory import RunDirectory

    first = experiment.build(RunDirectory(logdir).read_begun_recipe()).model

    def write_figures(folder, data, model, evaluation, *, untrained, step, ending):
        for made in (untrained, model):
            print("initial:", np.array_equal(made.classifier.kernel, first.classifier.kernel))
        return []

    paper_figures.write_figures = write_figures
    sys.argv[1:] = [f"--logdir={logdir}", "--figures", f"--out={out}"]
    program.console_main()


def test_figure_2_has_the_initial_weights_first(finished_run, tmp_path, monkeypatch):
    process = processes.start(eval_figures, finished_run, tmp_path)
    process.join()
    assert process.exitcode == 0, processes.said(process)
    assert processes.said(process).splitlines()[-2:] == ["initial: True", "initial: False"]
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    dataset = Dataset("a", images, np.arange(60) % 4, images, np.arange(60) % 4, tuple("abcd"))
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    first, last = (AssociativeModel(keras.Sequential(layers), 4) for _ in range(2))

    def draw(models, sample, title):
        raise Drawn(models)

    monkeypatch.setattr(paper_figures, "association_figure", draw)
    data = LabeledData(dataset, choose_split(dataset, 5))
    found = evaluate(last, images, dataset.test_labels, dataset.class_names)
    with pytest.raises(Drawn) as drawn:
        paper_figures.write_figures(tmp_path, data, last, found, untrained=first, step=1000)
    [(at_first, model), (at_last, other)] = drawn.value.args[0].items()
    assert at_first == "at the start" and at_last.startswith("after 1,000 steps: ")
    assert model is first and other is last


class Drawn(Exception):
    pass


def test_write_figures_of_any_names(tmp_path):
    """Names that matplotlib would take for formulas, or cannot draw, and a path likewise."""
    labels = np.arange(60) % 4
    images = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    names = ("from_$5_to_$10_", "tab\tand\\alpha", b"ch\xe8vre".decode("utf-8", "surrogateescape"))
    dataset = Dataset("shop $a_$ 2024", images, labels, images, labels, (*names, "\u732b" * 90))
    data = LabeledData(dataset, choose_split(dataset, 5))
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    model = AssociativeModel(keras.Sequential(layers), 4)
    found = evaluate(model, images, labels, dataset.class_names)
    folder = tmp_path / "run $b_$"
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # as of a missing glyph
        paths = write_figures(folder, data, model, found, untrained=model, step=1000)
    assert [path.name for path in paths] == ["figure2.png", "figure3.png", "figure4.png"]
    assert sorted(folder.iterdir()) == paths
