"""Exact content of the batches. An image here is a single number, its index."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup.data.augmentation import get_augmentation
from semisup.data.lazy_images import ImageFiles
from semisup.data.pipeline import _draw, association_batches
from semisup.errors import InputError
from tests import processes

LABELS = np.array([2, 0, 2, 5, 2, 0, 2, 5, 2, 2])  # 2 of class 0, 6 of class 2, 2 of class 5
IMAGES = np.arange(10)[:, None]
POOL = np.arange(100, 113)[:, None]


def batches(count, **kwargs):
    arguments = {"sup_per_batch": 2, "unsup_batch_size": 5, "seed": 0, **kwargs}
    pipeline = association_batches(IMAGES, LABELS, POOL, **arguments).take(count)
    return [(images[:, 0].numpy(), labels.numpy()) for images, labels in pipeline]


def test_batch_is_a_block_for_each_class_and_then_the_unlabelled():
    for images, labels in batches(20):
        np.testing.assert_array_equal(labels, [0, 0, 2, 2, 5, 5] + [-1] * 5)
        np.testing.assert_array_equal(LABELS[images[:6]], labels[:6])
        assert np.all(np.isin(images[6:], POOL))


def rounds(drawn, size):
    """What was drawn, cut into stretches as long as the set."""
    return np.concatenate(drawn)[: len(drawn) * len(drawn[0]) // size * size].reshape(-1, size)


def test_batches_draw_nothing_twice_before_all_is_used():
    taken = [images for images, _ in batches(60)]
    classes = {0: slice(0, 2), 2: slice(2, 4), 5: slice(4, 6)}
    for c, columns in classes.items():
        members = np.flatnonzero(c == LABELS)
        for stretch in rounds([images[columns] for images in taken], len(members)):
            np.testing.assert_array_equal(np.sort(stretch), members)
    stretches = rounds([images[6:] for images in taken], 13)
    assert len(stretches) == 23
    for stretch in stretches:
        np.testing.assert_array_equal(np.sort(stretch), POOL[:, 0])
    assert len(np.unique(stretches, axis=0)) > 20  # each round has an order of its own


def test_draw_takes_classes_of_any_sizes_round_by_round():
    """On both sides of the size from which on indices are drawn otherwise."""
    sizes = np.array([3, 300, 1, 20])
    draw = tf.function(lambda step: _draw(step, 7, sizes, np.arange(4), seed=0))
    drawn = np.concatenate([draw(tf.constant(step, tf.int64)) for step in range(90)], axis=1)
    for row, size in zip(drawn, sizes, strict=True):
        for round_begins in range(0, len(row) - size + 1, size):
            assert sorted(row[round_begins : round_begins + size]) == list(range(size))


def test_draw_of_a_class_does_not_depend_on_the_others():
    sizes = np.array([255, 1, 300, 3, 40])
    for step in (0, 7):
        together = _draw(tf.constant(step, tf.int64), 20, sizes, np.arange(5), seed=0)
        for i in range(5):
            [alone] = _draw(tf.constant(step, tf.int64), 20, sizes[[i]], np.array([i]), seed=0)
            np.testing.assert_array_equal(together[i], alone)


def test_draw_from_many_images_has_an_order_for_each_seed_stream_and_round():
    def order(seed, stream, step):
        step = tf.constant(step, tf.int64)
        return _draw(step, 300, np.array([300]), np.array([stream]), seed).numpy().tobytes()

    cases = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1)]
    assert len({order(*case) for case in cases}) == len(cases)


def test_draw_brings_few_images_in_every_order_alike():
    draw = tf.function(lambda step: _draw(step, 3, np.array([3, 3]), np.array([0, 5]), seed=1))
    orders = np.array([draw(tf.constant(step, tf.int64)) for step in range(300)])
    names = orders @ [9, 3, 1]
    for of_class in names.T:
        counts = np.unique(of_class, return_counts=True)[1]
        assert len(counts) == 6 and np.all(np.abs(counts - 50) < 25)
        assert 25 < np.sum(of_class[1:] == of_class[:-1]) < 75
    assert 25 < np.sum(names[:, 0] == names[:, 1]) < 75


def test_batches_may_hold_more_of_a_class_than_there_are():
    for images, labels in batches(10, sup_per_batch=5):
        np.testing.assert_array_equal(LABELS[images[:15]], labels[:15])
        counts = np.bincount(images[labels == 0], minlength=10)[[1, 5]]
        np.testing.assert_array_equal(np.sort(counts), [2, 3])


def test_batches_can_be_made_again_from_their_step():
    whole = batches(12)
    for start in (1, 5, 11):
        for one, other in zip(batches(12 - start, start_step=start), whole[start:], strict=True):
            np.testing.assert_array_equal(one[0], other[0])


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("augmented", [False, True])
def test_batch_parts_make_up_the_batch(parts, augmented):
    """Also where the 6 labelled and 5 unlabelled images can't be shared out evenly."""

    def change(images, seed):
        return images + tf.random.stateless_uniform(tf.shape(images), seed, 0, 99, tf.int64)

    options = {"augment": change, "augment_unlabeled": change} if augmented else {}
    whole = batches(3, **options)
    for part in range(parts):
        ours = batches(3, part=part, parts=parts, **options)
        for (images, labels), (all_images, all_labels) in zip(ours, whole, strict=True):
            np.testing.assert_array_equal(images, all_images[part::parts])
            np.testing.assert_array_equal(labels, all_labels[part::parts])


