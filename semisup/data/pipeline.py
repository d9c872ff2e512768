"""Endless training batches as a tf.data pipeline.

Batch number `step` is a pure function of (seed, step): nothing is drawn from a state,
so a run can begin or resume at any step, and any batch can be made again.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from semisup.data.dataset import Images, evenly_spaced
from semisup.data.image_arrays import check_finite_pixels, check_range
from semisup.data.lazy_images import LazyImages, as_images
from semisup.errors import InputError
from semisup.runtime.arguments import class_numbers, whole_number

Augment = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Take = Callable[[tf.Tensor], tf.Tensor]  # from indices [n] to the images there, [n, ...]

# The label of an image that has none, as in scikit-learn.
UNLABELED = -1

_WITHOUT_LABEL = "give the images without labels as `unlabeled_images`"

# The attributes of a dataset that hold the labels of each of its batches, and some of its images.
_LABELS, _IMAGES = "_semisup_labels", "_semisup_images"

# Fewer items are drawn by sorting. TensorFlow's permutation is one of 65,536 places, along which it
# walks until one is below the number of items: of 10 images that takes 6,554 turns for each, so
# that the batches of few labels would cost more than the steps on them.
_SMALL = 256

# Tags that keep the random streams apart. A class has its number for a tag.
_UNLABELED_STREAM = -1


def association_batches(
    images: Images,
    labels: np.ndarray,
    unlabeled_images: Images | None,
    *,
    sup_per_batch: int = 10,
    unsup_batch_size: int = 100,
    seed: int = 0,
    start_step: int = 0,
    augment: Augment | None = None,
    augment_unlabeled: Augment | Sequence[Augment | None] | None = None,
    part: int = 0,
    parts: int = 1,
) -> tf.data.Dataset:
    """Endless batches of labelled and unlabelled images.

    A batch is (images, labels): first `sup_per_batch` images of each class, class by
    class, then `unsup_batch_size` unlabelled images with the label -1. The images of a
    class are drawn without replacement until all of them have been used, then in a new
    order; so are the unlabelled ones.

    Args:
        images: labelled images [N, ...], of any dtype, in memory or on disk.
        labels: their classes, whole numbers [N] from 0 on, of any type.
        unlabeled_images: [U, ...], of the same dtype and size; None for none at all.
        sup_per_batch: labelled images of each class in a batch.
        unsup_batch_size: unlabelled images in a batch.
        seed: seed of the order of the images.
        start_step: the number of the first batch.
        augment: changes the labelled images of a batch, given them and a seed of two
            integers; see `semisup.data.augmentation`. One with a Python `if` or loop over
            tensors must be a `tf.function`.
        augment_unlabeled: changes the unlabelled images, likewise. Given several functions, a batch
            has the unlabelled images once for each, one view after the other.
        part: give only the rows `part`, `part` + `parts`, ... of each batch, for one of several
            workers; below `parts`. Other rows are read from their files only if there is
            augmentation, whose random numbers are drawn for whole batches.
        parts: how many such parts a batch has.

    Returns:
        An endless dataset (so tell `fit` its steps_per_epoch) of (images [B, ...],
        int64 labels [B]), where B is the number of classes times `sup_per_batch`, plus
        `unsup_batch_size` for each view. Each `fit` begins at `start_step` again: to train on, make
        them anew with `start_step=int(model.optimizer.iterations)` (times
        `gradient_accumulation_steps`, if the optimizer has these). If images are read from files
        and you made the iterator yourself, `del` it at the end; otherwise the script may not end.

    Raises:
        InputError: the arrays do not fit each other, labels are no classes, a pixel is NaN or
            infinite, a number is out of its range, there is nothing to draw from, or augmentation
            takes other arguments or gives another number of images.

    Examples:
        >>> pixels = np.zeros((6, 28, 28, 1), "uint8")
        >>> batches = semisup.association_batches(
        ...     pixels, [0, 0, 0, 1, 1, 1], pixels, sup_per_batch=2, unsup_batch_size=3
        ... )
        >>> images, labels = next(iter(batches))
        >>> images.shape, labels.numpy().tolist()
        (TensorShape([7, 28, 28, 1]), [0, 0, 1, 1, -1, -1, -1])
    """
    images, labels = as_images(images), class_numbers(labels, _WITHOUT_LABEL)
    _check_labeled(images, labels, augment)
    sup_per_batch = whole_number("sup_per_batch", sup_per_batch, minimum=1)
    unsup_batch_size = whole_number("unsup_batch_size", unsup_batch_size, minimum=0)
    seed, parts = whole_number("seed", seed), whole_number("parts", parts, minimum=1)
    start_step = whole_number("start_step", start_step, minimum=0)
    part = whole_number("part", part, minimum=0, maximum=parts - 1)
    if unlabeled_images is None:
        unlabeled_images, unsup_batch_size = images[:1], 0
    unlabeled_images = as_images(unlabeled_images)
    _check_unlabeled(unlabeled_images, images)
    views = _views(augment_unlabeled, unlabeled_images)
    # Sorted by class, the images of a class are a run: first[c] ... first[c] + sizes[c] - 1.
    by_class = np.argsort(labels, kind="stable")
    classes, first, sizes = np.unique(labels[by_class], return_index=True, return_counts=True)
    labeled_size = len(classes) * sup_per_batch
    both = np.repeat(classes, sup_per_batch), np.full(len(views) * unsup_batch_size, UNLABELED)
    part_labels = tf.constant(np.concatenate(both)[part::parts], tf.int64)
    take_labeled, take_unlabeled = _taker(images[by_class]), _taker(unlabeled_images)
    pool_size = np.array([len(unlabeled_images)])

    def rows(
        take: Take, drawn: tf.Tensor, change: Augment | None, seeds: tf.Tensor, first_row: int
    ) -> tf.Tensor:
        """Of the images drawn, those of our part; the first is number `first_row`."""
        if change is None:
            return take(drawn[first_row::parts])
        return _changed(change, take(drawn), seeds)[first_row::parts]

    # AutoGraph would rewrite every function below, a quarter of a second of the start.
    @tf.autograph.experimental.do_not_convert
    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seeds = [_augmentation_seed(seed, step, kind) for kind in range(1 + len(views))]
        drawn = _draw(step, sup_per_batch, sizes, stream=classes, seed=seed) + first[:, None]
        ours = rows(take_labeled, tf.reshape(drawn, [-1]), augment, seeds[0], part)
        if unsup_batch_size > 0:
            drawn = _draw(step, unsup_batch_size, pool_size, np.array([_UNLABELED_STREAM]), seed)
            for i, change in enumerate(views):
                first_row = (part - labeled_size - i * unsup_batch_size) % parts
                others = rows(take_unlabeled, drawn[0], change, seeds[1 + i], first_row)
                ours = _joined(ours, others)
        return ours, part_labels

    steps = tf.data.Dataset.counter(start_step)  # which knows that it has no end
    batches = steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return _with_content(batches, part_labels.numpy(), images[evenly_spaced(len(images), 100)])


def _with_content(batches: tf.data.Dataset, labels: np.ndarray, some: Images) -> tf.data.Dataset:
    setattr(batches, _LABELS, labels)
    setattr(batches, _IMAGES, some)
    return batches


def labels_of_batches(batches: Any) -> np.ndarray | None:
    """The labels [B] of each of these batches, if they are those of `association_batches`.

    None of all else, for instance of a dataset that was made of them by `map`.
    """
    return getattr(batches, _LABELS, None)


def images_of_batches(batches: Any) -> Images | None:
    """A hundred or so of the labelled images of these batches, likewise."""
    return getattr(batches, _IMAGES, None)


def _check_labeled(images: Images, labels: np.ndarray, augment: Any) -> None:
    """Raise InputError if these are not images [N, ...] with a class each that it can change."""
    if labels.shape != (len(images),) or len(images) == 0:
        raise InputError(
            f"wanted images [N, ...] and labels [N] with N at least 1, but got {images.shape} and "
            f"{labels.shape}"
        )
    if labels.min() < 0:
        raise InputError(f"a label is {labels.min()}, but classes count from 0; {_WITHOUT_LABEL}")
    check_finite_pixels(images)
    _check_augmentations([augment], images)


def _check_unlabeled(unlabeled: Images, labeled: Images) -> None:
    """Raise InputError if there are no unlabelled images, or they are unlike the labelled ones."""
    if (
        unlabeled.shape[1:] != labeled.shape[1:]
        or unlabeled.dtype != labeled.dtype
        or len(unlabeled) == 0
    ):
        raise InputError(
            f"the unlabelled images {unlabeled.shape} {unlabeled.dtype} do not fit "
            f"the labelled ones {labeled.shape} {labeled.dtype}"
        )
    check_finite_pixels(unlabeled)


def _joined(first: tf.Tensor, then: tf.Tensor) -> tf.Tensor:
    """Images after others; InputError if augmentation made the two unlike each other."""
    shapes = first.shape[1:], then.shape[1:]
    if first.dtype != then.dtype or not shapes[0].is_compatible_with(shapes[1]):
        raise InputError(
            f"after augmentation some images are {first.dtype.name} {shapes[0]}, others "
            f"{then.dtype.name} {shapes[1]}, but they must be alike; give `augment` and "
            "`augment_unlabeled` functions that give the same type and size, or neither"
        )
    return tf.concat([first, then], axis=0)


def _changed(augment: Augment, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Images after augmentation; InputError if these are not as many, whose labels would shift."""
    try:
        changed = tf.convert_to_tensor(augment(images, seeds))
    except (
        *(AttributeError, NotImplementedError),  # by NumPy
        tf.errors.OperatorNotAllowedInGraphError,
    ) as error:
        if isinstance(error, AttributeError) and "numpy" not in str(error):
            raise
        raise InputError(
            f"{augment!r} can't augment: it must run in a TensorFlow graph, and can call NumPy "
            "only by tf.numpy_function, and with a Python `if` or loop over tensors it must be a "
            "tf.function"
        ) from error
    if changed.shape.rank == 0 or not changed.shape[:1].is_compatible_with(images.shape[:1]):
        raise InputError(
            f"an augmentation must give a changed image for each one, but of images "
            f"{tuple(images.shape)} it gives {tuple(changed.shape)}"
        )
    if not changed.shape[:1].is_fully_defined():
        counts, why = (tf.shape(changed)[0], tf.shape(images)[0]), "augmentation changes the number"
        with tf.control_dependencies([tf.debugging.assert_equal(*counts, f"{why} of images")]):
            return tf.identity(changed)
    return changed


