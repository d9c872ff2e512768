import math

import keras
import numpy as np
import pytest

from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData
from semisup.data.splits import choose_split
from semisup.evaluation import label_free
from semisup.evaluation.label_free import Probe
from semisup.models.associative_model import AssociativeModel

CLASSES = 3


def corner_images(labels, wrong=()):
    """1x1 images with a channel for each class, bright at their class; `wrong` at the next."""
    shown = np.array(labels)
    shown[list(wrong)] = (shown[list(wrong)] + 1) % CLASSES
    return (np.eye(CLASSES)[shown] * 255).astype(np.uint8).reshape(-1, 1, 1, CLASSES)


def classifier(confusing=False, scale=20.0, **options):
    """Embeds an image as `scale` times its class's axis, and classifies by the axis."""
    network = keras.Sequential(
        [keras.Input((1, 1, CLASSES)), keras.layers.Rescaling(scale / 255), keras.layers.Flatten()]
    )
    model = AssociativeModel(network, CLASSES, similarity="dot", **options)
    weights = np.eye(CLASSES)[[1, 2, 0]] if confusing else np.eye(CLASSES)
    model.classifier.set_weights([weights, np.zeros(CLASSES)])
    return model


A = np.repeat(np.arange(CLASSES), 2)
B = np.repeat(np.arange(CLASSES), 10)
PROBE = Probe(corner_images(A), A, corner_images(B))


def test_scores_of_a_perfect_model_are_the_best():
    found = label_free.scores(classifier(), PROBE)
    assert tuple(found) == label_free.NAMES
    np.testing.assert_allclose(list(found.values()), 1.0, atol=1e-4)


def test_scores_fall_each_for_its_own_fault():
    names = dict(zip(("p_correct", "visit_entropy", "agreement"), label_free.NAMES, strict=False))
    # The classifier says otherwise than the association, which itself is perfect.
    found = label_free.scores(classifier(confusing=True), PROBE)
    assert found[names["agreement"]] == 0
    assert found[names["p_correct"]] == pytest.approx(1, abs=1e-4)
    assert found[label_free.SCORE] == 0
    # One class of three has no unlabelled image: its walkers end in the other two.
    without = Probe(PROBE.A, A, corner_images(B[B > 0]))
    assert label_free.scores(classifier(), without)[names["p_correct"]] == pytest.approx(2 / 3)
    # All walkers crowd on one image of a hundred: the visits' entropy is nearly 0.
    crowd = np.zeros((100, 1, 1, CLASSES), np.uint8)
    crowd[0] = 255
    found = label_free.scores(classifier(), Probe(PROBE.A, A, crowd))
    assert found[names["visit_entropy"]] < 0.01
    assert found[label_free.SCORE] < 0.5


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_scores_are_by_the_models_own_similarity(similarity):
    """All embeddings are of one direction, so by their cosine nothing can be told apart."""
    network = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten()])
    model = AssociativeModel(network, 2, similarity=similarity)
    labels = np.repeat([0, 1], 5)
    images = np.where(labels, 200, 100).astype(np.uint8).reshape(-1, 1, 1, 1)
    found = label_free.scores(model, Probe(images, labels, images))
    assert found["label_free_p_correct"] == pytest.approx(
        {"cosine": 0.5, "euclidean": 1.0}[similarity], abs=1e-4
    )
    # By the dot product all would go to the brighter ones.
    assert found["label_free_visit_entropy"] == pytest.approx(1.0, abs=1e-4)
    if similarity == "euclidean":
        model.classifier.set_weights([np.array([[0.0, 1.0]]), np.array([0.0, -150.0])])
        assert label_free.scores(model, Probe(images, labels, images))["label_free_agreement"] == 1


def test_scores_are_by_the_models_own_temperature():
    """Three labelled images of one class outweigh a nearer one of another, unless it is low."""
    labels = np.array([0, 0, 0, 1])
    mixed = np.array([200, 255, 0], np.uint8).reshape(1, 1, 1, CLASSES)
    probe = Probe(corner_images(labels), labels, np.concatenate([mixed, corner_images([0])]))
    found = label_free.scores(classifier(scale=1.0, temperature=0.1), probe)
    wanted = label_free.scores(classifier(scale=math.sqrt(10)), probe)
    assert found == pytest.approx(wanted, rel=1e-4)
    assert found["label_free_agreement"] == 1
    plain = label_free.scores(classifier(scale=1.0), probe)
    assert plain["label_free_agreement"] == 0.5


def test_scores_have_the_entropy_of_the_visits():
    model = classifier(scale=math.sqrt(math.log(3)))  # one step in class is 3 times as likely
    probe = Probe(corner_images([0, 0]), np.array([0, 0]), corner_images([0, 1]))
    P = np.array([0.75, 0.25])
    found = label_free.scores(model, probe)
    wanted = -np.sum(P * np.log(P)) / np.log(2)
    assert found["label_free_visit_entropy"] == pytest.approx(wanted, rel=1e-5)
    # Each walk is right; the classifier disagrees on one image of two.
    assert found[label_free.SCORE] == pytest.approx((1.0 * wanted * 0.5) ** (1 / 3), rel=1e-5)


def test_choose_probe_is_of_the_split_and_always_the_same():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(3), 40))
    images = np.arange(120, dtype=np.uint8).reshape(-1, 1, 1, 1)  # an image's pixel is its number
    dataset = Dataset("toy", images, labels, images, labels, ("a", "b", "c"))
    split = choose_split(dataset, 12, 50, seed=3)
    data = LabeledData(dataset, split)
    probe = label_free.choose_probe(data, per_class=10, unlabeled=30)
    np.testing.assert_array_equal(np.bincount(probe.labels), [10, 10, 10])
    np.testing.assert_array_equal(labels[probe.A.ravel()], probe.labels)
    assert set(probe.A.ravel()) <= set(split.labeled)
    assert len(set(probe.B.ravel()) & set(split.unlabeled)) == 30
    again = label_free.choose_probe(data, per_class=10, unlabeled=30)
    np.testing.assert_array_equal(probe.B, again.B)
