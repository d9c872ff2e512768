"""semisup-eval, with its figures, on a run whose result the label-free score selected."""

import dataclasses
import json
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
from semisup.visualization.paper_figures import write_figures
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
