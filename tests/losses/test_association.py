"""The equations against loops in float64 written straight from the paper."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisup.errors import InputError
from semisup.losses import association, pseudo_labels

METRICS = ("dot", "cosine", "euclidean")


# The paper, word for word: no vectors, no tricks.


def naive_similarity(A, B, metric):
    M = np.zeros((len(A), len(B)))
    for i in range(len(A)):
        for j in range(len(B)):
            a, b = A[i], B[j]
            if metric == "dot":
                M[i, j] = sum(a * b)
            elif metric == "cosine":
                M[i, j] = sum(a * b) / math.sqrt(sum(a * a)) / math.sqrt(sum(b * b))
            else:
                M[i, j] = -sum((a - b) ** 2)
    return M


def naive_softmax_rows(M):
    P = np.zeros_like(M)
    for i in range(M.shape[0]):
        exponentials = [math.exp(m - max(M[i])) for m in M[i]]
        P[i] = [e / sum(exponentials) for e in exponentials]
    return P


def naive_walk(A, B, metric="dot", temperature=1.0):
    M = naive_similarity(A, B, metric) / temperature
    P_ab, P_ba = naive_softmax_rows(M), naive_softmax_rows(M.T)
    P_aba = np.zeros((len(A), len(A)))
    for i in range(len(A)):
        for j in range(len(A)):
            P_aba[i, j] = sum(P_ab[i, k] * P_ba[k, j] for k in range(len(B)))
    return M, P_ab, P_ba, P_aba


def naive_walker_loss(P_aba, labels):
    total = 0.0
    for i, label in enumerate(labels):
        size = sum(1 for other in labels if other == label)
        for j, other in enumerate(labels):
            if other == label:
                total -= 1 / size * math.log(1e-8 + P_aba[i, j])
    return total / len(labels)


def naive_visit_loss(P_ab):
    N, M = P_ab.shape
    total = 0.0
    for j in range(M):
        visit = sum(P_ab[i, j] for i in range(N)) / N
        total -= 1 / M * math.log(1e-8 + visit)
    return total


def naive_correct_rows(P_aba, labels):
    return [
        sum(P_aba[i, j] for j in range(len(labels)) if labels[j] == labels[i])
        for i in range(len(labels))
    ]


def naive_losses(A, B, labels, metric="dot", temperature=1.0):
    _, P_ab, _, P_aba = naive_walk(A, B, metric, temperature)
    return naive_walker_loss(P_aba, labels), naive_visit_loss(P_ab)


# Label layouts: balanced, unbalanced and shuffled, a class of one, one class only.
CASES = {
    "balanced": (12, 9, 5, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]),
    "unbalanced, any order": (9, 14, 3, [7, 2, 7, 7, -5, 2, 7, 7, 2]),
    "a class of one": (5, 4, 8, [0, 1, 1, 1, 1]),
    "one class": (4, 6, 2, [3, 3, 3, 3]),
    "all apart": (6, 3, 4, [5, 4, 3, 2, 1, 0]),
    "one sample each": (1, 1, 1, [0]),
}


def embeddings(case, scale=1.0, seed=0):
    N, M, D, labels = CASES[case]
    random = np.random.default_rng(seed)
    A = random.normal(size=(N, D)) * scale
    B = random.normal(size=(M, D)) * scale
    return A.astype(np.float32), B.astype(np.float32), np.array(labels)


def run(function, mode):
    return tf.function(function) if mode == "graph" else function


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("case", CASES)
def test_association_losses_equal_the_loops(case, metric, mode):
    A, B, labels = embeddings(case)
    losses = run(lambda *batch: association.association_losses(*batch, metric), mode)(A, B, labels)

    _, P_ab, _, P_aba = naive_walk(A.astype(np.float64), B.astype(np.float64), metric)
    correct = naive_correct_rows(P_aba, labels)
    visits = P_ab.mean(axis=0)
    np.testing.assert_allclose(
        losses.walker, naive_walker_loss(P_aba, labels), rtol=2e-5, atol=1e-6
    )
    np.testing.assert_allclose(losses.visit, naive_visit_loss(P_ab), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(losses.p_correct, np.mean(correct), rtol=2e-5)
    np.testing.assert_allclose(losses.estimated_accuracy, np.mean(np.sqrt(correct)), rtol=2e-5)
    entropy = -np.sum(visits * np.log(1e-8 + visits))
    np.testing.assert_allclose(losses.visit_entropy, entropy, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(8))
def test_association_losses_and_gradients_equal_the_loops_for_random_sizes(seed, metric):
    random = np.random.default_rng(seed)
    N, M, D, classes = random.integers([1, 1, 1, 1], [24, 24, 12, 9])
    A, B = random.normal(size=(N, D)), random.normal(size=(M, D))
    labels = random.integers(0, classes, N)
    tensors = tf.constant(A, tf.float32), tf.constant(B, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        losses = association.association_losses(*tensors, labels, metric)
        loss = losses.walker + losses.visit
    wanted = naive_losses(A, B, labels, metric)
    np.testing.assert_allclose(losses[:2], wanted, rtol=5e-5, atol=1e-6)
    # The slope along a random direction, through all entries at once.
    gradients = tape.gradient(loss, tensors)
    along = [random.normal(size=part.shape) for part in (A, B)]
    got = sum(float(tf.reduce_sum(g * d)) for g, d in zip(gradients, along, strict=True))
    ends = [
        sum(naive_losses(A + s * along[0], B + s * along[1], labels, metric)) for s in (1e-5, -1e-5)
    ]
    np.testing.assert_allclose(got, (ends[0] - ends[1]) / 2e-5, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("case", CASES)
def test_walk_equals_the_loops(case, metric):
    A, B, _ = embeddings(case)
    for got, wanted in zip(association.walk(A, B, metric), naive_walk(A, B, metric), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("case", ["balanced", "unbalanced, any order", "a class of one"])
def test_association_losses_have_the_numerical_gradients(case, metric, mode):
    """The gradient of walker + 0.5 visit against central differences of the loops."""
    A, B, labels = embeddings(case)

    def gradients(A, B):
        with tf.GradientTape() as tape:
            tape.watch([A, B])
            losses = association.association_losses(A, B, labels, metric)
            loss = losses.walker + 0.5 * losses.visit
        return tape.gradient(loss, [A, B])

    got = run(gradients, mode)(tf.constant(A), tf.constant(B))
    wide = [A.astype(np.float64), B.astype(np.float64)]
    for which in (0, 1):
        for place in np.ndindex(wide[which].shape):
            values = []
            for step in (1e-5, -1e-5):
                moved = [part.copy() for part in wide]
                moved[which][place] += step
                walker, visit = naive_losses(*moved, labels, metric)
                values.append(walker + 0.5 * visit)
            numerical = (values[0] - values[1]) / 2e-5
            np.testing.assert_allclose(got[which][place], numerical, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("largest", [1e-4, 1.0, 1e2, 1e4, 4e4])
@pytest.mark.parametrize("case", CASES)
def test_association_losses_of_tiny_and_large_similarities(case, largest):
    """Whole numbers times a power of two: M is exact in float32, so the loops must agree."""
    N, M, D, labels = CASES[case]
    random = np.random.default_rng(3)
    unit = 2.0 ** np.floor(np.log2(np.sqrt(largest / (16 * D))))
    A = (random.integers(-4, 5, (N, D)) * unit).astype(np.float32)
    B = (random.integers(-4, 5, (M, D)) * unit).astype(np.float32)
    A[0], B[0] = 4 * unit, 4 * unit  # the largest similarity there can be
    assert largest / 4 <= np.max(A @ B.T) <= largest
    with tf.GradientTape() as tape:
        A_tensor, B_tensor = tf.constant(A), tf.constant(B)
        tape.watch([A_tensor, B_tensor])
        losses = association.association_losses(A_tensor, B_tensor, labels)
        loss = losses.walker + losses.visit
    for part in (*losses, *tape.gradient(loss, [A_tensor, B_tensor])):
        assert np.all(np.isfinite(part))
    wide = A.astype(np.float64), B.astype(np.float64)
    np.testing.assert_allclose(losses[:2], naive_losses(*wide, labels), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_association_losses_of_extreme_embeddings_are_finite(metric):
    A = tf.constant([[1e2, 0.0], [-1e2, 0.0], [0.0, 0.0]])
    B = tf.constant([[1e2, 0.0], [0.0, 1e2], [0.0, 0.0], [-1e2, -1e2]])
    with tf.GradientTape() as tape:
        tape.watch([A, B])
        losses = association.association_losses(A, B, [0, 1, 0], metric)
        loss = losses.walker + losses.visit
    for part in (*losses, *tape.gradient(loss, [A, B])):
        assert np.all(np.isfinite(part))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_row_of_zeros_has_no_direction_and_no_gradient(jit_compile):
    """As the embedding of a black image has before the first step; a plain division has 1e7."""
    A, B = tf.constant([[0.0, 0.0], [1.0, 2.0]]), tf.constant([[0.0, 0.0], [3.0, 1.0]])

    @tf.function(jit_compile=jit_compile)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch([A, B])
            losses = association.association_losses(A, B, [0, 1], "cosine")
            loss = losses.walker + losses.visit
        return loss, tape.gradient(loss, [A, B])

    loss, of_rows = gradients()
    assert np.isfinite(loss)
    for gradient in of_rows:
        np.testing.assert_array_equal(gradient[0], [0, 0])
        assert 1e-3 < np.abs(gradient[1]).max() < 1
    np.testing.assert_allclose(
        association.unit_length(B), [[0, 0], np.divide([3, 1], 10**0.5)], rtol=1e-6
    )


def test_a_length_beyond_float32_is_not_taken_for_none():
    found = association.unit_length([[3e19, 4e19], [3e18, 4e18]])
    np.testing.assert_allclose(found, [[np.nan, np.nan], [0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("block_size", [None, 0, 3])
@pytest.mark.parametrize("empty", ["A", "B"])
def test_an_empty_A_or_B_has_the_same_losses_in_blocks(block_size, empty):
    A, B, labels = np.eye(4, 3), np.eye(5, 3), np.array([0, 1, 0, 1])
    if empty == "A":
        A, labels = A[:0], labels[:0]
    else:
        B = B[:0]
    found = association.association_losses(A, B, labels, block_size=block_size)
    wanted = association.association_losses(A, B, labels, block_size=0)
    np.testing.assert_array_equal([*map(float, found)], [*map(float, wanted)])


def test_a_class_whose_logit_is_minus_infinity_counts_nothing_for_other_classes():
    logits = np.array([[0.0, 1.0, -np.inf]])
    loss = association.classification_loss(logits, [0])
    assert float(loss) == pytest.approx(np.log(1 + np.e))
    assert np.isinf(association.classification_loss(logits, [2]))


def test_walker_loss_of_perfect_walks_is_its_minimum():
    """Two classes far apart: no walk leaves its class, and all are uniform inside it."""
    labels = np.array([0, 0, 0, 1])
    A = np.where(labels[:, None] == 0, [[20.0, 0.0]], [[0.0, 20.0]])
    B = np.array([[20.0, 0.0], [0.0, 20.0]])
    losses = association.association_losses(A, B, labels)
    np.testing.assert_allclose(losses.walker, np.mean([np.log(3)] * 3 + [0.0]), atol=1e-5)
    np.testing.assert_allclose(losses.p_correct, 1.0, atol=1e-6)
    np.testing.assert_allclose(losses.estimated_accuracy, 1.0, atol=1e-6)


def test_visit_loss_of_even_visits_is_its_minimum():
    P_ab = np.full((3, 5), 0.2)
    np.testing.assert_allclose(association.visit_loss(P_ab), np.log(5), rtol=1e-6)
    np.testing.assert_allclose(
        association.visit_entropy(association.p_visit(P_ab)), np.log(5), rtol=1e-6
    )
    one_only = np.array([[1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(
        association.visit_entropy(association.p_visit(one_only)), 0.0, atol=1e-6
    )


def test_association_losses_do_not_depend_on_the_order_of_rows():
    A, B, labels = embeddings("unbalanced, any order")
    order_a, order_b = np.random.default_rng(0).permutation(9), np.arange(14)[::-1]
    one = association.association_losses(A, B, labels)
    other = association.association_losses(A[order_a], B[order_b], labels[order_a])
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_target_T_and_target_V_are_distributions():
    labels = np.array([4, 1, 4, 4])
    T = keras.ops.convert_to_numpy(association.target_T(labels))
    third = 1 / 3
    wanted = [[third, 0, third, third], [0, 1, 0, 0], [third, 0, third, third]]
    np.testing.assert_allclose(T[:3], wanted, rtol=1e-6)
    np.testing.assert_allclose(association.target_V(4), [0.25] * 4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32"])
def test_association_losses_are_computed_in_float32_for_any_dtype(dtype):
    A, B, labels = embeddings("balanced", scale=3.0)
    A, B = tf.cast(np.round(A), dtype), tf.cast(np.round(B), dtype)
    for part in (*association.walk(A, B), *association.association_losses(A, B, labels)):
        assert part.dtype == tf.float32
    whole = association.association_losses(tf.cast(A, "float32"), tf.cast(B, "float32"), labels)
    np.testing.assert_array_equal(association.association_losses(A, B, labels), whole)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_classification_loss_equals_the_loop(smoothing):
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(6, 4)) * 3, np.array([0, 3, 1, 1, 2, 0])
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        p = naive_softmax_rows(row[None])[0]
        for c in range(4):
            target = (1 - smoothing) * (c == label) + smoothing / 4
            total -= target * math.log(p[c])
    got = association.classification_loss(logits, labels, smoothing)
    np.testing.assert_allclose(got, total / 6, rtol=1e-5)


def test_classification_loss_of_large_logits_is_finite():
    loss = association.classification_loss(np.array([[1e4, -1e4], [-1e4, 1e4]]), [1, 1])
    np.testing.assert_allclose(loss, 1e4, rtol=1e-6)


def test_total_loss_takes_numbers_and_tensors():
    assert float(association.total_loss(1.0, 2.0, 3.0)) == 6.0
    weights = tf.constant(0.5), tf.constant(0.25), tf.constant(2.0)
    assert float(association.total_loss(1.0, 2.0, 3.0, *weights)) == 7.0


def test_similarity_keeps_the_distance_of_near_embeddings_far_from_the_origin():
    A = np.full((1, 64), 20.0) + np.random.default_rng(0).normal(scale=0.01, size=(2, 64))
    M = association.similarity_matrix(A[:1], A[1:], "euclidean")
    wanted = -np.sum((A[0].astype(np.float32) - A[1].astype(np.float32)) ** 2)
    np.testing.assert_allclose(M[0, 0], wanted, rtol=1e-3)


def test_classification_loss_of_unknown_labels_is_nan():
    for label in (-1, 3, 1.5, -0.9):
        assert np.isnan(association.classification_loss(np.zeros((2, 3)), [0, label]))
    assert np.isfinite(association.classification_loss(np.zeros((2, 3)), [0.0, 2.0]))


def test_association_losses_of_empty_batches_are_finite():
    losses = association.association_losses(np.zeros((0, 3)), np.zeros((4, 3)), np.zeros(0, int))
    assert np.all(np.isfinite(losses))
    losses = association.association_losses(np.zeros((2, 3)), np.zeros((0, 3)), [0, 1])
    assert np.all(np.isfinite(losses))


@pytest.mark.parametrize(
    ("metric", "temperature", "block_size", "mode"),
    [
        *itertools.product(METRICS, (0.1, 3.0), (0,), ("eager", "graph")),
        *itertools.product(METRICS, (0.1, 3.0), (4,), ("eager",)),
        ("cosine", 0.1, 4, "graph"),  # takes seconds; test_blockwise has more of this kind
    ],
)
def test_association_losses_with_a_temperature_equal_the_loops(
    metric, temperature, block_size, mode
):
    A, B, labels = embeddings("unbalanced, any order", scale=0.5)
    tensors = tf.constant(A), tf.constant(B)

    def compute(A, B, temperature):
        with tf.GradientTape() as tape:
            tape.watch([A, B])
            losses = association.association_losses(
                A, B, labels, metric, temperature, block_size=block_size
            )
            loss = losses.walker + losses.visit
        return losses, [tf.convert_to_tensor(g) for g in tape.gradient(loss, [A, B])]

    losses, gradients = run(compute, mode)(*tensors, temperature)
    wide = [part.astype(np.float64) for part in (A, B)]
    wanted = naive_losses(*wide, labels, metric, temperature)
    np.testing.assert_allclose(losses[:2], wanted, rtol=5e-5)
    along = [np.random.default_rng(1).normal(size=part.shape) for part in wide]
    got = sum(float(np.sum(g * d)) for g, d in zip(gradients, along, strict=True))
    ends = []
    for step in (1e-5, -1e-5):
        moved = [part + step * d for part, d in zip(wide, along, strict=True)]
        ends.append(sum(naive_losses(*moved, labels, metric, temperature)))
    np.testing.assert_allclose(got, (ends[0] - ends[1]) / 2e-5, rtol=2e-3, atol=1e-3)
    # As a tensor, for instance a schedule's value, it is the same number.
    again, _ = run(compute, mode)(*tensors, tf.constant(temperature))
    np.testing.assert_allclose(again, losses, rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_walk_with_a_temperature_equals_the_loops(metric):
    A, B, _ = embeddings("balanced")
    for got, wanted in zip(
        association.walk(A, B, metric, 0.5), naive_walk(A, B, metric, 0.5), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_similarity_at_temperature_one_divides_nothing(metric):
    A, B, _ = embeddings("balanced")
    np.testing.assert_array_equal(
        association.similarity_matrix(A, B, metric, 1.0),
        association.similarity_matrix(A, B, metric),
    )

    def operations(temperature):
        function = tf.function(
            lambda A, B: association.similarity_matrix(A, B, metric, temperature)
        )
        graph = function.get_concrete_function(tf.constant(A), tf.constant(B)).graph
        return [op.type for op in graph.get_operations()].count("RealDiv")

    assert operations(1.0) == operations(1) == operations(2.0) - 1


@pytest.mark.parametrize("temperature", [0, -0.5, float("nan"), np.float32(0)])
def test_temperature_must_be_above_zero(temperature):
    with pytest.raises(InputError, match=r"`temperature` is .*; it must be a number above 0"):
        association.association_losses(np.ones((1, 2)), np.ones((1, 2)), [0], "dot", temperature)


def test_similarity_refuses_an_unknown_metric():
    with pytest.raises(InputError, match="unknown similarity 'hamming'; known: dot, cosine"):
        association.similarity_matrix(np.ones((1, 2)), np.ones((1, 2)), "hamming")


@pytest.mark.parametrize("metric", METRICS)
def test_a_nan_does_not_vanish(metric):
    A, B = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    for rows in (A, B):
        rows[1, 2] = np.nan
        losses = association.association_losses(A, B, [0, 1], metric)
        assert np.isnan(losses.walker + losses.visit)
        rows[1, 2] = 1


@pytest.mark.parametrize(("A", "B"), [((6, 4), (7, 5)), ((6, 4, 1), (7, 4)), ((6, 4), (4,))])
def test_embeddings_of_other_shapes_are_refused(A, B):
    for function in (association.association_losses, pseudo_labels.class_mass):
        options = (2,) if function is pseudo_labels.class_mass else ()
        with pytest.raises(InputError, match=r"`A` and `B` must be embeddings .*4.*and \("):
            function(np.ones(A), np.ones(B), [0, 1] * 3, *options)


def test_labels_of_none_are_refused():
    for labels in ([0, 1, -1], np.array([0, 1, -1]), tf.constant([0, 1, -1]), Column([0, 1, -1])):
        with pytest.raises(InputError, match="a label is -1, which means none"):
            association.association_losses(np.eye(3), np.eye(3), labels)
        with pytest.raises(InputError, match="a label is -1, which means none"):
            pseudo_labels.class_mass(np.eye(3), np.eye(3), labels, 2)


class Column:
    """Labels as tables hold them, such as a Series of pandas: an array to NumPy alone."""

    def __init__(self, values):
        self.values = np.array(values)
        self.shape, self.dtype = self.values.shape, self.values.dtype

    def __array__(self, dtype=None, copy=None):
        return self.values if dtype is None else self.values.astype(dtype)


def test_matrices_of_other_shapes_are_refused():
    vector, cube = np.ones(3), np.ones((3, 3, 3))
    for wrong in (vector, cube):
        for function, name, options in (
            (association.p_ab, "M", ()),
            (association.p_ba, "M", ()),
            (association.p_aba, "P_ab", (np.eye(3),)),
            (association.p_visit, "P_ab", ()),
            (association.visit_loss, "P_ab", ()),
            (association.walker_loss, "P_aba", ([0, 1, 2],)),
            (association.p_correct, "P_aba", ([0, 1, 2],)),
            (association.estimated_accuracy, "P_aba", ([0, 1, 2],)),
            (association.classification_loss, "logits", ([0, 1, 2],)),
        ):
            with pytest.raises(InputError, match=rf"^`{name}` must be .* has the shape \(3,"):
                function(wrong, *options)
    with pytest.raises(InputError, match=r"^`P_ba` must be"):
        association.p_aba(np.eye(3), vector)
    with pytest.raises(InputError, match=r"`P_aba` must be probabilities \[N, N\], .* \(3, 4\)"):
        association.walker_loss(np.ones((3, 4)), [0, 1, 2])
    with pytest.raises(InputError, match=r"`logits` must be class scores .* \(4,\)"):
        pseudo_labels.pseudo_label_loss(np.ones(4), np.ones((3, 4)))
    for logits, mass in (((3, 4), (3, 5)), ((3, 4), (1, 4)), ((3, 1), (3, 4)), ((3, 4), (4,))):
        with pytest.raises(InputError, match=r"`mass` must be \[M, classes\] like `logits`, \(3"):
            pseudo_labels.pseudo_label_loss(np.ones(logits), np.ones(mass))


def test_association_losses_have_name_scopes():
    @tf.function
    def losses(A, B):
        return association.association_losses(A, B, [0, 1])

    graph = losses.get_concrete_function(tf.ones([2, 3]), tf.ones([4, 3])).graph
    scopes = {op.name.rsplit("/", 1)[0] for op in graph.get_operations()}
    for name in ("similarity", "p_ab", "p_ba", "p_aba", "walker_loss", "visit_loss"):
        assert any(scope.startswith(f"association/{name}") for scope in scopes), name


@pytest.mark.parametrize("block_size", [0, 2])
@pytest.mark.parametrize("labels", [[1], [0, 1], [0, 1, 0, 1], [[0, 1, 0]]])
def test_there_must_be_one_label_for_each_row(labels, block_size):
    A, B = np.eye(3), np.eye(3)
    with pytest.raises(InputError, match=r"one label for each row of `A` \(3, 3\), but the labels"):
        association.association_losses(A, B, labels, block_size=block_size)
    with pytest.raises(InputError, match="one label for each row of `A`"):
        pseudo_labels.class_mass(A, B, labels, 2, block_size=block_size)
    for loss in (association.walker_loss, association.p_correct, association.estimated_accuracy):
        with pytest.raises(InputError, match="one label for each row of `P_aba`"):
            loss(np.eye(3), labels)
    with pytest.raises(InputError, match="one label for each row of `logits`"):
        association.classification_loss(np.eye(3), labels)


def test_labels_of_unknown_number_are_taken():
    @tf.function(input_signature=[tf.TensorSpec(None), tf.TensorSpec([None], tf.int32)])
    def loss(logits, labels):
        return association.classification_loss(tf.ensure_shape(logits, [None, 3]), labels)

    assert float(loss(np.eye(3, dtype="float32"), [0, 1, 2])) == pytest.approx(
        float(association.classification_loss(np.eye(3), [[0], [1], [2]]))
    )


def test_label_smoothing_and_block_size_out_of_range_are_refused():
    for smoothing in (-0.1, 1.0):
        with pytest.raises(InputError, match=r"`label_smoothing` is .*; it must be in \[0, 1\)"):
            association.classification_loss(np.eye(2), [0, 1], smoothing)
    with pytest.raises(InputError, match="`block_size` is -1; it must be at least 0"):
        pseudo_labels.class_mass(np.eye(2), np.eye(2), [0, 1], 2, block_size=-1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classification_loss_has_the_gradient_of_the_loop(smoothing):
    logits, labels = np.random.default_rng(0).normal(size=(6, 4)) * 3, np.array([0, 3, 1, 1, 2, 0])
    scores = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = association.classification_loss(scores, labels, smoothing)
    target = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    wanted = (naive_softmax_rows(logits) - target) / 6
    np.testing.assert_allclose(tape.gradient(loss, scores), wanted, rtol=1e-4, atol=1e-6)
