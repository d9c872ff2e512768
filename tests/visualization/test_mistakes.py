import numpy as np
import pytest

from semisup.data.dataset import Dataset
from semisup.data.labeled_data import LabeledData
from semisup.data.splits import choose_split
from semisup.evaluation.metrics import Evaluation, count_mistakes
from semisup.visualization import plots
from semisup.visualization.mistakes import confident_mistakes, mistakes_figure
from tests.visualization.sheets import shown

LABELS = np.repeat(np.arange(3), 20)
IMAGES = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
DATASET = Dataset("toy", IMAGES, LABELS, IMAGES, LABELS, ("ant", "bee", "cow"))
DATA = LabeledData(DATASET, choose_split(DATASET, 5, seed=0))


def evaluation(predicted, confidence=5.0, dataset=DATASET):
    logits = (
        np.eye(dataset.num_classes)[predicted]
        * np.broadcast_to(confidence, len(predicted))[:, None]
    )
    report = count_mistakes(dataset.test_labels, predicted, dataset.class_names)
    return Evaluation(np.zeros((len(predicted), 2)), logits, report)


def test_mistakes_figure_shows_labelled_images_and_mistakes_under_their_classes():
    predicted = LABELS.copy()
    predicted[[3, 25, 26]] = [1, 2, 0]
    figure = mistakes_figure(DATA, evaluation(predicted))
    labelled, mistakes, confusion = figure.axes
    assert sorted(shown(labelled, IMAGES)) == DATA.split.labeled.tolist()
    assert np.all(np.diff(LABELS[shown(labelled, IMAGES)]) >= 0)
    assert labelled.get_title() == "all 15 labelled images"
    assert shown(mistakes, IMAGES) == [3, 26, 25]
    arrow = "\N{RIGHTWARDS ARROW}"
    assert [text.get_text() for text in mistakes.texts] == [
        f"ant\n{arrow} bee", f"bee\n{arrow} ant", f"bee\n{arrow} cow",
    ]  # fmt: skip
    assert mistakes.get_title().startswith("all 3 misclassified test images")
    assert figure.get_suptitle() == "toy: test error 5.00 % of 60 images"
    assert sum(int(text.get_text()) for text in confusion.texts) == 60


def test_mistakes_figure_with_one_mistake_says_so():
    predicted = LABELS.copy()
    predicted[3] = 1
    title = mistakes_figure(DATA, evaluation(predicted)).axes[1].get_title()
    assert title.startswith("the only misclassified test image: true")


def test_mistakes_figure_is_drawn_without_a_mistake():
    figure = mistakes_figure(DATA, evaluation(LABELS))
    assert shown(figure.axes[1], IMAGES) == []
    assert figure.axes[1].get_title() == "no test image is misclassified"
    assert figure.get_suptitle() == "toy: test error 0.00 % of 60 images"
    plots.to_pixels(figure)


def test_confident_mistakes_are_those_of_the_highest_probability():
    predicted = (LABELS + 1) % 3  # all wrong
    confidence = np.linspace(1, 3, 60)
    found = evaluation(predicted, confidence)
    assert sorted(confident_mistakes(LABELS, found.logits, 4)) == [56, 57, 58, 59]
    assert len(confident_mistakes(LABELS, np.eye(3)[LABELS], 4)) == 0
    mistakes = mistakes_figure(DATA, found).axes[1]
    assert sorted(shown(mistakes, IMAGES)) == list(range(36, 60))
    assert mistakes.get_title().startswith("the 24 most confident of 60 misclassified test images")


@pytest.mark.parametrize("classes", [43, 250])
def test_mistakes_figure_shows_all_of_many_classes(classes):
    labels = np.arange(12 * classes) % classes
    pixels = np.random.default_rng(2).integers(0, 256, (len(labels), 4, 4, 1), dtype=np.uint8)
    names = tuple(f"{'road $ign_' * 9}\t{i}" for i in range(classes))
    dataset = Dataset("sig$s of $_", pixels, labels, pixels, labels, names)
    data = LabeledData(dataset, choose_split(dataset, 11))
    figure = mistakes_figure(data, evaluation((labels + 1) % classes, dataset=dataset))
    indices = shown(figure.axes[0], pixels)
    assert set(labels[indices]) == set(range(classes))
    assert len(indices) == classes * max(200 // classes, 1)
    assert figure.axes[0].get_title() == f"{len(indices)} of {11 * classes:,} labelled images"
    assert len({text.get_text().split("\n")[0] for text in figure.axes[1].texts}) > 1
    plots.to_pixels(figure)
