"""semisup-eval, with its figures, on a run whose result the label-free score selected."""

import json
import subprocess
import sys

import matplotlib.image
import pytest

from semisup import recipes
from semisup.evaluation import label_free
from semisup.runs import directory
from semisup.training import loop

SMALL = {"sup_per_batch": 2, "unsup_batch_size": 20, "max_steps": 20, "eval_interval": 10}


def test_evaluator_judges_the_selected_weights_and_draws(mnist_dir, tmp_path, monkeypatch):
    score = label_free.scores

    def first_is_best(model, probe):
        best = int(model.optimizer.iterations) == 10
        return {**score(model, probe), label_free.SCORE: float(best)}

    monkeypatch.setattr(label_free, "scores", first_is_best)
    recipe = recipes.get("mnist", data_dir=str(mnist_dir), select="label_free", **SMALL)
    result = loop.train(recipe, tmp_path)
    assert result["selected_step"] == 10
    command = [sys.executable, "-m", "semisup.eval", f"--logdir={tmp_path}", "--figures"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    evaluated = json.loads((tmp_path / directory.EVAL).read_text())
    assert evaluated["step"] == 10
    assert evaluated["test_error"] == pytest.approx(result["test_error"])
    for name in ("figure2.png", "figure3.png", "figure4.png"):
        assert f"wrote {tmp_path / name}" in done.stdout
        pixels = matplotlib.image.imread(tmp_path / name)
        assert pixels.shape[1] > 1000
        assert pixels.min() < 0.2 < 0.95 < pixels.max()
