import numpy as np
import pytest

from semisup.data.dataset import Dataset
from semisup.data.splits import choose_split
from semisup.errors import InputError


def dataset(labels, unlabeled=None):
    labels = np.array(labels)
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    names = tuple(f"class{c}" for c in range(labels.max() + 1))
    pool = None if unlabeled is None else np.zeros((unlabeled, 2, 2, 1), np.uint8)
    return Dataset("toy", images, labels, images, labels, names, pool)


LABELS = np.random.default_rng(0).permutation([0] * 50 + [1] * 20 + [2] * 30)


@pytest.mark.parametrize("seed", range(5))
def test_as_many_of_each_class(seed):
    split = choose_split(dataset(LABELS), sup_per_class=7, unsup_samples=-1, seed=seed)
    np.testing.assert_array_equal(np.bincount(LABELS[split.labeled]), [7, 7, 7])
    assert len(np.unique(split.labeled)) == 21
    np.testing.assert_array_equal(split.unlabeled, np.arange(100))


def test_the_seed_names_the_split():
    one, same, other = (choose_split(dataset(LABELS), 7, 40, seed) for seed in (1, 1, 2))
    assert one.hash == same.hash != other.hash
    np.testing.assert_array_equal(one.labeled, same.labeled)
    assert not np.array_equal(one.labeled, other.labeled)
    assert not np.array_equal(one.unlabeled, other.unlabeled)
    # Frozen: published results name their splits by the seed.
    assert one.hash == "7035b981ba792b6a"


def test_all_labels_and_some_unlabelled():
    split = choose_split(dataset(LABELS, unlabeled=500), -1, 40, seed=0)
    np.testing.assert_array_equal(split.labeled, np.arange(100))
    assert len(np.unique(split.unlabeled)) == 40
    assert split.unlabeled.max() > 100  # drawn from the images without labels


def test_every_image_is_chosen_equally_often():
    counts = np.zeros(100)
    for seed in range(2000):
        counts[choose_split(dataset(LABELS), 5, -1, seed).labeled] += 1
    for c, size in enumerate((50, 20, 30)):
        wanted = 2000 * 5 / size
        assert np.all(np.abs(counts[c == LABELS] - wanted) < 6 * np.sqrt(wanted))


@pytest.mark.parametrize(
    ("per_class", "unlabelled", "message"),
    [
        (21, -1, r"asked for 21 of the 20 labelled images of class 'class1' in toy \(--sup_per"),
        (0, -1, "asked for 0 of the 50"),
        (-2, -1, "asked for -2 of"),
        (5, 101, r"asked for 101 of the 100 unlabelled images in toy \(--unsup_samples\)"),
    ],
)
def test_impossible_requests_are_refused(per_class, unlabelled, message):
    with pytest.raises(InputError, match=message):
        choose_split(dataset(LABELS), per_class, unlabelled, seed=0)


def test_a_class_without_images_is_named():
    with pytest.raises(InputError, match="of the 0 labelled images of class 'class1'"):
        choose_split(dataset([0, 0, 2, 2]), -1, -1, seed=0)
