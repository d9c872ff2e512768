import keras
import numpy as np
import pytest
from matplotlib.collections import LineCollection

from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData
from semisup.data.splits import Split, choose_split
from semisup.errors import InputError
from semisup.evaluation.metrics import predict
from semisup.losses import association
from semisup.models.associative_model import AssociativeModel
from semisup.visualization import plots, walks

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(3), 20))
IMAGES = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
DATASET = Dataset("toy", IMAGES, LABELS, IMAGES, LABELS, ("ant", "bee", "cow"))
SPLIT = choose_split(DATASET, 5, 30, seed=0)
DATA = LabeledData(DATASET, SPLIT)


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
    return AssociativeModel(network, 3, similarity="dot")


def places(images):
    return [int(np.flatnonzero((image == IMAGES).all(axis=(1, 2, 3)))[0]) for image in images]


def test_choose_walk_sample_shows_labelled_images_by_class_and_unlabelled_in_order():
    sample = walks.choose_walk_sample(DATA, per_class=2, unlabeled=12)
    np.testing.assert_array_equal(LABELS[places(sample.A)], [0, 0, 1, 1, 2, 2])
    assert set(places(sample.A)) <= set(SPLIT.labeled)
    assert set(places(sample.B)) <= set(SPLIT.unlabeled)
    assert len(set(places(sample.B))) == 12
    assert np.all(np.diff(LABELS[places(sample.B)]) >= 0)
    again = walks.choose_walk_sample(DATA, per_class=2, unlabeled=12)
    np.testing.assert_array_equal(sample.B, again.B)


@pytest.mark.parametrize(("similarity", "temperature"), [("dot", 1.0), ("euclidean", 0.5)])
def test_association_figure_has_lines_as_dark_as_the_steps_are_likely(
    model, similarity, temperature
):
    model = AssociativeModel(model.network, 3, similarity=similarity, temperature=temperature)
    sample = walks.choose_walk_sample(DATA, per_class=2, unlabeled=12)
    A, B = (predict(model, images).embeddings for images in sample)
    walk = association.walk(A, B, similarity, temperature)
    [axes] = walks.association_figure({"title": model}, sample).axes
    first, second = (item for item in axes.collections if isinstance(item, LineCollection))
    for lines, P in ((first, np.asarray(walk.P_ab)), (second, np.asarray(walk.P_ba))):
        np.testing.assert_allclose(lines.get_alpha(), P[P > 0.01], rtol=1e-5)
    assert len(axes.images) == 6 + 12 + 6
    assert axes.get_title() == "title"


def test_association_figure_draws_walks_of_other_classes_and_faint_ones(model):
    """Labelled is the last class only; no step is likely enough for a line."""
    last = Split(SPLIT.labeled[LABELS[SPLIT.labeled] == 2], SPLIT.unlabeled)
    sample = walks.choose_walk_sample(
        LabeledData(DATASET, last), per_class=2, unlabeled=12, classes=1
    )
    np.testing.assert_array_equal(LABELS[places(sample.A)], [2, 2])
    many = walks.WalkSample(sample.A[:1] * 0, np.zeros((200, *sample.B.shape[1:]), np.uint8))
    [axes] = walks.association_figure({"title": model}, many).axes
    assert sum(isinstance(item, LineCollection) for item in axes.collections) == 1  # back to A


def test_association_figure_has_a_panel_a_model_and_a_title(model):
    sample = walks.choose_walk_sample(DATA)
    models = {"before $ and $": model, "after": model}
    figure = walks.association_figure(models, sample, "a$b$_c")
    assert [axes.get_title() for axes in figure.axes] == list(models)
    assert figure.get_suptitle() == "a$b$_c"
    pixels = plots.to_pixels(figure)
    assert pixels.shape[2] >= 1300
    assert pixels.min() < 100 < 250 < pixels.max()


def test_choose_walk_sample_of_some_classes_is_of_these_alone():
    sample = walks.choose_walk_sample(DATA, unlabeled=12, classes=2)
    assert set(LABELS[places(sample.A)]) == {0, 1} == set(LABELS[places(sample.B)])
    # Where the classes of the unlabelled images are not known, they are taken as they come.
    own = IMAGES[::-1].copy()
    unknown = Dataset("toy", IMAGES, LABELS, IMAGES, LABELS, ("ant", "bee", "cow"), own)
    data = LabeledData(unknown, choose_split(unknown, 5, 30, seed=0))
    sample = walks.choose_walk_sample(data, unlabeled=12, classes=2)
    assert set(LABELS[places(sample.B)]) == {0, 1, 2}


def test_choose_walk_sample_takes_predicted_classes_where_no_true_ones_are_known(model):
    own = IMAGES[::-1].copy()
    unknown = Dataset("toy", IMAGES, LABELS, IMAGES, LABELS, ("ant", "bee", "cow"), own)
    data = LabeledData(unknown, choose_split(unknown, 5, seed=0))
    sample = walks.choose_walk_sample(data, unlabeled=12, classes=2, model=model)
    predicted = predict(model, sample.B).logits.argmax(axis=1)
    assert set(predicted) <= {0, 1}
    assert np.all(np.diff(predicted) >= 0)


def test_association_figure_frames_colour_images(model):
    image = np.full((4, 4, 3), 51, np.uint8)
    framed = walks._inked(image, "#ff0000")
    assert framed.shape == (8, 8, 3)
    np.testing.assert_allclose(framed[0, 0], [1, 0, 0])
    np.testing.assert_allclose(framed[4, 4], [0.2, 0.2, 0.2], rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 8), (8, 4)])
def test_association_figure_keeps_the_shape_of_images(shape):
    flat = keras.Sequential([keras.Input((*shape, 1)), keras.layers.Flatten()])
    images = np.full((3, *shape, 1), 51, np.uint8)
    figure = walks.association_figure(AssociativeModel(flat, 3), walks.WalkSample(images, images))
    for picture in figure.axes[0].images:
        left, right, bottom, top = picture.get_extent()
        assert (top - bottom) / (right - left) == pytest.approx(shape[0] / shape[1])


def test_association_figure_draws_floats_as_it_draws_bytes(model):
    def drawn(images):
        [axes] = walks.association_figure(model, walks.WalkSample(images[:3], images[3:9])).axes
        return [np.asarray(image.get_array()) for image in axes.images]

    wanted = drawn(IMAGES)
    for images in (IMAGES.astype(np.float32), IMAGES / np.float32(255), list(IMAGES)):
        np.testing.assert_array_equal(drawn(images), wanted)


def test_association_figure_refuses_what_it_can_not_draw(model):
    standardised = (IMAGES / 127.5 - 1.0)[:5]
    with pytest.raises(InputError, match=r"pixels to draw must be in .*, but go from -1 to"):
        walks.association_figure(model, walks.WalkSample(standardised, standardised))
    sample = walks.WalkSample(IMAGES[:5], IMAGES[:5])
    with pytest.raises(InputError, match="`model` is a Sequential, but it must be an Assoc"):
        walks.association_figure(model.network, sample)
