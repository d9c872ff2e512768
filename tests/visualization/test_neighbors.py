import keras
import numpy as np
import pytest
from matplotlib.colors import to_rgba

from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData
from semisup.data.splits import choose_split
from semisup.evaluation.metrics import evaluate, predict
from semisup.models.associative_model import AssociativeModel
from semisup.visualization.neighbors import neighbors_figure
from semisup.visualization.plots import BLUE
from tests.visualization.sheets import shown

CLASSES = ("ant", "bee", "cow")


def class_images(labels, seed):
    """8x8 images: noise, and a bright band whose place is the class."""
    images = np.random.default_rng(seed).integers(0, 90, (len(labels), 8, 8, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] = 250
    return images


LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(3), 20))
TRAIN, TEST = class_images(LABELS, 1), class_images(LABELS, 2)


@pytest.fixture(scope="module")
def model():
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    return AssociativeModel(keras.Sequential(layers), 3)


def drawn(model, dataset, split):
    data = LabeledData(dataset, split)
    found = evaluate(model, dataset.test_images, dataset.test_labels, dataset.class_names)
    return neighbors_figure(model, data, found)


def test_neighbors_figure_has_a_row_a_class_with_its_neighbours(model):
    dataset = Dataset("toy", TRAIN, LABELS, TEST, LABELS, CLASSES)
    split = choose_split(dataset, 5, 40, seed=0)
    figure = drawn(model, dataset, split)
    axes = figure.axes
    assert len(axes) == 2 * 3
    for c, (query, neighbours) in enumerate(zip(axes[::2], axes[1::2], strict=True)):
        assert query.texts[0].get_text() == CLASSES[c]
        [looked_up] = shown(query, TEST)
        assert LABELS[looked_up] == c
        found = shown(neighbours, TRAIN)
        assert len(found) == 5
        assert set(found) <= set(split.unlabeled)
        assert all(LABELS[found] == c)  # the bands outweigh the noise
        written = [float(text.get_text()) for text in neighbours.texts]
        assert written == sorted(written, reverse=True)
        pixels = [TRAIN[i].ravel().astype(float) for i in found]
        itself = TEST[looked_up].ravel().astype(float)
        cosine = [p @ itself / np.linalg.norm(p) / np.linalg.norm(itself) for p in pixels]
        np.testing.assert_allclose(written, cosine, atol=0.006)
    assert figure.get_suptitle().startswith(
        "toy: test images, each with the nearest of 40 unlabelled images"
    )


def test_neighbors_figure_tells_neighbours_of_other_classes(model):
    labels = LABELS.copy()
    labels[::2] = (labels[::2] + 1) % 3  # so half of the training images are of another class
    dataset = Dataset("toy", TRAIN, labels, TEST, LABELS, CLASSES)
    axes = drawn(model, dataset, choose_split(dataset, 5, seed=0)).axes
    framed = [
        (labels[i] == c, frame.get_edgecolor() == to_rgba(BLUE))
        for c, neighbours in enumerate(axes[1::2])
        for i, frame in zip(shown(neighbours, TRAIN), neighbours.patches, strict=True)
    ]
    assert {same for same, _ in framed} == {True, False}
    assert all(same == blue for same, blue in framed)


def test_neighbors_figure_looks_up_unlabelled_images_of_their_own_too(model):
    own = class_images(LABELS, 3)
    dataset = Dataset("toy", TRAIN, LABELS, TEST, LABELS, CLASSES, unlabeled_images=own)
    figure = drawn(model, dataset, choose_split(dataset, 5))
    axes = figure.axes
    assert len(axes) == 2 * (3 + 4)
    for query, neighbours in zip(axes[6::2], axes[7::2], strict=True):
        assert query.texts[0].get_text() == "unlabelled"
        [itself] = shown(query, own)
        assert itself not in shown(neighbours, own)
        assert len(shown(neighbours, own)) == 5
    assert "test images and some unlabelled ones" in figure.get_suptitle()
    assert not any(neighbours.patches for neighbours in axes[1::2])  # nobody knows what is right


def test_neighbors_figure_takes_no_labelled_image_for_an_unlabelled_one(model):
    own = class_images(LABELS[:3], 3)
    dataset = Dataset(
        "toy", TRAIN, LABELS, TEST, LABELS, CLASSES, unlabeled_images=own, train_in_pool=True
    )
    axes = drawn(model, dataset, choose_split(dataset, 5)).axes
    queries = [query for query in axes[::2] if query.texts[0].get_text() == "unlabelled"]
    assert sorted(i for query in queries for i in shown(query, own)) == [0, 1, 2]


def test_neighbors_figure_embeds_test_images_never(model, monkeypatch):
    """They have been embedded for the evaluation."""
    dataset = Dataset("toy", TRAIN, LABELS, TEST, LABELS, CLASSES)
    data = LabeledData(dataset, choose_split(dataset, 5, 40, seed=0))
    found = evaluate(model, dataset.test_images, dataset.test_labels, dataset.class_names)
    embedded = []

    def record(model, images):
        embedded.append(np.asarray(images))
        return predict(model, images)

    monkeypatch.setattr("semisup.visualization.neighbors.predict", record)
    neighbors_figure(model, data, found)
    [images] = embedded
    np.testing.assert_array_equal(images, TRAIN[data.split.unlabeled])


def test_neighbors_figure_of_many_classes_shows_ten_of_them(model):
    labels = np.arange(60) % 30
    dataset = Dataset("toy", TRAIN, labels, TEST, labels, tuple(map(str, range(30))))
    figure = drawn(model, dataset, choose_split(dataset, 1))
    axes = figure.axes
    assert "test images of 10 of the 30 classes" in figure.get_suptitle()
    names = [int(query.texts[0].get_text()) for query in axes[::2]]
    assert len(names) == 10
    assert names[0] == 0
    assert names[-1] == 29
