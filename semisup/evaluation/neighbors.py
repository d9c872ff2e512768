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
        queries: embeddings [Q, D].
        embeddings: [N, D]; if N is less than `count`, all of them.
        count: neighbours of each.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(count, len(embeddings)), metric="cosine")
    distance, indices = search.fit(embeddings).kneighbors(queries)
    return Neighbors(indices, 1.0 - distance)