def test_batch_parts_read_only_their_own_files(monkeypatch):
    read = []

    def count(files, dtype=None, copy=None):
        read.append(len(files))
        return np.zeros(files.shape, np.uint8)

    monkeypatch.setattr(ImageFiles, "__array__", count)
    files = ImageFiles(np.arange(10).astype(object), (4, 4, 1))
    options = {"sup_per_batch": 2, "unsup_batch_size": 8, "part": 1, "parts": 2}
    [(images, _)] = association_batches(files, LABELS, files, **options).take(1)
    assert images.shape == (7, 4, 4, 1)
    assert set(read) == {3, 4}


def test_batches_differ_by_stream_and_seed():
    one, other = batches(8, seed=1), batches(8, seed=2)
    for part in (slice(0, 6), slice(6, None)):
        pairs = zip(one, other, strict=True)
        assert any(not np.array_equal(a[part], b[part]) for (a, _), (b, _) in pairs)
    # Class 0 and class 5 have two members each: they must not march in step.
    firsts = [(LABELS[:].tolist(), images[0] == 1, images[4] == 3) for images, _ in batches(64)]
    assert {(a, b) for _, a, b in firsts} == {
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    }


def test_batches_mix_pairs_of_unlabelled_images():
    """Over many rounds every image meets every place in the order about equally often."""
    order = rounds([images[6:] for images, _ in batches(200, unsup_batch_size=65)], 13) - 100
    places = np.zeros((13, 13))
    for stretch in order:
        places[np.arange(13), stretch] += 1
    wanted = len(order) / 13
    assert np.all(np.abs(places - wanted) < 6 * np.sqrt(wanted))


def test_batches_are_the_same_bytes_in_another_process():
    other = processes.start(print_batches)
    other.join()
    wanted = [" ".join(map(str, images)) for images, _ in batches(3)]
    assert processes.said(other).splitlines()[-3:] == wanted


def print_batches():
    for images, _ in batches(3):
        print(*images)


def test_batches_keep_dtype_and_shape_of_pixels():
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 3, 2), dtype=np.uint8)
    pipeline = association_batches(images, LABELS, images, sup_per_batch=2, unsup_batch_size=4)
    spec, label_spec = pipeline.element_spec
    assert spec.shape == (10, 4, 3, 2)
    assert spec.dtype == np.uint8
    assert label_spec.shape == (10,)
    batch, labels = next(iter(pipeline))
    for image, label in zip(batch.numpy(), labels.numpy(), strict=True):
        [place] = np.flatnonzero((images == image).all(axis=(1, 2, 3)))
        assert label in (-1, LABELS[place])


