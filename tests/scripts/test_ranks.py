import math

import pytest
from reproduction import ranks


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
