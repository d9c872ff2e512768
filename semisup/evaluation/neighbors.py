"""The nearest embeddings to others, by cosine."""

from typing import NamedTuple

import numpy as np


class Neighbors(NamedTuple):
    """The nearest of some embeddings to each of others.

    Attributes:
        indices: int64 [queries, k], the nearest first.
        similarity: their cosine similarity, float [queries, k], in [-1, 1].
    """

    indices: np.ndarray
    similarity: np.ndarray


def nearest(queries: np.ndarray, embeddings: np.ndarray, count: int) -> Neighbors:
    """The `count` embeddings nearest to each query.

    Args:
        queries: embeddings [Q, D]; there may be none.
        embeddings: [N, D]; if N is less than `count`, all of them.
        count: neighbours of each.
    """
    from sklearn.neighbors import NearestNeighbors

    count = min(count, len(embeddings))
    if len(queries) == 0:
        return Neighbors(np.empty((0, count), np.int64), np.empty((0, count)))
    search = NearestNeighbors(n_neighbors=count, metric="cosine")
    distance, indices = search.fit(embeddings).kneighbors(queries)
    return Neighbors(indices, 1.0 - distance)
