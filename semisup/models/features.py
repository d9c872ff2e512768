"""Features of images by a frozen backbone: computed once, then read from a cache on disk.

The cache has a folder for each backbone, named by a digest of its layers and weights. In it lie
shards: features, float16, and a digest of each image (its pixels, or where it stays in a file
of its own, that file's path, size and time). So a second run computes nothing, whatever it labels,
and one with more images only these. Zip's checksums tell a damaged shard, which is removed and
made again. The least recently used shards go when the cache grows beyond its limit.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np
from absl import logging

from semisup.data.dataset import Images
from semisup.data.lazy_images import LazyImages
from semisup.runtime.progress import tracked

# Bytes that all features on disk may take: some 800,000 images by a backbone of 1,280 features.
LARGEST_CACHE = 2 << 30

_BATCH_SIZE = 64
_DIGEST_SIZE = 16


def default_cache() -> Path:
    """The folder for cached features: ~/.cache/semisup/features, or under XDG_CACHE_HOME."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "semisup" / "features"


def extract(
    backbone: keras.Model, images: Images, cache: Path | None = None, name: str = "images"
) -> np.ndarray:
    """Compute the features of images, or read them from a cache.

    They are rounded to float16 with a cache and without, so that both give the same run.

    Args:
        backbone: a model from images [batch, H, W, C] to features [batch, F].
        images: uint8 [N, H, W, C].
        cache: the folder of the cache, made if need be; None for none.
        name: of the images, for the progress display.

    Returns:
        float32 [N, F].
    """
    if cache is None:
        return _compute(backbone, images, np.arange(len(images)), name).astype(np.float32)
    folder = cache / _digest_of_model(backbone)
    digests = [_digest_of_image(images, i) for i in range(len(images))]
    known = _read(folder, set(digests))
    missing = np.array([i for i, digest in enumerate(digests) if digest not in known], int)
    if len(missing):
        features = _compute(backbone, images, missing, name)
        new = [digests[i] for i in missing]
        known |= dict(zip(new, features, strict=True))
        _write(folder, new, features)
        _keep_within(cache, LARGEST_CACHE)
    return np.stack([known[digest] for digest in digests]).astype(np.float32)


def _compute(backbone: keras.Model, images: Images, chosen: np.ndarray, name: str) -> np.ndarray:
    """Features of the chosen images, float16 [n, F]."""
    starts = range(0, len(chosen), _BATCH_SIZE)
    parts = [
        backbone.predict_on_batch(np.asarray(images[chosen[i : i + _BATCH_SIZE]]))
        for i in tracked(starts, len(chosen), _BATCH_SIZE, f"features of the {name}")
    ]
    # Beyond float16 lie only features that no pretrained network has.
    limit = np.finfo(np.float16).max
    return np.concatenate(parts).clip(-limit, limit).astype(np.float16)


def _digest_of_model(backbone: keras.Model) -> str:
    """Names the layers, their settings and their weights."""
    digest = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    for layer in backbone._flatten_layers():
        config = layer.get_config() if not isinstance(layer, keras.Model) else type(layer).__name__
        digest.update(repr(config).encode())
    for weight in backbone.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
    digest.update(repr(backbone.input_shape).encode())
    return digest.hexdigest()


def _digest_of_image(images: Images, index: int) -> bytes:
    if isinstance(images, LazyImages):
        return hashlib.blake2b(images.identity(index), digest_size=_DIGEST_SIZE).digest()
    pixels = np.asarray(images[index]).tobytes()
    return hashlib.blake2b(pixels, digest_size=_DIGEST_SIZE).digest()


def _read(folder: Path, wanted: set[bytes]) -> dict[bytes, np.ndarray]:
    """The features of those of the images that the shards hold."""
    found: dict[bytes, np.ndarray] = {}
    for shard in sorted(folder.glob("*.npz")):
        try:
            with np.load(shard, allow_pickle=False) as content:
                rows = [row.tobytes() for row in content["digests"]]
                if wanted.isdisjoint(rows):
                    continue
                found |= dict(zip(rows, content["features"], strict=True))
            os.utime(shard)  # the least recently used go first
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logging.warning("the features in %s are damaged (%s); made again", shard, error)
            with suppress(OSError):
                shard.unlink()
    return {digest: features for digest, features in found.items() if digest in wanted}


def _write(folder: Path, digests: list[bytes], features: np.ndarray) -> None:
    """Write a shard, whole or not at all; a cache that can't be written only costs time."""
    rows = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _DIGEST_SIZE)
    name = hashlib.blake2b(rows.tobytes(), digest_size=_DIGEST_SIZE).hexdigest()
    temporary = folder / f".tmp.{name}.{os.getpid()}.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(temporary, digests=rows, features=features)
        temporary.replace(folder / f"{name}.npz")
    except OSError as error:
        logging.warning("features can't be kept in %s: %s", folder, error)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _keep_within(cache: Path, limit: int) -> None:
    """Remove the least recently used shards beyond the limit, in bytes."""
    total = 0
    for size, shard in _newest_first(cache):
        total += size
        if total > limit:
            with suppress(OSError):
                shard.unlink()


def _newest_first(cache: Path) -> Iterator[tuple[int, Path]]:
    stats = [(shard.stat(), shard) for shard in cache.glob("*/*.npz")]
    for stat, shard in sorted(stats, key=lambda pair: -pair[0].st_mtime_ns):
        yield stat.st_size, shard
