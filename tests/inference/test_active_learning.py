"""The images suggested for labelling are those that labels would help with."""

import csv
import dataclasses

import matplotlib.image
import numpy as np
import pytest

from semisup import experiment
from semisup.config import Recipe
from semisup.evaluation.metrics import predict
from semisup.inference import active_learning
from semisup.runs.directory import RunDirectory

RANDOM = np.random.default_rng(0)


def around(centre, count):
    return (np.array(centre) + RANDOM.normal(0, 0.15, (count, len(centre)))).astype(np.float32)


# Two labelled classes; 100 images of each, 10 between them, 10 of a class without labels.
A = np.concatenate([around([3, 0, 0], 5), around([0, 3, 0], 5)])
LABELS = np.repeat([4, 7], 5)
B = np.concatenate(
    [around([3, 0, 0], 100), around([0, 3, 0], 100), around([2, 2, 0], 10), around([0, 0, 3], 10)]
)


@pytest.mark.parametrize(("metric", "temperature"), [("dot", 1.0), ("cosine", 0.1)])
def test_statistics_equal_a_plain_loop(metric, temperature):
    statistics = active_learning.walk_statistics(A, B, LABELS, metric, temperature)
    M = A.astype(np.float64) @ B.T / temperature
    if metric == "cosine":
        M /= np.outer(*(np.linalg.norm(each, axis=1) for each in (A, B)))
    for j in (0, 150, 205, 215):
        visit = np.mean([np.exp(M[i, j]) / np.exp(M[i]).sum() for i in range(len(A))])
        back = np.exp(M[:, j]) / np.exp(M[:, j]).sum()
        shares = np.array([back[:5].sum(), back[5:].sum()])
        assert statistics.visit[j] == pytest.approx(visit, rel=1e-4)
        uncertainty = -np.sum(shares * np.log(shares)) / np.log(2)
        assert statistics.uncertainty[j] == pytest.approx(uncertainty, rel=1e-4, abs=1e-9)
        assert statistics.back_to[j] == (4, 7)[shares.argmax()]
    assert statistics.visit.sum() == pytest.approx(1)


def test_of_one_labelled_class_only_the_visits_count():
    statistics = active_learning.walk_statistics(A[:5], B, LABELS[:5])
    np.testing.assert_allclose(statistics.uncertainty, 0, atol=1e-5)
    assert np.isfinite(active_learning.scores(statistics)).all()


def test_images_of_no_labelled_class_come_first():
    score = active_learning.scores(active_learning.walk_statistics(A, B, LABELS))
    assert score.min() >= 0
    assert score.max() <= 1
    assert set(np.argsort(-score)[:10]) <= set(range(200, 220))


def test_choice_is_spread_out_and_holds_no_image_twice():
    again = np.concatenate([B, np.repeat(B[-1:], 30, axis=0)])  # one image, many times
    score = active_learning.scores(active_learning.walk_statistics(A, again, LABELS))
    chosen = active_learning.choose(score, again, 8)
    assert len(chosen) == 8
    assert len(np.unique(again[chosen], axis=0)) == 8
    assert np.all(np.diff(score[chosen]) <= 0)
    np.testing.assert_array_equal(chosen, active_learning.choose(score, again, 8))
    assert len(active_learning.choose(np.zeros(5), np.zeros((5, 2)), 3)) == 1


def test_choice_is_nearest_to_the_centre_of_each_clusters_upper_half():
    """Two clusters of directions, 0.1 rad apart, whose centre is their third one."""
    angles = np.concatenate([np.arange(5) * 0.1, 1.5 + np.arange(5) * 0.1])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    score = np.array([0.9, 0.8, 0.1, 0.2, 0.3, 0.4, 0.2, 0.3, 0.5, 0.6])
    # The nearest, 2 and 7, have low scores, or the median; so do their neighbours 3 and 6.
    np.testing.assert_array_equal(active_learning.choose(score, embeddings, 2), [1, 8])


