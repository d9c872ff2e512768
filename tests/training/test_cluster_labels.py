"""Pseudo-labels by clusters: what they are of clusters that are known, and when there are none."""

import numpy as np
import pytest

from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData
from semisup.data.lazy_images import with_features
from semisup.data.splits import Split
from semisup.training import cluster_labels
from semisup.training.cluster_labels import predict_cluster_labels

CLASSES = ("a", "b", "c", "d")


def make_data(directions, labeled_directions, labeled_labels, classes=CLASSES):
    """Unlabelled images about some directions, 0 ... 3, and labelled ones, as features."""
    random = np.random.default_rng(0)

    def of(directions):
        features = 5 * np.eye(6)[directions] + random.normal(0, 0.3, (len(directions), 6))
        scale = random.uniform(0.5, 2, (len(directions), 1))  # of no importance
        images = np.zeros((len(directions), 1, 1, 1), np.uint8)
        return with_features(images, (scale * features).astype(np.float32))

    train = of(labeled_directions)
    pool = of(directions)
    dataset = Dataset(
        "clusters",
        train,
        np.asarray(labeled_labels),
        train,
        np.asarray(labeled_labels),
        classes,
        unlabeled_images=pool,
    )
    return LabeledData(dataset, Split(np.arange(len(train)), np.arange(len(pool))))


def test_predict_cluster_labels_gives_the_most_typical_of_each_cluster_its_class():
    directions = np.repeat([2, 0, 3, 1], 25)
    data = make_data(directions, [0, 1, 2, 3], [0, 1, 2, 3])
    labels = predict_cluster_labels(data, 0.2)
    assert np.bincount(labels.labels).tolist() == [5] * 4
    np.testing.assert_array_equal(labels.labels, directions[labels.indices])
    assert np.all(np.diff(labels.indices) > 0)
    # Those that lie nearer to their own direction than to any other by the widest margin.
    units = data.dataset.unlabeled_pool.features
    units = units / np.linalg.norm(units, axis=1, keepdims=True)
    margins = np.ptp(np.sort(units[:, :4], axis=1)[:, -2:], axis=1)
    for cluster in range(4):
        of_cluster = directions == cluster
        chosen = np.isin(np.arange(100), labels.indices)
        assert margins[of_cluster & chosen].mean() > margins[of_cluster & ~chosen].mean()


def test_predict_cluster_labels_matches_clusters_to_classes_one_to_one():
    # Two labelled images lie among those of direction 1; that of class 0 a little less.
    data = make_data(np.repeat(range(4), 30), [1, 1, 2, 3], range(4))
    data.dataset.train_images.all_features[0] += [3, 0, 0, 0, 0, 0]
    labels = predict_cluster_labels(data, 1.0)
    assert np.bincount(labels.labels).tolist() == [30] * 4
    assert set(labels.labels[:30]) == {0}


@pytest.mark.parametrize("labeled", [[1, 0, 3, 2], [2, 3, 0, 1]])
def test_predict_cluster_labels_takes_any_order_of_classes(labeled):
    directions = np.repeat(range(4), 10)
    labels = predict_cluster_labels(make_data(directions, labeled, range(4)), 1.0)
    np.testing.assert_array_equal(np.asarray(labeled)[labels.labels], directions)


def test_predict_cluster_labels_finds_clusters_of_some_images_drawn_evenly(monkeypatch):
    """The first so many would all be of one cluster."""
    monkeypatch.setattr(cluster_labels, "_IMAGES", 20)
    directions = np.repeat(range(4), 25)
    labels = predict_cluster_labels(make_data(directions, range(4), range(4)), 1.0)
    np.testing.assert_array_equal(labels.labels, directions)


def test_predict_cluster_labels_counts_each_labelled_image_alike():
    """One of class 0 lies among those of class 1, and its features are large."""
    directions = np.repeat(range(4), 25)
    data = make_data(directions, [0, 0, 1, 1, 2, 3], [0, 0, 0, 1, 2, 3])
    data.dataset.train_images.all_features[2] *= 100
    labels = predict_cluster_labels(data, 1.0)
    np.testing.assert_array_equal(labels.labels, directions)


def test_predict_cluster_labels_knows_the_classes_that_have_labels_only():
    data = make_data(np.repeat([0, 1], 20), [1, 0], [3, 1])
    labels = predict_cluster_labels(data, 0.5)
    assert set(labels.labels[labels.indices < 20]) == {1}
    assert set(labels.labels[labels.indices >= 20]) == {3}


def test_predict_cluster_labels_leaves_labelled_images_out():
    data = make_data(np.repeat([0, 1], 20), [0, 1], [0, 1], ("a", "b"))
    pool = data.dataset.unlabeled_pool
    dataset = Dataset(
        "in_pool", pool, np.repeat([0, 1], 20), pool, np.repeat([0, 1], 20), ("a", "b")
    )
    split = Split(np.array([3, 33]), np.arange(40))
    labels = predict_cluster_labels(LabeledData(dataset, split), 1.0)
    assert sorted({*range(40)} - set(labels.indices)) == [3, 33]


def test_predict_cluster_labels_gives_none_where_clusters_are_not_the_classes(caplog):
    # Each class lies in all directions.
    data = make_data(np.repeat(range(4), 20), [0, 1, 2, 3] * 4, np.repeat(range(4), 4))
    labels = predict_cluster_labels(data, 0.5)
    assert labels.indices.shape == labels.labels.shape == (0,)
    assert "labelled images lie in the cluster of their class" in caplog.text
    # Of 16, a quarter may lie elsewhere.
    of_each = [[0, 0, 0, 1], [1, 1, 1, 2], [2, 2, 2, 3], [3, 3, 3, 0]]
    for elsewhere, found in ((3, 80), (2, 0)):
        of_each[0][2] = 0 if elsewhere == 3 else 2
        data = make_data(np.repeat(range(4), 20), np.ravel(of_each), np.repeat(range(4), 4))
        assert len(predict_cluster_labels(data, 1.0).indices) == found
    few = make_data([0, 1, 2, 3], [0, 1, 2, 3], range(4))
    assert len(predict_cluster_labels(few, 0.5).indices) == 0
    assert "4 images without a label are too few for 4 classes" in caplog.text
