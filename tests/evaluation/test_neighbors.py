import numpy as np

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