def _views(
    augment: Augment | Sequence[Augment | None] | None, images: Images
) -> Sequence[Augment | None]:
    """What changes the unlabelled images, as a list; InputError if it can't."""
    views: Sequence[Any] = augment if isinstance(augment, list | tuple) else [augment]
    if not views:
        raise InputError(
            "`augment_unlabeled` is empty; give None to leave the images as they are, or "
            "`unlabeled_images=None` for batches without any"
        )
    _check_augmentations(views, images)
    return views


def _check_augmentations(augmentations: Iterable[Any], images: Images) -> None:
    """Raise InputError if one is no function of a batch and a seed, or not for such images."""
    for augment in augmentations:
        if augment is None:
            continue
        if not callable(augment) or hasattr(augment, "get_config"):
            raise InputError(
                f"{augment!r} can't augment: it must be a function of (images, seed), such as "
                "`semisup.data.get_augmentation(name)`; for a layer of Keras, use "
                "batches.map(lambda images, labels: (layer(images, training=True), labels))"
            )
        try:
            inspect.signature(augment).bind("images", "seed")
        except TypeError as error:
            raise InputError(
                f"{augment!r} can't augment: it must take two arguments, images and a seed "
                f"of two integers ({error})"
            ) from None
        except ValueError:  # Python does not know its arguments
            continue
    if any(getattr(augment, "takes_bytes", False) for augment in augmentations):
        check_range(images)


