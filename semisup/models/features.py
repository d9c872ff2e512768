"""Features of images by a frozen backbone: computed once, then read from a cache on disk.

The cache has a folder for each backbone, named by a digest of its layers, their settings and
weights, so that one that scales its pixels otherwise or computes in another precision has its own.
In it lie shards: features, and a digest of each image (its pixels, or where it stays in a file of
its own, that file's path, size and time). So a second run computes nothing, whatever it labels,
one with more images only these, and one that was stopped goes on. A damaged shard is removed and
made again. The least recently used shards go when the cache grows beyond its limit.
"""

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from semisup.data import npz
from semisup.data.dataset import Images
from semisup.data.image_io import on_all_cores
from semisup.data.lazy_images import LazyImages
from semisup.errors import InputError, reason
from semisup.models import weights
from semisup.runtime.paths import expanded
from semisup.runtime.progress import tracked

# Names the folder of the cache, or is NO_CACHE.
VARIABLE, NO_CACHE = "SEMISUP_FEATURE_CACHE", "none"

# Bytes that all features on disk may take: some 400,000 images by a backbone of 1,280 features.
# float16 would take half, but gave another class for 3 of 10,000 images (by heads with random
# weights, EfficientNet-Lite0, STL-10), so that model.keras would not be what was evaluated.
LARGEST_CACHE = 2 << 30

_BATCH_SIZE = 64
_SHARD_SIZE = 64 * _BATCH_SIZE  # images
_DIGEST_SIZE = 16

# Part of every digest; a change of the shards' content, or of how files are read, needs another.
_FORMAT = b"semisup features 4"

# Only what has such a name is ever removed: people may name a folder that holds other things too.
_NAME = re.compile(rf"[0-9a-f]{{{2 * _DIGEST_SIZE}}}")
_SHARD, _TEMPORARY = ".npz", ".tmp"
_ABANDONED = 24 * 3600.0  # seconds after which nobody is still writing a file


