import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from semisup.data.dataset import Dataset
from semisup.data.image_io import ValueRange
from semisup.data.splits import choose_split, read_labeled, read_split, with_fingerprint
from semisup.errors import InputError


def dataset(labels, unlabeled=None):
    labels = np.array(labels)
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    names = tuple(f"class{c}" for c in range(labels.max() + 1))
    pool = None if unlabeled is None else np.zeros((unlabeled, 2, 2, 1), np.uint8)
    return Dataset("toy", images, labels, images, labels, names, pool)


def changed(**fields):
    return dataclasses.replace(dataset(LABELS), **fields)


LABELS = np.random.default_rng(0).permutation([0] * 50 + [1] * 20 + [2] * 30)


@pytest.mark.parametrize("seed", range(5))
def test_choose_split_draws_as_many_of_each_class(seed):
    split = choose_split(dataset(LABELS), sup_per_class=7, unsup_samples=-1, seed=seed)
    np.testing.assert_array_equal(np.bincount(LABELS[split.labeled]), [7, 7, 7])
    assert len(np.unique(split.labeled)) == 21
    np.testing.assert_array_equal(split.unlabeled, np.arange(100))


def test_choose_split_is_named_by_its_seed():
    one, same, other = (choose_split(dataset(LABELS), 7, 40, seed) for seed in (1, 1, 2))
    assert one.hash == same.hash != other.hash
    np.testing.assert_array_equal(one.labeled, same.labeled)
    assert not np.array_equal(one.labeled, other.labeled)
    assert not np.array_equal(one.unlabeled, other.unlabeled)
    # Frozen: published results name their splits by the seed.
    assert one.hash == "7035b981ba792b6a"


def test_choose_split_takes_all_labels_and_some_unlabelled():
    split = choose_split(dataset(LABELS, unlabeled=500), -1, 40, seed=0)
    np.testing.assert_array_equal(split.labeled, np.arange(100))
    assert len(np.unique(split.unlabeled)) == 40
    assert split.unlabeled.max() > 100  # drawn from the images without labels


def test_choose_split_chooses_every_image_equally_often():
    counts = np.zeros(100)
    for seed in range(2000):
        counts[choose_split(dataset(LABELS), 5, -1, seed).labeled] += 1
    for c, size in enumerate((50, 20, 30)):
        wanted = 2000 * 5 / size
        assert np.all(np.abs(counts[c == LABELS] - wanted) < 6 * np.sqrt(wanted))


@pytest.mark.parametrize(
    ("per_class", "unlabelled", "message"),
    [
        (21, -1, r"21 of the 20 .*'class1' in toy \(`sup_per_class`\); `sup_per_class=-1` takes"),
        (0, -1, "asked for 0 of the 50"),
        (-2, -1, "asked for -2 of"),
        (5, 101, r"asked for 101 of the 100 unlabelled images in toy \(`unsup_samples`\)"),
    ],
)
def test_choose_split_refuses_impossible_requests(per_class, unlabelled, message):
    with pytest.raises(InputError, match=message):
        choose_split(dataset(LABELS), per_class, unlabelled, seed=0)


def test_choose_split_takes_numbers_of_numpy_and_refuses_others():
    toy = dataset(LABELS)
    plain = choose_split(toy, 5, 40, 3)
    assert choose_split(toy, np.int64(5), np.float64(40), np.uint32(3)).hash == plain.hash
    for wrong in ({"sup_per_class": "5"}, {"seed": -1}, {"seed": 2**32}, {"fold": 0.5}):
        with pytest.raises(InputError, match=f"`{next(iter(wrong))}` is "):
            choose_split(toy, **{"sup_per_class": 5, **wrong})


def test_choose_split_names_a_class_without_images():
    with pytest.raises(InputError, match="there are no labelled images of class 'class1' in toy"):
        choose_split(dataset([0, 0, 2, 2]), -1, -1, seed=0)


def test_choose_split_says_why_no_unlabelled_image_is_left():
    with pytest.raises(InputError, match="every image is labelled; leave out `exclude_labeled`"):
        choose_split(dataset(LABELS), -1, -1, seed=0, exclude_labeled=True)