def _taker(images: Images) -> Take:
    if isinstance(images, LazyImages):
        return images.gather
    # Once, outside the graph, which captures it; never on a GPU, since batches are made on the CPU.
    with tf.device("CPU"):
        held = tf.constant(images)
    return lambda indices: tf.gather(held, indices)


def _augmentation_seed(seed: int, step: tf.Tensor, part: int) -> tf.Tensor:
    """A seed for the augmentation of one part of one batch, integers [2]."""
    seeds = tf.stack([tf.constant(seed, tf.int64), step])
    return tf.random.experimental.stateless_fold_in(seeds, part)


def _draw(
    step: tf.Tensor, count: int, sizes: np.ndarray, stream: np.ndarray, seed: int
) -> tf.Tensor:
    """For each stream, the `count` indices that batch number `step` takes of it.

    A stream runs through its `sizes` items again and again, each time in a new order.

    Returns:
        int64 [streams, count], in [0, size of the stream).
    """
    small = sizes < _SMALL
    # Apart, since one stream that a batch runs through often has all others sorted as often.
    often = sizes < count
    groups = (
        (_draw_by_sorting, small & often),
        (_draw_by_sorting, small & ~often),
        (_draw_by_index, ~small),
    )
    used = [(draw, np.flatnonzero(chosen)) for draw, chosen in groups if chosen.any()]
    parts = [draw(step, count, sizes[chosen], stream[chosen], seed) for draw, chosen in used]
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([chosen for _, chosen in used]))
    return tf.gather(tf.concat(parts, axis=0), order)