def default_cache() -> Path | None:
    """The folder for cached features; None for no cache.

    SEMISUP_FEATURE_CACHE names it, or is "none". By default it is ~/.cache/semisup/features, or
    the like under XDG_CACHE_HOME.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return None if chosen.lower() == NO_CACHE else expanded(chosen)
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded(root) / "semisup" / "features"


def extract(
    backbone: keras.Model, images: Images, cache: Path | None = None, name: str = "images"
) -> np.ndarray:
    """Compute the features of images, or read them from a cache.

    Args:
        backbone: a model from images [batch, H, W, C] to features [batch, F].
        images: uint8 [N, H, W, C].
        cache: the folder of the cache, made if need be; None for none.
        name: of the images, for the progress display.

    Returns:
        float32 [N, F].

    Raises:
        InputError: the backbone gives other than [batch, F], or features that are not finite; or
            an image can't be read.
    """
    shape = backbone.output_shape
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] is None:
        raise InputError(
            f"a frozen backbone must give features [batch, F], but this one gives {shape}; end it "
            "with a Flatten, pooling or Dense layer"
        )
    features = np.empty((len(images), shape[1]), np.float32)
    missing, digests, folder = np.arange(len(images)), list[bytes](), None
    if cache is not None:
        folder, digests = cache / _digest_of_model(backbone), _digests_of_images(images)
        missing = _read(folder, digests, features)
    batches = [missing[i : i + _BATCH_SIZE] for i in range(0, len(missing), _BATCH_SIZE)]
    unwritten: list[int] = []
    for batch in tracked(batches, len(missing), _BATCH_SIZE, f"features of the {name}"):
        features[batch] = _compute(backbone, np.asarray(images[batch]))
        unwritten.extend(batch)
        if cache and folder and (len(unwritten) >= _SHARD_SIZE or batch is batches[-1]):
            _write(folder, [digests[i] for i in unwritten], features[unwritten])
            _keep_within(cache, LARGEST_CACHE)
            unwritten.clear()
    return features


def _compute(backbone: keras.Model, pixels: np.ndarray) -> np.ndarray:
    """Features of the images in a batch, float32 [n, F].

    It always takes as many: kernels for other sizes round otherwise, and features must not depend
    on which images the cache had. Nor is another graph traced.
    """
    full = np.resize(pixels, (_BATCH_SIZE, *pixels.shape[1:]))  # again and again from the first
    try:
        features = np.asarray(backbone.predict_on_batch(full), np.float32)[: len(pixels)]
    except tf.errors.ResourceExhaustedError as error:
        raise InputError(
            f"the backbone does not fit into the memory: {reason(error)}; try a smaller "
            "`new_size` or another `architecture`"
        ) from None
    bad = int(np.sum(~np.isfinite(features).all(axis=1)))
    if bad:
        raise InputError(
            f"the features of {bad} of {len(pixels)} images are not finite; try "
            "`precision=float32`, or another `architecture`"
        )
    return features


def _digest(*parts: bytes) -> hashlib.blake2b:
    digest = hashlib.blake2b(_FORMAT, digest_size=_DIGEST_SIZE)
    for part in parts:
        digest.update(part)
    return digest


def _digest_of_model(backbone: keras.Model) -> str:
    """Digest of the layers, operations such as scaling, their settings, and the weights."""
    parts = weights.digest_of_layers(backbone), weights.digest(backbone)
    return _digest(*(part.encode() for part in parts)).hexdigest()


def _digests_of_images(images: Images) -> list[bytes]:
    shape = repr(images.shape[1:]).encode()

    def digest(index: int) -> bytes:
        if isinstance(images, LazyImages):
            return _digest(shape, images.identity(index)).digest()
        return _digest(shape, images[index].tobytes()).digest()

    try:
        indices = range(len(images))
        return list(on_all_cores(digest, indices, False, "looking for features"))
    except OSError as error:
        raise InputError(f"cannot read the image {error.filename}: {error.strerror}") from None


def _read(folder: Path, digests: list[bytes], features: np.ndarray) -> np.ndarray:
    """Fill in the features that the shards hold; returns the numbers of the other images."""
    wanted, found = set(digests), dict[bytes, np.ndarray]()
    for shard in sorted(path for path in folder.glob(f"*{_SHARD}") if _NAME.match(path.name)):
        if shard.exists() and not os.access(shard, os.R_OK):  # another user's
            continue
        try:
            used = _read_shard(shard, features.shape[1], wanted)
        except InputError as error:
            if os.path.lexists(shard):  # else another process removed it
                logging.warning(f"{error}; its features are computed again")
                _remove(shard)
            continue
        found |= used
        if used:
            with suppress(OSError):
                os.utime(shard)  # the least recently used go first
    for i, digest in enumerate(digests):
        if digest in found:
            features[i] = found[digest]
    return np.array([i for i, digest in enumerate(digests) if digest not in found], np.int64)


def _read_shard(shard: Path, size: int, wanted: Set[bytes]) -> dict[bytes, np.ndarray]:
    """Look up the wanted digests in a shard; returns the features, float32 [size], of those in it.

    The features are read only if some are wanted: a large cache has gigabytes of others.

    Raises:
        InputError: it is damaged, or no shard.
    """
    digests = npz.read_npz(shard, ["digests"]).get("digests", np.empty(0))  # checks the checksum
    if digests.dtype != np.uint8 or digests.shape[1:] != (_DIGEST_SIZE,):
        raise InputError(f"{shard} is damaged: it holds no digests")
    rows = [row.tobytes() for row in digests]
    if wanted.isdisjoint(rows):
        return {}
    values = npz.read_npz(shard, ["features"]).get("features", np.empty(0))
    if values.dtype != np.float32 or values.shape != (len(rows), size):
        raise InputError(f"{shard} is damaged: it holds no features {(len(rows), size)}")
    return {row: value for row, value in zip(rows, values, strict=True) if row in wanted}


def _write(folder: Path, digests: list[bytes], features: np.ndarray) -> None:
    """Write a shard, whole or not at all; a cache that can't be written only costs time."""
    rows = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _DIGEST_SIZE)
    shard = folder / f"{_digest(rows.tobytes()).hexdigest()}{_SHARD}"
    temporary = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A name of its own: other processes may be writing the same shard. Not by tempfile, whose
        # files nobody else may read: a cache can be shared.
        temporary = folder / f"{shard.stem}{secrets.token_hex(4)}{_TEMPORARY}"
        with temporary.open("xb") as file:
            np.savez(file, digests=rows, features=features)
        temporary.replace(shard)
    except OSError as error:
        logging.warning(f"cannot write the features to the cache {folder}: {error}")
        if temporary:
            _remove(temporary)


def _keep_within(cache: Path, limit: int) -> None:
    """Remove the least recently used shards beyond the limit, in bytes, and abandoned files."""
    total = 0
    for stat, path in sorted(_files(cache), key=lambda pair: -pair[0].st_mtime_ns):
        total += stat.st_size
        abandoned = path.suffix == _TEMPORARY and time.time() - stat.st_mtime > _ABANDONED
        if abandoned or (total > limit and path.suffix == _SHARD):
            _remove(path)


def _files(cache: Path) -> Iterator[tuple[os.stat_result, Path]]:
    """What the cache holds, and nothing else that may lie in its folder."""
    for path in cache.glob("*/*"):
        known = path.suffix in (_SHARD, _TEMPORARY) and _NAME.match(path.name)
        if known and _NAME.fullmatch(path.parent.name):
            with suppress(OSError):  # another process may have removed it
                yield path.lstat(), path


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
