"""What scripts/benchmark.py compares is comparable."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from benchmarks import accuracy, growth, naive, steps
from benchmarks.child import output_of

from semisup import experiment, recipes
from semisup.errors import InputError
from semisup.models import architectures
from semisup.models.associative_model import AssociativeModel
from semisup.runs import files
from semisup.runs.directory import RunDirectory

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark.py"


@pytest.mark.parametrize(("name", "wanted"), [("mnist", 35), ("svhn", 79)])
def test_arithmetic_of_a_step_is_that_of_its_layers(name, wanted):
    model = experiment.build_model(recipes.get(name), steps.dataset(name))
    assert steps.gflop(model) == pytest.approx(wanted, rel=0.03)  # counted by hand
    dense = keras.Sequential([keras.Input((10,)), keras.layers.Dense(7), keras.layers.Dense(3)])
    expected = 100 * 2 * (10 * 7 * 2 + 7 * 3 * 3) / 1e9
    assert steps.gflop(AssociativeModel(dense, 2), images=100) == pytest.approx(expected)


def test_naive_step_has_the_loss_of_ours():
    network = architectures.build("mnist_model", (28, 28, 1))
    plain = naive.NaiveModel(network)
    plain.compile(keras.optimizers.SGD(0.0))
    ours = AssociativeModel(network, 10, similarity="dot")
    ours.compile(keras.optimizers.SGD(0.0))
    ours.classifier.set_weights(plain.classifier.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1)).astype("float32")
    labels = np.arange(20) % 10
    naive_loss = plain.train_step(((images[:20], images[20:]), labels))["loss"]
    both = np.concatenate([labels, np.full(20, -1)])
    loss = ours.train_on_batch(images, both, return_dict=True)["loss"]
    np.testing.assert_allclose(naive_loss, loss, rtol=1e-4)


def test_time_to_an_error_is_that_of_the_median():
    seconds = [0, 10, 20, 30]
    seeds = [[90, 3.0, 1.4, 1.2], [90, 1.2, 1.6, 1.1], [90, 2.0, 1.5, 1.0]]
    curves = [list(zip(seconds, errors, strict=True)) for errors in seeds]
    assert accuracy.seconds_to(curves, 1.5) == 20
    assert accuracy.seconds_to(curves, 1.1) == 30
    assert accuracy.seconds_to(curves, 1.0) is None


def test_accuracy_says_where_its_runs_were_made(tmp_path, monkeypatch):
    def train(protocol, data_dir, logdir, seed):
        run = RunDirectory(logdir)
        run.path.mkdir(parents=True)
        run.append_evaluation({"step": 9, "test_error": 1.0})
        made = {"hardware": protocol, "versions": {}, "date": "2026-01-02"}
        files.write_json(run.result, {"test_error": 1.0, **made})

    monkeypatch.setattr(accuracy, "_train", train)
    monkeypatch.setattr(accuracy, "_measure_steps", lambda rounds: {"authors": 1.0, "ours": 2.0})
    monkeypatch.setattr(accuracy, "draw", lambda measured, path: None)
    figures = accuracy.measure(tmp_path, tmp_path, seeds=1, rounds=1)
    made = {"hardware": ["authors", "ours"], "versions": {}, "date": "2026-01-02"}
    assert figures["runs_made"] == made
    assert figures["step_ms"] == {"authors": 1.0, "ours": 2.0}


@pytest.mark.parametrize("kind", growth.SIZES)
def test_growth_is_of_what_it_is_called(kind):
    largest = growth.SIZES[kind][-1]
    at = growth.point(kind, largest)
    settings = dataclasses.asdict(recipes.get("mnist", **at.settings))
    rows = at.classes * settings["sup_per_batch"] + settings["unsup_batch_size"]
    grown = {"classes": at.classes, "batch": rows, "embedding": settings["emb_size"]}
    assert grown.get(kind, at.images) == pytest.approx(largest, rel=0.01)
    assert settings["sup_per_class"] <= at.images / at.classes


def test_growth_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    found = {"start": 1.0, "step": 0.1, "evaluation": 0.2, "memory": 30.0}
    kept = tmp_path / "growth.json"
    known = {kind: {str(size): found for size in sizes} for kind, sizes in growth.SIZES.items()}
    last = known["embedding"].pop("8192")
    kept.write_text(json.dumps(known))
    monkeypatch.setattr(growth, "_measured", lambda kind, size: dict(last))
    monkeypatch.setattr(growth, "here_and_now", lambda: {"date": "today"})
    measured = growth.measure(kept, tmp_path / "growth.png")
    # Each says where and when, for the others may be of another machine.
    assert measured["embedding"].pop("8192") == {**last, "measured": {"date": "today"}}
    assert measured == known  # nothing is measured again
    assert "1,000,000: start 1 s, step 0.1 s, evaluation 0.2 s, memory 30 MB" in (
        capsys.readouterr().out
    )
    assert (tmp_path / "growth.png").stat().st_size > 10_000


def test_a_process_that_fails_is_told_in_one_line():
    assert output_of("startup", ["-c", "print('there')"]) == "there\n"
    fails = "import sys; sys.exit('loading\\nerror: no room\\n')"
    with pytest.raises(InputError, match=r"^the part heads, 7, failed \(status 1\): no room$"):
        output_of("heads, 7,", ["-c", fails])
    with pytest.raises(InputError, match=r"\(status 3\): nothing on standard error"):
        output_of("startup", ["-c", "raise SystemExit(3)"])
    killed = "import os; os.kill(os.getpid(), 9)"
    with pytest.raises(InputError, match=r"\(status -9, perhaps for want of memory\)"):
        output_of("startup", ["-c", killed])


def test_a_point_of_growth_that_fails_is_named(monkeypatch):
    monkeypatch.setattr(growth, "_write", lambda path, at: None)
    with pytest.raises(InputError, match=r"^the part growth, images 10,000, failed \(status 1\)"):
        growth._measured("images", 10_000)


def test_unknown_part_is_one_line():
    words = [sys.executable, str(SCRIPT), "--parts=speed"]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.strip().endswith(
        "--parts: unknown speed; known: steps, association, startup, inference, heads, "
        "checkpoints, growth, photos, accuracy"
    )
    assert "Traceback" not in result.stderr