def test_choose_split_makes_the_authors_choice():
    """RandomState(seed).choice for one class after the other, and anew for the unlabelled."""
    split = choose_split(dataset(LABELS, unlabeled=500), 7, 40, seed=5)
    random = np.random.RandomState(5)
    wanted = [
        np.flatnonzero(c == LABELS)[random.choice(n, 7, False)] for c, n in enumerate((50, 20, 30))
    ]
    np.testing.assert_array_equal(split.labeled, np.sort(np.concatenate(wanted)))
    unlabeled = np.random.RandomState(5).choice(500, 40, False)
    np.testing.assert_array_equal(split.unlabeled, np.sort(unlabeled))


def test_choose_split_can_keep_labelled_images_out_of_the_unlabelled():
    overlapping = choose_split(dataset(LABELS), 7, seed=0)
    assert set(overlapping.labeled) <= set(overlapping.unlabeled)
    apart = choose_split(dataset(LABELS), 7, seed=0, exclude_labeled=True)
    assert set(apart.labeled) | set(apart.unlabeled) == set(range(100))
    assert not set(apart.labeled) & set(apart.unlabeled)
    own_pool = choose_split(dataset(LABELS, unlabeled=100), 7, seed=0, exclude_labeled=True)
    assert len(own_pool.unlabeled) == 100
    with pytest.raises(InputError, match="asked for 80 of the 79 unlabelled"):
        choose_split(dataset(LABELS), 7, 80, seed=0, exclude_labeled=True)


def test_choose_split_removes_the_highest_classes():
    split = choose_split(dataset(LABELS), 7, remove_classes=1)
    np.testing.assert_array_equal(np.bincount(LABELS[split.labeled]), [7, 7])
    np.testing.assert_array_equal(split.unlabeled, np.arange(100))
    with pytest.raises(InputError, match="`remove_classes=3` leaves none of the 3 classes"):
        choose_split(dataset(LABELS), 7, remove_classes=3)


def test_choose_split_labels_images_of_the_fold():
    fold = np.array([int(np.flatnonzero(c == LABELS)[i]) for c in (2, 1, 0) for i in (5, 2)])
    folded = dataclasses.replace(dataset(LABELS), folds=(np.arange(9), fold))
    split = choose_split(folded, -1, fold=1)
    np.testing.assert_array_equal(split.labeled, np.sort(fold))
    with pytest.raises(InputError, match="toy has 2 folds, counted from 0; `fold` is 2"):
        choose_split(folded, 1, fold=2)


def test_read_split_replays_the_choice(tmp_path):
    split = choose_split(dataset(LABELS), 7, 40, seed=1)
    path = tmp_path / "split.json"
    path.write_text(json.dumps(split.as_json()))
    again = read_split(path, dataset(LABELS))
    assert again.hash == split.hash
    np.testing.assert_array_equal(again.labeled, split.labeled)
    np.testing.assert_array_equal(again.unlabeled, split.unlabeled)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labeled": [1, 2, 3]}, "its hash is not that of its content"),
        ({"labeled": ["one"]}, "is not a split file, or is damaged"),
        ({"labeled": [2**70]}, "is not a split file, or is damaged"),
        ({"unlabeled": None}, "is not a split file, or is damaged"),
    ],
)
def test_read_split_refuses_damaged_files(tmp_path, change, message):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({**choose_split(dataset(LABELS), 7).as_json(), **change}))
    with pytest.raises(InputError, match=message):
        read_split(path, dataset(LABELS))


def test_a_split_on_record_knows_its_classes(tmp_path):
    split, path = choose_split(dataset(LABELS), 7, 40, seed=1), tmp_path / "split.json"
    kept = with_fingerprint(split, dataset(LABELS))
    path.write_text(json.dumps(kept.as_json()))
    again = read_split(path, dataset(LABELS))
    assert again.hash == split.hash != kept.hash
    # The same places, but other images or other names at them.
    others = {
        "the classes of the labelled images": dataset(np.roll(LABELS, 1)),
        "the order of the classes": changed(class_names=("cat", "dog", "ant")),
        "the images that may be unlabelled": dataset(LABELS, unlabeled=100),
        "the range of values": changed(values_in=ValueRange(0, 4095)),
    }
    for message, other in others.items():
        assert with_fingerprint(split, other).hash != kept.hash
        with pytest.raises(InputError, match=f"is of other data than toy.*: .*{message}"):
            read_split(path, other)


