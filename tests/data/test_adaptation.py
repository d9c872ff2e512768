import dataclasses

import numpy as np
import pytest
from PIL import Image

from semisup.data.adaptation import adapted, as_rgb, resized, resized_as_tensorflow_1
from semisup.data.dataset import Dataset
from semisup.data.image_io import ValueRange
from semisup.errors import InputError


def dataset(name="toy", shape=(8, 8, 1), classes=3, unlabeled=None, seed=0):
    random = np.random.default_rng(seed)

    def images(count):
        return random.integers(0, 256, (count, *shape), dtype=np.uint8)

    pool = None if unlabeled is None else images(unlabeled)
    labels = np.arange(12) % classes
    names = tuple(f"class{c}" for c in range(classes))
    return Dataset(name, images(12), labels, images(12), labels, names, pool)


def test_as_rgb_repeats_the_grey_channel():
    grey = dataset(unlabeled=4)
    rgb = as_rgb(grey)
    for name in ("train_images", "test_images", "unlabeled_images"):
        for c in range(3):
            np.testing.assert_array_equal(getattr(rgb, name)[..., c], getattr(grey, name)[..., 0])
    colour = dataset(shape=(8, 8, 3))
    np.testing.assert_array_equal(as_rgb(colour).train_images, colour.train_images)


@pytest.mark.parametrize("size", [5, 8, 13])
def test_resized_is_pillows_bilinear(size):
    before = dataset(shape=(8, 8, 3), unlabeled=4)
    after = resized(before, size)
    assert after.image_shape == (size, size, 3)
    for name in ("train_images", "test_images", "unlabeled_images"):
        for one, other in zip(getattr(before, name), getattr(after, name), strict=True):
            wanted = Image.fromarray(one).resize((size, size), Image.Resampling.BILINEAR)
            np.testing.assert_allclose(other.astype(int), np.asarray(wanted, int), atol=1)


@pytest.mark.parametrize("size", [5, 8, 13])
def test_resized_as_tensorflow_1_reads_from_the_corners(size):
    before = dataset(shape=(8, 8, 3), unlabeled=4)
    after = resized_as_tensorflow_1(before, size)
    places = np.arange(size) * 8 / size
    low = np.floor(places).astype(int)
    high, share = np.minimum(low + 1, 7), (places - low)[:, None]
    for name in ("train_images", "test_images", "unlabeled_images"):
        images = getattr(before, name).astype(float)
        rows = images[:, low] * (1 - share[:, None]) + images[:, high] * share[:, None]
        wanted = rows[:, :, low] * (1 - share) + rows[:, :, high] * share
        got = getattr(after, name)
        assert got.dtype == np.uint8
        np.testing.assert_allclose(got, wanted, atol=0.5 + 1e-3)


def test_adapted_takes_unlabelled_and_test_images_of_the_target():
    source, target = dataset("source"), dataset("target", shape=(8, 8, 3), unlabeled=5, seed=1)
    both = adapted(source, target)
    assert both.name == "source to target"
    np.testing.assert_array_equal(both.train_images, as_rgb(source).train_images)
    np.testing.assert_array_equal(both.test_images, target.test_images)
    np.testing.assert_array_equal(both.unlabeled_pool, target.unlabeled_images)
    without_pool = adapted(source, dataset("target", seed=1))
    np.testing.assert_array_equal(
        without_pool.unlabeled_pool, dataset("target", seed=1).train_images
    )


def test_adapted_refuses_classes_in_another_order_and_warns_of_other_names(caplog):
    source = dataset("source")
    target = dataclasses.replace(dataset("target"), class_names=("class0", "class2", "CLASS1"))
    with pytest.raises(InputError, match=r"have the same classes in another order \(class0, "):
        adapted(source, target)
    adapted(source, dataclasses.replace(target, class_names=("Class0", "CLASS1", "class2")))
    assert not caplog.records
    adapted(source, dataclasses.replace(target, class_names=("class0", "dog", "class2")))
    assert "have other names: class 1 is 'class1' and 'dog'" in caplog.text


def test_adapted_warns_of_test_images_that_the_source_has_too(caplog):
    source, target = dataset("source"), dataset("target", seed=1)
    adapted(source, target)
    assert not caplog.records
    copied = target.test_images.copy()
    copied[1] = source.train_images[2]
    adapted(source, dataclasses.replace(target, test_images=copied))
    assert "source to target: 1 of " in caplog.text
    wanted = "the first is test image 1 of target, counted from 0, a copy of source/train[2]"
    assert wanted in caplog.text


def test_images_that_are_resized_when_read_become_rgb():
    lazily = as_rgb(resized(dataset(), 5, lazily=True)).train_images
    np.testing.assert_array_equal(np.asarray(lazily), as_rgb(resized(dataset(), 5)).train_images)
    np.testing.assert_array_equal(lazily[3:5], np.asarray(lazily)[3:5])


def test_identity_of_images_that_are_resized_when_read_is_of_the_image_and_its_size():
    original = dataset()
    lazily = resized(original, 5, lazily=True).train_images
    assert len({lazily.identity(i) for i in range(12)}) == 12
    some = lazily[np.array([3, 1])]
    assert [some.identity(0), some.identity(1)] == [lazily.identity(3), lazily.identity(1)]
    assert resized(original, 6, lazily=True).train_images.identity(3) != lazily.identity(3)


def test_adapted_knows_the_files_and_the_range_of_values_of_the_target():
    files = {part: np.array([f"{part}{i}.png" for i in range(12)], object) for part in "abc"}
    source = dataclasses.replace(
        dataset("source"), train_files=files["a"], values_in=ValueRange(0, 4095)
    )
    target = dataclasses.replace(
        dataset("target", unlabeled=12, seed=1), train_files=files["b"], unlabeled_files=files["c"]
    )
    both = adapted(source, dataclasses.replace(target, train_in_pool=True))
    wanted = np.concatenate([target.train_images, target.unlabeled_images])
    np.testing.assert_array_equal(both.unlabeled_images, wanted)
    np.testing.assert_array_equal(both.unlabeled_files, [*files["b"], *files["c"]])
    np.testing.assert_array_equal(both.train_files, files["a"])
    assert both.values_in == (0, 4095)
    np.testing.assert_array_equal(adapted(source, target).unlabeled_files, files["c"])
    own = dataclasses.replace(target, values_in=ValueRange(0, 1023))
    assert adapted(source, own).values_in == (0, 1023)


def test_adapted_refuses_what_does_not_fit():
    with pytest.raises(InputError, match="differ in size, 8x8 and 9x8 pixels; `new_size=N`"):
        adapted(dataset("a"), dataset("b", shape=(9, 8, 3)))
    with pytest.raises(InputError, match="a has 3 classes and b 4"):
        adapted(dataset("a"), dataset("b", classes=4))