def test_batches_are_augmented_by_seed_and_step():
    seen = []

    def note(part):
        def augment(images, seed):
            seen.append(part)
            return images * 1000 + tf.cast(tf.reduce_sum(seed), tf.int64) % 1000  # its mark

        return augment

    def marks(start, **kwargs):
        pipeline = association_batches(
            IMAGES, LABELS, POOL, sup_per_batch=2, unsup_batch_size=5, start_step=start, **kwargs
        )
        return [images[:, 0].numpy() for images, _ in pipeline.take(6 - start)]

    both = marks(0, augment=note("labelled"), augment_unlabeled=note("unlabelled"))
    assert seen == ["labelled", "unlabelled"]  # traced once, into the graph
    for images, (plain, _) in zip(both, batches(6), strict=True):
        np.testing.assert_array_equal(images // 1000, plain)
        assert len(set(images[:6] % 1000)) == len(set(images[6:] % 1000)) == 1
    assert len({images[0] % 1000 for images in both} | {images[6] % 1000 for images in both}) > 9
    resumed = marks(4, augment=note("labelled"), augment_unlabeled=note("unlabelled"))
    np.testing.assert_array_equal(resumed, both[4:])
    other = marks(0, augment=note("labelled"), augment_unlabeled=note("unlabelled"), seed=1)
    for row in (0, 6):
        assert [images[row] % 1000 for images in other] != [images[row] % 1000 for images in both]
    labelled_only = marks(0, augment=note("labelled"))
    np.testing.assert_array_equal(labelled_only[0][6:], batches(1)[0][0][6:])
    np.testing.assert_array_equal(labelled_only[0][:6], both[0][:6])


@pytest.mark.parametrize("parts", [1, 3])
def test_batches_have_the_unlabelled_images_once_for_each_view(parts):
    def shifted(images, seed):
        return images + 1000

    def noisy(images, seed):
        return images + tf.random.stateless_uniform(tf.shape(images), seed, 0, 10**6, tf.int64)

    plain = batches(3)
    several = [batches(3, augment_unlabeled=[None, shifted, noisy, noisy], part=part, parts=parts)
               for part in range(parts)]  # fmt: skip
    for step, (images, labels) in enumerate(plain):
        whole = np.empty(6 + 4 * 5, np.int64)
        for part, of_part in enumerate(several):
            whole[part::parts], part_labels = of_part[step]
            np.testing.assert_array_equal(part_labels, [*labels, *[-1] * 15][part::parts])
        np.testing.assert_array_equal(whole[:11], images)
        views = whole[6:].reshape(4, 5)
        np.testing.assert_array_equal(views[1], views[0] + 1000)
        assert not np.any(views[2] == views[3])  # each has random numbers of its own


def test_batches_know_that_they_have_no_end():
    batches = association_batches(IMAGES, LABELS, POOL, start_step=7)
    assert int(batches.cardinality()) == tf.data.INFINITE_CARDINALITY


def test_association_batches_takes_labels_and_numbers_of_any_type():
    numbers = {"sup_per_batch": 2, "unsup_batch_size": 3, "seed": 5, "start_step": 4}
    wanted = next(iter(association_batches(IMAGES, LABELS, POOL, **numbers)))
    numpys = {name: np.int64(number) for name, number in numbers.items()}
    found = next(iter(association_batches(IMAGES, LABELS.astype(float), POOL, **numpys)))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_batches_without_unlabelled_images():
    pipeline = association_batches(IMAGES, LABELS, None, sup_per_batch=2)
    images, labels = next(iter(pipeline))
    np.testing.assert_array_equal(labels, [0, 0, 2, 2, 5, 5])
    np.testing.assert_array_equal(images[:, 0], batches(1)[0][0][:6])


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ((IMAGES, LABELS[:9], POOL), {}, r"got \(10, 1\) and \(9,\)"),
        ((IMAGES[:0], LABELS[:0], POOL), {}, "N at least 1"),
        ((IMAGES, LABELS, POOL.astype(np.uint8)), {}, "uint8 do not fit the labelled ones"),
        ((IMAGES, LABELS, POOL[:, [0, 0]]), {}, r"unlabelled images \(13, 2\)"),
        ((IMAGES, LABELS, POOL[:0]), {}, r"unlabelled images \(0, 1\)"),
        ((IMAGES, LABELS, POOL), {"sup_per_batch": 0}, "`sup_per_batch` is 0"),
        ((IMAGES, LABELS, POOL), {"unsup_batch_size": -1}, "`unsup_batch_size` is -1"),
        ((IMAGES, LABELS - 1, POOL), {}, "a label is -1, but classes count from 0"),
        ((IMAGES, LABELS / 2, POOL), {}, r"labels\[3\] is 2.5; give the images"),
        ((IMAGES, LABELS, POOL), {"part": 2, "parts": 2}, "`part` is 2; it must be at most 1"),
        ((IMAGES, LABELS, POOL), {"augment_unlabeled": []}, "`augment_unlabeled` is empty"),
    ],
)
def test_association_batches_refuses_arrays_that_do_not_fit(arrays, options, message):
    with pytest.raises(InputError, match=message):
        association_batches(*arrays, **options)


def test_association_batches_refuse_what_can_not_augment():
    images, labels = np.zeros((4, 2, 2, 1), np.uint8), np.arange(4) % 2
    for wrong in ("photos", keras.layers.RandomFlip(), [None, "photos"]):
        with pytest.raises(InputError, match="can't augment: it must be a function of"):
            association_batches(images, labels, images, augment_unlabeled=wrong)
        with pytest.raises(InputError, match="can't augment: it must be a function of"):
            association_batches(images, labels, images, augment=wrong)


def test_association_batches_refuse_augmentation_that_makes_images_unlike():
    images, labels = np.zeros((4, 2, 2, 1), np.uint8), np.arange(4) % 2
    for change in (
        lambda images, seed: tf.cast(images, tf.float32),
        lambda images, seed: tf.repeat(images, 3, axis=3),
    ):
        with pytest.raises(InputError, match=r"augmentation some images are uint8 .*be alike"):
            association_batches(images, labels, images, augment_unlabeled=change)


