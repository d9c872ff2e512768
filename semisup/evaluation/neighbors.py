"""Nearest neighbours among embeddings, by cosine similarity."""

from typing import NamedTuple

import numpy as np

from semisup.errors import InputError
from semisup.runtime.arguments import whole_number


class Neighbors(NamedTuple):
    """The nearest neighbours of each query.

    Attributes:
        indices: int64 [queries, k], the nearest first.
        similarity: their cosine similarity, float [queries, k], in [-1, 1].
    """

    indices: np.ndarray
    similarity: np.ndarray


def nearest(queries: np.ndarray, embeddings: np.ndarray, count: int) -> Neighbors:
    """The `count` embeddings nearest to each query.

    Args:
        queries: embeddings [Q, D], an array, a tensor or a list; there may be none.
        embeddings: [N, D], likewise; if N is less than `count`, all of them.
        count: neighbours of each, at least 0.

    Returns:
        k = min(count, N) neighbours of each query.

    Raises:
        InputError: `count` is negative, or no whole number; or the embeddings have other shapes.
    """
    queries, embeddings = np.asarray(queries), np.asarray(embeddings)
    count = whole_number("count", count, minimum=0)
    # By hand: scikit-learn's search does the same, but takes a second to import.
    count = min(count, len(embeddings))
    if count == 0 or len(queries) == 0:
        return Neighbors(np.empty((len(queries), count), np.int64), np.empty((len(queries), count)))
    if queries.ndim != 2 or embeddings.ndim != 2 or queries.shape[1] != embeddings.shape[1]:
        raise InputError(
            f"there are queries {queries.shape}, but embeddings {embeddings.shape}; wanted [Q, D] "
            "and [N, D]"
        )
    similarity = unit_rows(queries) @ unit_rows(embeddings).T
    indices = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(similarity, indices, axis=1), axis=1, kind="stable")
    indices = np.take_along_axis(indices, order, axis=1)
    return Neighbors(indices, np.take_along_axis(similarity, indices, axis=1))


def unit_rows(embeddings: np.ndarray) -> np.ndarray:
    """The rows of [N, D], each scaled to length 1; those of zeros stay."""
    if embeddings.dtype == np.float16:  # whose squares are beyond its range
        embeddings = embeddings.astype(np.float32)
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(length > 0, length, 1.0)
