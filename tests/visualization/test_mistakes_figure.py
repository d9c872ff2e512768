import numpy as np

from semisup.data.dataset import Dataset
from semisup.data.splits import choose_split
from semisup.visualization.mistakes_figure import mistakes_figure, surest_mistakes

LABELS = np.repeat(np.arange(3), 20)
IMAGES = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
DATASET = Dataset("toy", IMAGES, LABELS, IMAGES, LABELS, ("ant", "bee", "cow"))
SPLIT = choose_split(DATASET, 5, seed=0)


def logits_of(predicted, sureness=5.0):
    return np.eye(3)[predicted] * np.broadcast_to(sureness, len(predicted))[:, None]


def shown(axes):
    """Which of IMAGES are on the axes, in order."""
    return [
        int(np.flatnonzero((IMAGES[..., 0] == image.get_array()).all(axis=(1, 2)))[0])
        for image in axes.images
    ]


def test_figure_shows_labelled_images_and_mistakes_under_their_classes():
    predicted = LABELS.copy()
    predicted[[3, 25, 26]] = [1, 2, 0]
    labelled, mistakes, confusion = mistakes_figure(DATASET, SPLIT, logits_of(predicted)).axes
    assert sorted(shown(labelled)) == SPLIT.labeled.tolist()
    assert np.all(np.diff(LABELS[shown(labelled)]) >= 0)
    assert labelled.get_title() == "all 15 labelled images"
    assert shown(mistakes) == [3, 26, 25]
    arrow = "\N{RIGHTWARDS ARROW}"
    assert [text.get_text() for text in mistakes.texts] == [
        f"ant\n{arrow} bee", f"bee\n{arrow} ant", f"bee\n{arrow} cow",
    ]  # fmt: skip
    assert mistakes.get_title().startswith("all 3 misclassified test images")
    assert confusion.get_title() == "toy: test error 5.00 %"


def test_without_a_mistake_there_is_still_a_figure():
    _, mistakes, confusion = mistakes_figure(DATASET, SPLIT, logits_of(LABELS)).axes
    assert len(mistakes.images) == 0
    assert mistakes.get_title() == "no test image is misclassified"
    assert confusion.get_title() == "toy: test error 0.00 %"


def test_where_there_are_many_the_surest_are_shown():
    predicted = (LABELS + 1) % 3  # all wrong
    sureness = np.linspace(1, 3, 60)
    chosen = surest_mistakes(LABELS, logits_of(predicted, sureness), 4)
    assert sorted(chosen) == [56, 57, 58, 59]
    _, mistakes, _ = mistakes_figure(DATASET, SPLIT, logits_of(predicted, sureness)).axes
    assert len(mistakes.images) == 40
    assert mistakes.get_title().startswith("the 40 surest of 60 misclassified test images")
