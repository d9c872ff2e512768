import math

import pytest
from absl import flags
from reproduction import ranks

from semisup.config import Recipe
from semisup.errors import InputError
from semisup.evaluation.label_free import NAMES
from semisup.runs import files
from semisup.runs.directory import RunDirectory


def evaluations(values, errors):
    pairs = zip(values, errors, strict=True)
    return [{"step": s, "score": v, "test_error": e} for s, (v, e) in enumerate(pairs, start=1)]


def test_a_score_that_rises_as_the_error_falls_has_rank_correlation_1():
    assert ranks.rank_correlation(evaluations([1, 2, 30], [9.0, 5.0, 4.9]), "score") == 1
    assert ranks.rank_correlation(evaluations([3, 2, 1], [9.0, 5.0, 4.9]), "score") == -1
    # By hand: ranks 1 2 3 4 against 1 2 4 3 give 1 - 6 * 2 / (4 * 15) = 0.8.
    found = ranks.rank_correlation(evaluations([1, 2, 3, 4], [9.0, 8.0, 6.0, 7.0]), "score")
    assert found == pytest.approx(0.8)


def test_no_order_where_nothing_varies():
    assert math.isnan(ranks.rank_correlation(evaluations([1, 1, 1], [9.0, 5.0, 4.0]), "score"))
    assert math.isnan(ranks.rank_correlation(evaluations([1, 2], [9.0, 5.0]), "score"))


def test_within_runs_passes_over_runs_without_an_order():
    runs = [
        evaluations([1, 2, 3], [9.0, 5.0, 4.0]),
        evaluations([3, 2, 1], [9.0, 5.0, 4.0]),
        evaluations([1, 2, 3], [6.0, 5.0, 4.0]),
        evaluations([1, 1, 1], [6.0, 5.0, 4.0]),
    ]
    assert ranks.within_runs(runs, "score") == 1.0
    assert math.isnan(ranks.within_runs(runs[-1:], "score"))


def test_the_latest_of_equals_is_chosen():
    chosen = ranks.chosen_by(evaluations([0.5, 0.7, 0.7, 0.6], [4.0, 3.0, 2.0, 1.0]), "score")
    assert chosen["step"] == 3


def a_finished_run(folder, **settings):
    """Make the folder of a run with label-free scores."""
    run, recipe = RunDirectory(folder), Recipe(**settings)
    run.claim(recipe, {"hash": "abcd"}, [])
    for step in (1, 2):
        run.append_evaluation({"step": step, "test_error": 3.0, **dict.fromkeys(NAMES, 0.5)})
    made = {"steps": 2, "hardware": "an abacus", "versions": {"keras": "3.1"}}
    files.write_json(run.result, {"test_error": 3.0, "date": "2026-01-02", **made})
    return run


@pytest.fixture
def script(imported, monkeypatch):
    """The script, without TensorFlow's notes; its flags are gone afterwards."""
    module = imported("label_free_ranks")
    monkeypatch.setattr(module, "load_tensorflow", lambda: None)
    return module


def test_the_record_says_how_each_run_was_made(tmp_path, script, capsys):
    for seed in range(2):
        a_finished_run(tmp_path / f"seed{seed}", seed=seed, sup_seed=seed + 5)
    without = a_finished_run(tmp_path / "without")
    without.metrics.unlink()
    without.append_evaluation({"step": 1, "test_error": 3.0})
    flags.FLAGS(["", f"--runs={tmp_path}", f"--out={tmp_path / 'ranks.json'}"])
    script.main()
    assert capsys.readouterr().out.startswith("1 finished runs without test errors or label-free")
    content = files.read_json(tmp_path / "ranks.json")
    assert content["runs"] == 2
    made = {"steps": 2, "hardware": "an abacus", "versions": {"keras": "3.1"}}
    made |= {"dataset": "mnist5k", "target_dataset": None, "date": "2026-01-02"}
    first = {"run": f"{tmp_path.name}/seed0", "seed": 0, "sup_seed": 5, **made}
    second = {**first, "run": f"{tmp_path.name}/seed1", "seed": 1, "sup_seed": 6}
    assert content["each_run"] == [first, second]


def test_runs_on_several_data_sets_are_refused(tmp_path, script):
    a_finished_run(tmp_path / "1", dataset="usps")
    a_finished_run(tmp_path / "2", dataset="usps", target_dataset="mnist")
    flags.FLAGS(["", f"--runs={tmp_path}"])
    with pytest.raises(InputError, match=r"together: usps \(1\), usps to mnist \(1\); name"):
        script.main()
