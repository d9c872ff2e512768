import numpy as np
import pytest
import tensorflow as tf

from semisup.errors import InputError
from semisup.evaluation.neighbors import nearest


def test_nearest_by_cosine_is_the_nearest_by_hand():
    random = np.random.default_rng(0)
    queries, embeddings = random.normal(size=(4, 6)), random.normal(size=(30, 6))
    found = nearest(queries, embeddings, 5)
    for query, indices, similarity in zip(queries, *found, strict=True):
        cosine = [q @ query / np.linalg.norm(q) / np.linalg.norm(query) for q in embeddings]
        np.testing.assert_array_equal(indices, np.argsort(cosine)[::-1][:5])
        np.testing.assert_allclose(similarity, np.sort(cosine)[::-1][:5], atol=1e-6)
    assert nearest(queries, embeddings[:3], 5).indices.shape == (4, 3)


def test_nearest_to_an_embedding_of_zeros_is_any_at_a_similarity_of_0():
    queries, embeddings = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [3.0, 0.0]])
    found = nearest(queries, embeddings, 2)
    np.testing.assert_array_equal(found.similarity, [[0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(found.indices[1], [1, 0])


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_nearest_of_half_precision(scale):
    rows = (np.array([[300, 0], [0, 300], [200, 200]]) * scale).astype(np.float16)
    found = nearest(rows, rows, 2)
    np.testing.assert_array_equal(found.indices, [[0, 2], [1, 2], [2, 0]])
    np.testing.assert_allclose(found.similarity, [[1, 0.7071], [1, 0.7071], [1, 0.7071]], rtol=1e-3)


def test_nearest_takes_tensors_and_lists():
    queries, embeddings = np.eye(3)[:2], np.eye(3) + 0.1
    wanted = nearest(queries, embeddings, 2)
    for kind in (tf.constant, np.ndarray.tolist):
        np.testing.assert_array_equal(nearest(kind(queries), kind(embeddings), 2), wanted)
    assert nearest([], embeddings, 2).indices.shape == (0, 2)


@pytest.mark.parametrize("queries", [np.ones(3), np.ones((2, 4)), np.ones((1, 2, 3))])
def test_nearest_refuses_embeddings_of_other_shapes(queries):
    with pytest.raises(InputError, match=r"but embeddings \(5, 3\); wanted \[Q, D\] and \[N, D\]"):
        nearest(queries, np.ones((5, 3)), 2)