def _draw_by_index(
    step: tf.Tensor, count: int, sizes: np.ndarray, stream: np.ndarray, seed: int
) -> tf.Tensor:
    """Each index by itself, however many there are."""
    position = step * count + tf.range(count, dtype=tf.int64)[None, :]
    sizes = tf.constant(sizes, tf.int64)[:, None]
    round_number = position // sizes
    # A permutation for each (seed, stream, round). The raw op takes the three as a seed;
    # tf.random.experimental.index_shuffle, around it, can't take a seed for each index
    # (TensorFlow 2.21 pads a matrix of seeds along the wrong axis).
    triple = [tf.constant(seed, tf.int64), tf.constant(stream, tf.int64)[:, None], round_number]
    seeds = tf.stack([tf.broadcast_to(part, tf.shape(round_number)) for part in triple], -1)
    indices = tf.raw_ops.RandomIndexShuffle(
        index=tf.reshape(position % sizes, [-1]),
        seed=tf.reshape(seeds, [-1, 3]),
        max_index=tf.reshape(tf.broadcast_to(sizes - 1, tf.shape(round_number)), [-1]),
    )
    return tf.reshape(indices, tf.shape(round_number))


def _draw_by_sorting(
    step: tf.Tensor, count: int, sizes: np.ndarray, stream: np.ndarray, seed: int
) -> tf.Tensor:
    """All items of the rounds that the batch may touch, in the order of a hash."""
    rounds = (count - 1) // int(sizes.min()) + 2
    streams, most = len(sizes), int(sizes.max())
    item = tf.range(most, dtype=tf.int64)
    sizes = tf.constant(sizes, tf.int64)[:, None]
    first_round = step * count // sizes
    key = _hash(_hash(tf.constant(seed, tf.int64)) + tf.constant(stream, tf.int64)[:, None])
    key = _hash(key + first_round + tf.range(rounds, dtype=tf.int64))
    rank = _hash(key[:, :, None] + item)
    exists = item < sizes[:, :, None]
    order = tf.argsort(tf.where(exists, rank, tf.int64.max), axis=2, stable=True)
    position = step * count + tf.range(count, dtype=tf.int64)
    places = (position // sizes - first_round) * most + position % sizes
    # Not by gather_nd, which has oneDNN write a line about int64 to standard error.
    in_rounds = tf.reshape(order, [streams, rounds * most])
    return tf.cast(tf.gather(in_rounds, places, batch_dims=1), tf.int64)


def _hash(numbers: tf.Tensor) -> tf.Tensor:
    """Spread int64 numbers over [0, 2^62), by the steps of the generator SplitMix64."""
    x = tf.cast(numbers, tf.uint64) + tf.constant(0x9E3779B97F4A7C15, tf.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(shift, tf.uint64)))
        x *= tf.constant(factor, tf.uint64)
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(31, tf.uint64)))
    return tf.cast(tf.bitwise.right_shift(x, tf.constant(2, tf.uint64)), tf.int64)
