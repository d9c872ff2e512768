import keras
import matplotlib.image
import numpy as np
import pytest
from matplotlib.collections import LineCollection

from semisup.data.dataset import Dataset
from semisup.data.splits import Split, choose_split
from semisup.evaluation.metrics import Report, predict
from semisup.losses import association
from semisup.models.associative_model import AssociativeModel
from semisup.visualization import figures

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(3), 20))
IMAGES = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
DATASET = Dataset("toy", IMAGES, LABELS, IMAGES, LABELS, ("ant", "bee", "cow"))
SPLIT = choose_split(DATASET, 5, 30, seed=0)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(8),
        ]
    )
    return AssociativeModel(network, 3)


def places(images):
    return [int(np.flatnonzero((image == IMAGES).all(axis=(1, 2, 3)))[0]) for image in images]


def test_sample_shows_labelled_images_by_class_and_unlabelled_in_order():
    sample = figures.choose_walk_sample(DATASET, SPLIT, per_class=2, unlabeled=12)
    np.testing.assert_array_equal(LABELS[places(sample.A)], [0, 0, 1, 1, 2, 2])
    assert set(places(sample.A)) <= set(SPLIT.labeled)
    assert set(places(sample.B)) <= set(SPLIT.unlabeled)
    assert len(set(places(sample.B))) == 12
    assert np.all(np.diff(LABELS[places(sample.B)]) >= 0)
    again = figures.choose_walk_sample(DATASET, SPLIT, per_class=2, unlabeled=12)
    np.testing.assert_array_equal(sample.B, again.B)


def test_lines_are_as_dark_as_the_steps_are_likely(model):
    sample = figures.choose_walk_sample(DATASET, SPLIT, per_class=2, unlabeled=12)
    A, B = (predict(model, images).embeddings for images in sample)
    walk = association.walk(A, B)
    [axes] = figures.association_figure({"title": model}, sample).axes
    first, second = (item for item in axes.collections if isinstance(item, LineCollection))
    for lines, P in ((first, np.asarray(walk.P_ab)), (second, np.asarray(walk.P_ba))):
        np.testing.assert_allclose(lines.get_alpha(), P[P > 0.01], rtol=1e-5)
    assert len(axes.images) == 6 + 12 + 6
    assert axes.get_title() == "title"


def test_walks_of_other_classes_and_faint_ones_are_drawn(model):
    """Labelled is the last class only; no step is likely enough for a line."""
    last = Split(SPLIT.labeled[LABELS[SPLIT.labeled] == 2], SPLIT.unlabeled)
    sample = figures.choose_walk_sample(DATASET, last, per_class=2, unlabeled=12, classes=1)
    np.testing.assert_array_equal(LABELS[places(sample.A)], [2, 2])
    many = figures.WalkSample(sample.A[:1] * 0, np.zeros((200, *sample.B.shape[1:]), np.uint8))
    [axes] = figures.association_figure({"title": model}, many).axes
    assert sum(isinstance(item, LineCollection) for item in axes.collections) == 1  # back to A


def test_confusion_figure_shows_counts_and_names():
    confusion = np.array([[8, 2, 0], [0, 5, 0], [1, 1, 3]])
    [axes] = figures.confusion_figure(Report(confusion, ("ant", "bee", "cow"))).axes
    assert sorted(text.get_text() for text in axes.texts) == sorted(["8", "2", "5", "1", "1", "3"])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ant", "bee", "cow"]
    assert axes.get_title() == "test error 20.00 %"


def test_figures_become_pixels_and_files(model, tmp_path):
    sample = figures.choose_walk_sample(DATASET, SPLIT)
    figure = figures.association_figure({"before": model, "after": model}, sample)
    assert [axes.get_title() for axes in figure.axes] == ["before", "after"]
    pixels = figures.to_pixels(figure)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 4
    assert pixels.shape[3] == 3
    assert pixels.min() < 100 < 250 < pixels.max()
    figures.save(figure, tmp_path / "walks.png")
    assert matplotlib.image.imread(tmp_path / "walks.png").shape[1] > 1000


def test_colour_images_get_a_frame(model):
    image = np.full((4, 4, 3), 51, np.uint8)
    framed = figures._inked(image, "#ff0000")
    assert framed.shape == (8, 8, 3)
    np.testing.assert_allclose(framed[0, 0], [1, 0, 0])
    np.testing.assert_allclose(framed[4, 4], [0.2, 0.2, 0.2], rtol=1e-5)
