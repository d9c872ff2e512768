"""Data sets through tensorflow-datasets (TFDS)."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging as absl_logging

from semisup.data.dataset import Dataset
from semisup.errors import InputError, first_line, missing_package

# As stl10 there calls its images without labels.
_UNLABELED = "unlabelled"


def load_tfds(name: str, data_dir: Path | None) -> Dataset:
    """An image classification set of TFDS, downloaded the first time it is asked for.

    Args:
        name: its name there, such as "mnist".
        data_dir: where prepared sets are kept; None for TFDS's own folder
            (~/tensorflow_datasets).

    Raises:
        InputError: TFDS is not installed or has no such set, it can't be had, or it is no
            image classification set with a training and a test split of images of one size.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise missing_package(
            f"{name!r} of tensorflow-datasets",
            "tensorflow-datasets importlib_resources",
            "give the data set's name without tfds: and `data_dir` for its files",
        ) from None

    # Its downloader warns of every retry; one error at the end is enough.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        if not builder.data_path.exists():
            absl_logging.warning(f"Fetching {name} through tensorflow-datasets ...")
        builder.download_and_prepare()
    except tfds.core.registered.DatasetNotFoundError:
        raise InputError(
            f"tensorflow-datasets has no set called {name!r}; its catalogue is at "
            "tensorflow.org/datasets"
        ) from None
    except Exception as error:  # a download fails in as many ways as there are networks
        what = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(
            f"tensorflow-datasets could not prepare {name!r} ({what}); without a network "
            "connection, give the data set's name without tfds: and `data_dir`"
        ) from None
    features = dict(builder.info.features)
    if "image" not in features or not isinstance(features.get("label"), tfds.features.ClassLabel):
        raise InputError(
            f"tensorflow-datasets' {name!r} is not an image classification set: it has the "
            f"features {', '.join(features)}, wanted image and label"
        )
    splits = builder.info.splits
    for split in ("train", "test"):
        if split not in splits:
            raise InputError(
                f"tensorflow-datasets' {name!r} has no split {split!r}; it has {', '.join(splits)}"
            )

    def read(split: str) -> tuple[np.ndarray, np.ndarray]:
        examples = _examples(name, builder, split)
        labels = np.array([example["label"] for example in examples], np.int64)
        return np.stack([example["image"] for example in examples]), labels

    return Dataset(
        name,
        *read("train"),
        *read("test"),
        tuple(features["label"].names),
        unlabeled_images=read(_UNLABELED)[0] if _UNLABELED in splits else None,
    )


def _examples(name: str, builder: Any, split: str) -> list[dict[str, Any]]:
    """The examples of a split; InputError if they can't be read, or their images differ in size."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    try:
        examples = list(tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)))
    except tf.errors.OpError as error:
        raise InputError(
            f"tensorflow-datasets' files of {name!r} are damaged or missing ({first_line(error)}); "
            "remove their folder, and they are prepared again"
        ) from None
    if len({example["image"].shape for example in examples}) > 1:
        raise InputError(f"the images of tensorflow-datasets' {name!r} differ in size")
    return examples
