"""What tells a data set from other ones, for records."""

import hashlib
import json
import os
import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from semisup.data.dataset import Dataset, Images, evenly_spaced

# Images of an array whose brightness is looked at.
_LOOKED_AT = 256


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """What tells a data set from other ones, whichever images are labelled, for JSON."""
    pool = len(dataset.unlabeled_pool)
    others = 0 if dataset.unlabeled_images is None else len(dataset.unlabeled_images)
    return {
        "classes": list(dataset.class_names),
        "pool": [pool - others, others],
        "files": [_digest(files) for files in (dataset.train_files, dataset.unlabeled_files)],
        "values_in": dataset.values_in and list(dataset.values_in),
    }


def pixels_fingerprint(dataset: Dataset) -> str | None:
    """Digest of how bright some images are, where these have no files whose names tell them apart.

    None where all have such files.
    """
    pairs = (
        (dataset.train_images, dataset.train_files),
        (dataset.unlabeled_images, dataset.unlabeled_files),
    )
    nameless = [images for images, files in pairs if images is not None and _digest(files) is None]
    return brightness_digest(*nameless) if nameless else None


def brightness_digest(*arrays: Images) -> str:
    """Digest of how bright some images of each array are.

    In steps of four grey levels: another machine may round a resized image otherwise.
    """
    brightness = []
    for images in arrays:
        some = np.asarray(images[evenly_spaced(len(images), _LOOKED_AT)])
        brightness.append(np.round(some.mean(axis=(1, 2, 3)) / 4).astype(int).tolist())
    return json_digest(brightness)


def json_digest(content: Any) -> str:
    """Digest of what JSON can hold, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def common_folder(files: Collection[str]) -> str:
    """The innermost folder that all of these files lie in."""
    # What the first and the last in order have in common, all between have.
    return os.path.commonpath([Path(file).parent for file in (min(files), max(files))])


def _digest(files: np.ndarray | None) -> str | None:
    """Digest of the file names in their order, relative to their common folder.

    None where there are no files, but names of places in an array.
    """
    if files is None or len(files) == 0 or isinstance(files[0], str):
        return None
    # As a Mac writes names, é is two characters.
    names = [unicodedata.normalize("NFC", str(file)) for file in files]
    start = len(common_folder(names))
    joined = "\0".join(name[start:] for name in names)
    return hashlib.sha256(joined.encode("utf-8", "surrogateescape")).hexdigest()[:16]