@pytest.mark.parametrize("where", ["augment", "augment_unlabeled"])
def test_association_batches_refuse_augmentation_that_changes_the_number_of_images(where):
    images, labels = np.zeros((4, 2, 2, 1), np.uint8), np.arange(4) % 2
    for change in (lambda images, seed: images[:-1], lambda images, seed: tf.reduce_sum(images)):
        with pytest.raises(InputError, match=r"image for each one, but of images \(\d+, 2"):
            association_batches(images, labels, images, **{where: change})

    def all_but_the_first(images, seed):  # how many that are, no graph knows
        return tf.boolean_mask(images, tf.range(tf.shape(images)[0]) > 0)

    batches = association_batches(images, labels, images, **{where: all_but_the_first})
    with pytest.raises(tf.errors.InvalidArgumentError, match="changes the number of images"):
        next(iter(batches))

    def mirrored_by_a_mask(images, seed):
        return tf.boolean_mask(images, tf.range(tf.shape(images)[0]) >= 0)[:, ::-1]

    batches = association_batches(images, labels, images, **{where: mirrored_by_a_mask})
    assert next(iter(batches))[0].shape == (120, 2, 2, 1)


@pytest.mark.parametrize("where", ["augment", "augment_unlabeled"])
def test_association_batches_refuse_augmentation_of_other_arguments(where):
    images, labels = np.zeros((4, 2, 2, 1), np.uint8), np.arange(4) % 2
    for change in (lambda images: images, lambda images, seed, scale: images):
        with pytest.raises(InputError, match="must take two arguments, images and a seed"):
            association_batches(images, labels, images, **{where: change})
    for change in (lambda *both: both[0], lambda images, seed, scale=1: images):
        association_batches(images, labels, images, **{where: change})


def test_association_batches_tell_that_augmentation_runs_in_a_graph():
    images, labels = np.zeros((4, 2, 2, 1), np.uint8), np.arange(4) % 2
    for change in (
        np.flip,
        lambda images, seed: images.numpy(),
        lambda images, seed: images if seed[0] > 0 else images[:, ::-1],
    ):
        with pytest.raises(InputError, match="it must run in a TensorFlow graph"):
            association_batches(images, labels, images, augment=change)

    def flipped(images, seed):
        return tf.ensure_shape(tf.numpy_function(np.flip, [images, 1], tf.uint8), images.shape)

    association_batches(images, labels, images, augment=flipped)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_association_batches_refuse_pixels_that_are_not_finite(value):
    images, labels = np.zeros((4, 2, 2, 1), np.float32), np.arange(4) % 2
    bad = images.copy()
    bad[2, 1, 0] = value
    message = r"images\[2\] of the array \(4, 2, 2, 1\) has a pixel that is NaN or infinite"
    with pytest.raises(InputError, match=message):
        association_batches(bad, labels, images)
    with pytest.raises(InputError, match=message):
        association_batches(images, labels, bad)


def test_images_in_0_to_1_are_not_augmented_to_black():
    images = np.full((4, 8, 8, 1), 0.7)
    photos = get_augmentation("photos")
    options = {"augment": photos, "augment_unlabeled": photos, "sup_per_batch": 1}
    with pytest.raises(InputError, match=r"takes pixels in \[0, 255\], but .* at most 0\.7"):
        association_batches(images, [0, 0, 1, 1], images, **options)
    association_batches(255 * images, [0, 0, 1, 1], 255 * images, **options)
    standardised = np.linspace(-2, 3, images.size).reshape(images.shape)
    with pytest.raises(InputError, match=r"values down to -2; give them as they were before"):
        association_batches(standardised, [0, 0, 1, 1], None, **options)
    for dtype in (np.uint16, np.int64, np.float64):
        large = np.linspace(0, 5000, images.size).reshape(images.shape).astype(dtype)
        with pytest.raises(InputError, match="values up to 5000; divide those of 16 bits by 257"):
            association_batches(large, [0, 0, 1, 1], None, **options)
    with pytest.raises(InputError, match="values down to -7"):
        association_batches(np.full(images.shape, -7), [0, 0, 1, 1], None, **options)
    # The unlabelled ones, too, on a scale of their own.
    with pytest.raises(InputError, match=r"takes pixels in \[0, 255\], but .* at most 0\.7"):
        association_batches(255 * images, [0, 0, 1, 1], images, **options)
    with pytest.raises(InputError, match=r"takes images \[N, H, W, C\], but these are \(4, 8, 8\)"):
        association_batches(255 * images[..., 0], [0, 0, 1, 1], None, **options)
    with pytest.raises(InputError, match="must be an array"):
        association_batches("photos", [0], images)
    with pytest.raises(InputError, match="differ in size"):
        association_batches([np.ones((2, 2, 1)), np.ones((3, 2, 1))], [0, 1], None)