def test_suggestions_are_written_and_have_no_label_yet(tmp_path):
    recipe = Recipe(sup_per_class=2, sup_per_batch=2, unsup_batch_size=10, unsup_samples=300)
    setup = experiment.build(recipe)
    assert "nearly the same embedding as one of these" in active_learning.why_fewer(setup.data, 3)
    unlabeled = len(set(setup.data.split.unlabeled) - set(setup.data.split.labeled))
    assert f"only {unlabeled} unl" in active_learning.why_fewer(setup.data, unlabeled)
    chosen = active_learning.write(RunDirectory(tmp_path), setup.data, setup.model, 12)
    assert len(chosen) == 12
    assert set(chosen) <= set(setup.data.split.unlabeled) - set(setup.data.split.labeled)
    with (tmp_path / "suggestions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [f"mnist5k/train[{i}]" for i in chosen]
    assert tuple(rows[0]) == active_learning.COLUMNS
    picture = matplotlib.image.imread(tmp_path / "suggestions.png")
    assert picture.shape[1] > 1000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["suggestions.csv", "suggestions.png"]


def test_suggestions_say_of_each_image_what_is_true_of_it(tmp_path, monkeypatch):
    recipe = Recipe(sup_per_class=2, sup_per_batch=2, unsup_batch_size=10, unsup_samples=300)
    setup = experiment.build(recipe)
    images, split = setup.data.dataset.train_images, setup.data.split
    unlabeled = np.setdiff1d(split.unlabeled, split.labeled)
    labels, model = setup.data.labeled_labels, setup.model
    A, B = (predict(model, images[i]).embeddings for i in (split.labeled, unlabeled))
    statistics = active_learning.walk_statistics(A, B, labels, model.similarity, model.temperature)
    score, sheets = active_learning.scores(statistics), []
    contact_sheet = active_learning.contact_sheet
    monkeypatch.setattr(
        active_learning, "contact_sheet", lambda *a: (sheets.append(a), contact_sheet(*a))[1]
    )
    chosen = active_learning.write(RunDirectory(tmp_path), setup.data, model, 12)
    [(pictures, captions, _)] = sheets
    np.testing.assert_array_equal(pictures, images[chosen])
    with (tmp_path / "suggestions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["score"] for row in rows}) > 6 and len({row["back_to"] for row in rows}) > 1
    for rank, (row, caption) in enumerate(zip(rows, captions, strict=True), start=1):
        [place] = np.flatnonzero(unlabeled == int(row["path"][len("mnist5k/train[") : -1]))
        assert float(row["score"]) == pytest.approx(score[place], abs=0.01)
        assert float(row["visit_probability"]) == pytest.approx(statistics.visit[place], rel=0.01)
        assert float(row["uncertainty"]) == pytest.approx(statistics.uncertainty[place], abs=0.001)
        assert row["back_to"] == str(statistics.back_to[place])
        assert caption == f"{rank}: {row['back_to']}?\n{float(row['uncertainty']):.2f}"


def test_suggestions_are_by_as_many_labels_of_each_class(tmp_path, monkeypatch):
    walk = {"similarity": "euclidean", "temperature": 0.3}
    setup = experiment.build(Recipe(sup_per_class=3, sup_per_batch=2, unsup_samples=50, **walk))
    split = setup.data.split
    fewer = np.delete(split.labeled, np.flatnonzero(setup.data.labeled_labels == 4)[:2])
    data = dataclasses.replace(setup.data, split=dataclasses.replace(split, labeled=fewer))
    seen = []
    walk_statistics = active_learning.walk_statistics

    def kept(A, B, labels, *rest):
        seen.append(labels)
        assert rest == ("euclidean", 0.3)  # the model's own walk
        return walk_statistics(A, B, labels, *rest)

    monkeypatch.setattr(active_learning, "walk_statistics", kept)
    active_learning.write(RunDirectory(tmp_path), data, setup.model, 2)
    assert np.bincount(seen[0]).tolist() == [3] * 10


def test_balanced_has_as_many_of_each_class():
    labels = np.repeat([0, 1, 2], [4, 1, 9])
    of_each = [0, 1, 2, 3, *[4] * 4, 5, 7, 10, 13]
    assert active_learning.balanced(labels, 12).tolist() == of_each
    assert np.bincount(labels[active_learning.balanced(labels, 1000)]).tolist() == [9, 9, 9]
    assert active_learning.balanced(np.array([1, 0]), 1).tolist() == [1, 0]
    even = np.array([2, 0, 2, 0])
    assert sorted(active_learning.balanced(even, 1000)) == [0, 1, 2, 3]


def test_a_class_of_many_labels_does_not_draw_the_steps_of_others():
    many = np.concatenate([np.repeat(A[:5], 30, axis=0), A[5:]])
    labels = np.concatenate([np.repeat(LABELS[:5], 30), LABELS[5:]])
    places = active_learning.balanced(labels, 1000)
    one = active_learning.walk_statistics(A, B, LABELS)
    other = active_learning.walk_statistics(many[places], B, labels[places])
    assert other.back_to.tolist() == one.back_to.tolist()
    np.testing.assert_allclose(other.uncertainty, one.uncertainty, atol=0.05)
    np.testing.assert_allclose(other.visit, one.visit, rtol=0.2)


def test_score_is_the_mean_of_both_ranks():
    visit, uncertainty = np.array([0.1, 0.4, 0.3, 0.2]), np.array([0.0, 0.2, 0.9, 0.5])
    statistics = active_learning.WalkStatistics(visit, uncertainty, np.zeros(4, int))
    # Of rarity the ranks are 3, 0, 1, 2, of uncertainty 0, 1, 3, 2; the highest is 3.
    np.testing.assert_allclose(active_learning.scores(statistics), np.array([3, 1, 4, 4]) / 6)
