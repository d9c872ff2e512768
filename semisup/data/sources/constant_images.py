"""A warning about images of a single colour."""

import numpy as np
from absl import logging

from semisup.data.dataset import Dataset, Images, evenly_spaced
from semisup.data.lazy_images import LazyImages

# Of images that stay on disk, which are slow to read, this many are looked at, evenly spread.
_LOOKED_AT = 60

_AT_ONCE = 1000  # images, which bounds the memory


def warn_of_constant_images(dataset: Dataset) -> None:
    """Log a warning if images of a user's data set have a single colour.

    Such images are read wrongly more often than they are meant.
    """
    names = {
        "training": (dataset.train_images, dataset.train_names),
        "test": (dataset.test_images, None),
        "unlabelled": (dataset.unlabeled_images, dataset.unlabeled_names),
    }
    for kind, (images, name) in names.items():
        if images is None:
            continue
        looked_at = np.arange(len(images))
        if isinstance(images, LazyImages):
            looked_at = evenly_spaced(len(images), _LOOKED_AT)
        starts = range(0, len(looked_at), _AT_ONCE)
        constant = [
            i
            for start in starts
            for i in _constant(images, looked_at[start : start + _AT_ONCE]).tolist()
        ]
        if constant:
            such = f" (such as {name(np.array(constant[:1]))[0]})" if name else ""
            of = "" if len(looked_at) == len(images) else " looked at"
            logging.warning(
                f"{len(constant)} of {len(looked_at)} {kind} images{of} have a single "
                f"colour{such}; check that they are read correctly"
            )


def _constant(images: Images, chosen: np.ndarray) -> np.ndarray:
    """Those of the chosen images all of whose pixels are alike."""
    pixels = np.asarray(images[chosen])
    for every in (8, 1):  # a few pixels tell most images
        some = pixels[:, ::every, ::every]
        alike = (some == some[:, :1, :1]).all(axis=(1, 2, 3))
        pixels, chosen = pixels[alike], chosen[alike]
    return chosen
