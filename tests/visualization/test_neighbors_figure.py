import keras
import numpy as np
import pytest

from semisup.data.dataset import Dataset
from semisup.data.splits import choose_split
from semisup.evaluation.neighbors import nearest
from semisup.models.associative_model import AssociativeModel
from semisup.visualization.neighbors_figure import neighbours_figure

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


def place(image, images):
    return int(np.flatnonzero((images[..., 0] == image.get_array()).all(axis=(1, 2)))[0])


def test_nearest_by_cosine_is_the_nearest_by_hand():
    random = np.random.default_rng(0)
    queries, embeddings = random.normal(size=(4, 6)), random.normal(size=(30, 6))
    found = nearest(queries, embeddings, 5)
    for query, indices, similarity in zip(queries, *found, strict=True):
        cosine = [q @ query / np.linalg.norm(q) / np.linalg.norm(query) for q in embeddings]
        np.testing.assert_array_equal(indices, np.argsort(cosine)[::-1][:5])
        np.testing.assert_allclose(similarity, np.sort(cosine)[::-1][:5], atol=1e-6)
    assert nearest(queries, embeddings[:3], 5).indices.shape == (4, 3)


def test_figure_has_a_row_a_class_with_its_neighbours(model):
    dataset = Dataset("toy", TRAIN, LABELS, TEST, LABELS, CLASSES)
    split = choose_split(dataset, 5, 40, seed=0)
    axes = neighbours_figure(model, dataset, split).axes
    assert len(axes) == 2 * 3
    for c, (query, neighbours) in enumerate(zip(axes[::2], axes[1::2], strict=True)):
        assert query.texts[0].get_text() == CLASSES[c]
        assert LABELS[place(query.images[0], TEST)] == c
        found = [place(image, TRAIN) for image in neighbours.images]
        assert len(found) == 5
        assert set(found) <= set(split.unlabeled)
        assert all(LABELS[found] == c)  # the bands outweigh the noise
        written = [float(text.get_text()) for text in neighbours.texts]
        assert written == sorted(written, reverse=True)
        pixels = [image.get_array().ravel().astype(float) for image in neighbours.images]
        shown = query.images[0].get_array().ravel().astype(float)
        cosine = [p @ shown / np.linalg.norm(p) / np.linalg.norm(shown) for p in pixels]
        np.testing.assert_allclose(written, cosine, atol=0.006)


def test_unlabelled_images_of_their_own_are_looked_up_too(model):
    own = class_images(LABELS, 3)
    dataset = Dataset("toy", TRAIN, LABELS, TEST, LABELS, CLASSES, unlabeled_images=own)
    axes = neighbours_figure(model, dataset, choose_split(dataset, 5)).axes
    assert len(axes) == 2 * (3 + 4)
    for query, neighbours in zip(axes[6::2], axes[7::2], strict=True):
        assert query.texts[0].get_text() == "unlabelled"
        itself = place(query.images[0], own)
        assert itself not in [place(image, own) for image in neighbours.images]
        assert len(neighbours.images) == 5