def test_a_split_on_record_knows_the_pixels_of_images_without_files(tmp_path):
    """As where a .npz file is written anew, in another order within each class."""
    pixels = np.random.default_rng(1).integers(0, 256, (100, 2, 2, 1), np.uint8)
    data = changed(train_images=pixels)
    split, path = choose_split(data, 7), tmp_path / "split.json"
    kept = with_fingerprint(split, data)
    path.write_text(json.dumps(kept.as_json()))
    shuffled = pixels.copy()
    for c in range(3):
        shuffled[c == LABELS] = shuffled[c == LABELS][::-1]
    other = dataclasses.replace(data, train_images=shuffled)
    assert with_fingerprint(split, other).hash != kept.hash
    rounded = pixels.copy()
    rounded[0, 0, 0] ^= 1  # as another machine may resize an image
    assert (
        with_fingerprint(split, dataclasses.replace(data, train_images=rounded)).hash == kept.hash
    )
    sizes = {
        name: getattr(data, name).repeat(2, axis=1).repeat(2, axis=2)
        for name in ("train_images", "test_images")
    }
    larger = dataclasses.replace(data, **sizes)
    assert read_split(path, larger).hash == split.hash  # `new_size` may be another
    pools = (np.zeros((2, 2, 2, 1), np.uint8), np.full((2, 2, 2, 1), 99, np.uint8))
    dark, bright = (dataclasses.replace(data, unlabeled_images=pool) for pool in pools)
    assert with_fingerprint(split, dark).hash != with_fingerprint(split, bright).hash


def test_a_split_on_record_knows_the_pool(tmp_path):
    data = dataset(LABELS, unlabeled=40)
    split, path = choose_split(data, 7), tmp_path / "split.json"
    path.write_text(json.dumps(with_fingerprint(split, data).as_json()))
    assert read_split(path, data).hash == split.hash
    other = dataclasses.replace(data, train_in_pool=True)
    with pytest.raises(InputError, match="train_in_pool"):
        read_split(path, other)
    np.testing.assert_array_equal(read_labeled(path, other), split.labeled)
    with pytest.raises(InputError, match="is of other data than toy"):
        read_labeled(path, dataset(np.roll(LABELS, 1), unlabeled=40))


def test_a_split_on_record_knows_the_names_of_its_files(tmp_path):
    def of(folder, names):
        files = np.array([Path(folder, "train", "ant", name) for name in names], object)
        return changed(train_files=files)

    names = [f"{i:02d}.png" for i in range(len(LABELS))]
    split, path = choose_split(of("/a", names), 7), tmp_path / "split.json"
    kept = with_fingerprint(split, of("/a", names))
    path.write_text(json.dumps(kept.as_json()))
    assert read_split(path, of("/moved/elsewhere", names)).hash == split.hash
    kept = with_fingerprint(split, of("/a", ["caf\u00e9.png", *names[1:]]))
    same = with_fingerprint(split, of("/a", ["cafe\u0301.png", *names[1:]]))  # as a Mac writes it
    assert kept.hash == same.hash
    with pytest.raises(InputError, match="the names of the files"):
        read_split(path, of("/a", [*names[1:], "zz.png"]))


def test_one_unlabelled_file_is_known_by_its_name(tmp_path):
    def of(name):
        pool = np.zeros((1, *dataset(LABELS).image_shape), np.uint8)
        return changed(unlabeled_images=pool, unlabeled_files=np.array([Path("/a", name)], object))

    split, path = choose_split(of("x.png"), 7), tmp_path / "split.json"
    path.write_text(json.dumps(with_fingerprint(split, of("x.png")).as_json()))
    assert read_split(path, of("x.png")).hash == split.hash
    with pytest.raises(InputError, match="the names of the files"):
        read_split(path, of("y.png"))


def test_a_split_file_that_can_not_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=f"cannot read the split file {tmp_path}: Is a directory"):
        read_split(tmp_path, dataset(LABELS))


def test_read_split_refuses_files_of_another_data_set(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps(choose_split(dataset(LABELS), 7).as_json()))
    with pytest.raises(InputError, match="names images that toy does not have"):
        read_split(path, dataset([0, 1, 2] * 10))
    with pytest.raises(InputError, match="there is no split file"):
        read_split(tmp_path / "nowhere.json", dataset(LABELS))
    path.write_text("[]")
    with pytest.raises(InputError, match="is not a split file, or is damaged"):
        read_split(path, dataset(LABELS))


def test_names_of_places_in_an_array_are_no_files():
    places = np.array([f"mine/train[{i}]" for i in range(len(LABELS))], object)
    split = choose_split(dataset(LABELS), 7)
    named, plain = (with_fingerprint(split, changed(train_files=names)) for names in (places, None))
    assert named.hash == plain.hash
