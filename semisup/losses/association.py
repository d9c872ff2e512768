"""Learning by association: equations (1)-(10) of the paper.

Haeusser, Mordvintsev, Cremers, "Learning by Association", CVPR 2017.

A walker steps from the labelled embeddings A to the unlabelled embeddings B and
back. The names are the paper's:

    M       [N, M]  similarity of A_i and B_j                                (1)
    P_ab    [N, M]  probability of the step A_i -> B_j                       (2)
    P_ba    [M, N]  probability of the step B_i -> A_j                       (2)
    P_aba   [N, N]  probability of the round trip A_i -> B -> A_j            (3)
    T       [N, N]  wanted round trips: uniform over the class of A_i        (7)
    P_visit [M]     how often the walker visits B_j                          (9)
    V       [M]     wanted visits: uniform over B                            (10)

Every function is pure, takes TensorFlow's tensors or NumPy arrays, and computes in float32
whatever it is given. Labels are integers in any order and number.

    losses = association_losses(A, B, labels)
    loss = total_loss(losses.walker, losses.visit, classification_loss(logits, labels))
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from semisup.losses import blockwise, checks

Tensor = Any

# Inside every logarithm, as in the authors' code: it bounds each cross-entropy by
# -log(1e-8) = 18.4 and keeps its gradient finite where a probability underflows.
EPSILON = 1e-8

# Rows shorter than this have no direction.
_SHORTEST = 1e-7


class Walk(NamedTuple):
    """The matrices of one walk A -> B -> A, float32."""

    M: Tensor
    P_ab: Tensor
    P_ba: Tensor
    P_aba: Tensor


class AssociationLosses(NamedTuple):
    """Losses and statistics of one walk, float32 scalars.

    Attributes:
        walker: walker loss, equation (6), in nats.
        visit: visit loss, equation (8), in nats; its minimum is log(M).
        p_correct: probability of a correct walk, equation (4), in [0, 1].
        estimated_accuracy: see `estimated_accuracy`, in [0, 1].
        visit_entropy: see `visit_entropy`, in [0, log(M)] nats.
    """

    walker: Tensor
    visit: Tensor
    p_correct: Tensor
    estimated_accuracy: Tensor
    visit_entropy: Tensor


def similarity_matrix(
    A: Tensor, B: Tensor, similarity: str = "dot", temperature: float | Tensor = 1.0
) -> Tensor:
    """M_ij, the similarity of A_i and B_j: equation (1).

    Args:
        A: labelled embeddings [N, D].
        B: unlabelled embeddings [M, D].
        similarity: "dot" (the paper's choice), "cosine", or "euclidean" (the negative
            squared distance, so that near means similar).
        temperature: what similarities are divided by, above 0: a number or a scalar tensor. The
            smaller, the more certain are the steps of (2). The paper has none, which is 1. The
            cosine, which lies in [-1, 1], needs one such as 0.1.

    Returns:
        M, float32 [N, M].

    Raises:
        InputError: the similarity is unknown, the temperature is a number that is not above 0, or
            the shapes do not fit each other.

    Examples:
        >>> A, B = [[3.0, 4.0]], [[6.0, 8.0], [0.0, 2.0]]
        >>> M = semisup.losses.similarity_matrix(A, B, "cosine", temperature=0.1)
        >>> np.round(M, 3).tolist()
        [[10.0, 8.0]]
    """
    with keras.name_scope("similarity"):
        A, B = as_dot(A, B, similarity, temperature)
        return ops.matmul(A, ops.transpose(B))


def as_dot(
    A: Tensor, B: Tensor, similarity: str, temperature: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Vectors whose dot products are the similarities of A and B.

    Args:
        A: labelled embeddings [N, D].
        B: all unlabelled embeddings [M, D]: "euclidean" moves the origin to their mean.
        similarity: see `similarity_matrix`.
        temperature: see `similarity_matrix`.

    Returns:
        Those of A, float32 [N, D'], and those of B, float32 [M, D'].

    Raises:
        InputError: the similarity is unknown, the temperature is a number that is not above 0, or
            the shapes do not fit each other.
    """
    checks.check_similarity(similarity)
    checks.check_temperature(temperature)
    checks.check_embeddings(A, B)
    A, B = _float32(A), _float32(B)
    if similarity == "cosine":
        A, B = unit_length(A), unit_length(B)
    elif similarity == "euclidean":
        # -|a - b|^2 = 2 a.b - |a|^2 - |b|^2 needs no [N, M, D] tensor, and loses few digits if the
        # cloud of embeddings is first moved to the origin. In clusters that are hundreds of times
        # as far apart as they are wide, float32 does not resolve the distances.
        centre = ops.stop_gradient(_mean(B))
        A, B = A - centre, B - centre
        squares_a = ops.sum(ops.square(A), axis=1, keepdims=True)
        squares_b = ops.sum(ops.square(B), axis=1, keepdims=True)
        A = ops.concatenate([2.0 * A, -squares_a, -ops.ones_like(squares_a)], axis=1)
        B = ops.concatenate([B, ops.ones_like(squares_b), squares_b], axis=1)
    if checks.is_number(temperature) and temperature == 1:
        return A, B
    return A / _float32(temperature), B  # M / temperature, without an [N, M] division


def unit_length(X: Tensor) -> Tensor:
    """The rows of X [N, D] divided by their lengths, float32.

    A row of zeros, such as the embedding of a black image before the biases have been trained, has
    no direction: it stays as it is, and has no gradient. A row whose length float32 can't square,
    from 1.8e19 on, becomes NaN.
    """
    X = _float32(X)
    squares = ops.sum(ops.square(X), axis=1, keepdims=True)
    squares = ops.where(ops.isinf(squares), float("nan"), squares)  # else the row would become 0
    short = squares <= _SHORTEST**2  # not so of NaN, which must not vanish
    return ops.where(short, 0.0, X * ops.rsqrt(ops.where(short, 1.0, squares)))


def p_ab(M: Tensor) -> Tensor:
    """P_ab = softmax of M over B, float32 [N, M]: equation (2). Its rows sum to 1."""
    checks.check_matrix(M, "M", "similarities [N, M]")
    with keras.name_scope("p_ab"):
        return ops.softmax(_float32(M), axis=1)


def p_ba(M: Tensor) -> Tensor:
    """P_ba = softmax of the transposed M over A, float32 [M, N]: equation (2)."""
    checks.check_matrix(M, "M", "similarities [N, M]")
    with keras.name_scope("p_ba"):
        return ops.softmax(ops.transpose(_float32(M)), axis=1)


def p_aba(P_ab: Tensor, P_ba: Tensor) -> Tensor:
    """P_aba = P_ab P_ba, float32 [N, N]: equation (3). Its rows sum to 1."""
    checks.check_matrix(P_ab, "P_ab", "probabilities [N, M]")
    checks.check_matrix(P_ba, "P_ba", "probabilities [M, N]")
    with keras.name_scope("p_aba"):
        return ops.matmul(_float32(P_ab), _float32(P_ba))


def walk(A: Tensor, B: Tensor, similarity: str = "dot", temperature: float | Tensor = 1.0) -> Walk:
    """All matrices of the walk A -> B -> A: equations (1)-(3).

    Args:
        A: labelled embeddings [N, D].
        B: unlabelled embeddings [M, D].
        similarity: see `similarity_matrix`; of an `AssociativeModel` its `similarity`.
        temperature: see `similarity_matrix`; of an `AssociativeModel` its `temperature`.

    Returns:
        M, P_ab, P_ba and P_aba, float32.

    Raises:
        InputError: the similarity is unknown, the temperature is a number that is not above 0, or
            the shapes do not fit each other.

    Examples:
        >>> A, B = np.eye(2), 10 * np.eye(2)  # each A_i is like one B_j
        >>> steps = semisup.walk(A, B)
        >>> np.round(steps.P_aba, 3).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    M = similarity_matrix(A, B, similarity, temperature)
    P_ab, P_ba = p_ab(M), p_ba(M)
    return Walk(M, P_ab, P_ba, p_aba(P_ab, P_ba))


def same_class(labels: Tensor) -> Tensor:
    """The relation i ~ j of equation (4): 1 where two labels agree. float32 [N, N]."""
    labels = ops.reshape(labels, [-1])
    return _float32(ops.equal(labels[:, None], labels[None, :]))


def p_correct(P_aba: Tensor, labels: Tensor) -> Tensor:
    """Probability that a walk ends in the class it began in: equation (4).

    Args:
        P_aba: round-trip probabilities [N, N].
        labels: classes of A [N].

    Returns:
        float32 scalar in [0, 1].

    Raises:
        InputError: there is not one label for each row of `P_aba`.
    """
    with keras.name_scope("p_correct"):
        return _mean(_p_correct_rows(P_aba, labels))


def target_T(labels: Tensor) -> Tensor:
    """T, the wanted round trips, float32 [N, N]: equation (7). Its rows sum to 1."""
    with keras.name_scope("target_t"):
        same = same_class(labels)
        return same / ops.sum(same, axis=1, keepdims=True)


def target_V(size: int) -> Tensor:
    """V, the wanted visits: 1 / size for each of `size` samples: equation (10)."""
    with keras.name_scope("target_v"):
        # No unlabelled sample gives an empty V, not a division by zero.
        return ops.ones([size], "float32") / _float32(ops.maximum(size, 1))


def p_visit(P_ab: Tensor) -> Tensor:
    """P_visit, the mean over A of P_ab, float32 [M]: equation (9). It sums to 1."""
    checks.check_matrix(P_ab, "P_ab", "probabilities [N, M]")
    with keras.name_scope("p_visit"):
        return _mean(_float32(P_ab))


def walker_loss(P_aba: Tensor, labels: Tensor) -> Tensor:
    """H(T, P_aba), the mean over A of each row's cross-entropy: equation (6).

    Args:
        P_aba: round-trip probabilities [N, N].
        labels: classes of A [N].

    Returns:
        float32 scalar, in nats. Its minimum is the mean of log(size of the class of A_i).

    Raises:
        InputError: there is not one label for each row of `P_aba`.
    """
    with keras.name_scope("walker_loss"):
        P_aba = _float32(P_aba)
        _check_round_trips(P_aba, labels)
        return _mean(-ops.sum(target_T(labels) * ops.log(EPSILON + P_aba), axis=1))


def visit_loss(P_ab: Tensor) -> Tensor:
    """H(V, P_visit), the cross-entropy of wanted and actual visits: equation (8).

    Args:
        P_ab: step probabilities [N, M].

    Returns:
        float32 scalar, in nats. Its minimum is log(M).
    """
    return _visit_loss(p_visit(P_ab))


def _visit_loss(P_visit: Tensor) -> Tensor:
    with keras.name_scope("visit_loss"):
        return -ops.sum(target_V(ops.shape(P_visit)[0]) * ops.log(EPSILON + P_visit))


def classification_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean softmax cross-entropy of the labelled samples (section 3.1).

    Args:
        logits: class scores of A [N, classes].
        labels: classes of A [N], integers in [0, classes). Others make the loss NaN:
            they are a mistake that must not pass unseen.
        label_smoothing: this share of each target is spread over all classes, in [0, 1).

    Returns:
        float32 scalar, in nats.

    Raises:
        InputError: the label smoothing is not in [0, 1), or the shapes do not fit each other.

    Examples:
        >>> logits = np.array([[0.0, 0.0], [9.0, 0.0]])
        >>> round(float(semisup.classification_loss(logits, [0, 0])), 4)  # log(2) / 2
        0.3466
    """
    checks.check_label_smoothing(label_smoothing)
    with keras.name_scope("classification_loss"):
        logits = _float32(logits)
        checks.check_matrix(logits, "logits", "class scores [N, classes]")
        checks.check_labels_of(labels, logits, "logits")
        classes = logits.shape[1]
        labels = class_indices(labels)
        target = ops.one_hot(labels, classes, dtype="float32")
        target = (1.0 - label_smoothing) * target + label_smoothing / classes
        known = ops.logical_and(labels >= 0, labels < classes)[:, None]
        target = ops.where(known, target, float("nan"))
        # A class that has no share of the target counts nothing, be its logit -inf.
        log_p = ops.where(ops.equal(target, 0.0), 0.0, ops.log_softmax(logits, axis=1))
        return _mean(-ops.sum(target * log_p, axis=1))


def class_indices(labels: Tensor) -> Tensor:
    """Labels of any type as int32 [N]; -1 where one is no whole number of 32 bits."""
    given = ops.reshape(labels, [-1])
    indices = ops.cast(given, "int32")
    whole = ops.equal(ops.cast(indices, "float32"), ops.cast(given, "float32"))
    return ops.where(whole, indices, -1)


def total_loss(
    walker: Tensor,
    visit: Tensor,
    classification: Tensor,
    walker_weight: float | Tensor = 1.0,
    visit_weight: float | Tensor = 1.0,
    logit_weight: float | Tensor = 1.0,
) -> Tensor:
    """L_total: equation (5), each loss times its weight (section 4.5).

    Args:
        walker, visit, classification: the three losses, scalars.
        walker_weight, visit_weight, logit_weight: their weights, numbers or scalar tensors, for
            instance a schedule's value at the current step.

    Returns:
        The weighted sum, a scalar.

    Examples:
        >>> semisup.total_loss(walker=2.0, visit=4.0, classification=1.0, visit_weight=0.5)
        5.0
    """
    return walker_weight * walker + visit_weight * visit + logit_weight * classification


def estimated_accuracy(P_aba: Tensor, labels: Tensor) -> Tensor:
    """Mean over A of the square root of each row's probability of a correct walk.

    The authors' running estimate of the accuracy without test labels (they call it
    "EstError"): a walk is two steps, so one step is right about as often as the
    square root of a walk. float32 scalar in [0, 1].
    """
    with keras.name_scope("estimated_accuracy"):
        return _mean(ops.sqrt(_p_correct_rows(P_aba, labels)))


def visit_entropy(P_visit: Tensor) -> Tensor:
    """Entropy of the visits in nats: log(M) if all are visited equally, 0 if only one is."""
    with keras.name_scope("visit_entropy"):
        P_visit = _float32(P_visit)
        return -ops.sum(P_visit * ops.log(EPSILON + P_visit))


def association_losses(
    A: Tensor,
    B: Tensor,
    labels: Tensor,
    similarity: str = "dot",
    temperature: float | Tensor = 1.0,
    *,
    block_size: int | None = None,
) -> AssociationLosses:
    """Walker loss, visit loss and walk statistics of one pair of batches.

    Args:
        A: labelled embeddings [N, D].
        B: unlabelled embeddings [M, D].
        labels: classes of A [N], any integers but -1; those of B are unknown and not given.
        similarity: see `similarity_matrix`.
        temperature: see `similarity_matrix`.
        block_size: walk over this many of B at a time, and never hold an [N, M] matrix; see
            `semisup.losses.blockwise`. 0 for the matrices. None chooses by N and M, where they
            are known before the graph runs.

    Returns:
        Losses and statistics, float32 scalars.

    Raises:
        InputError: the similarity is unknown, the block size is no whole number of at least 0, the
            temperature is a number that is not above 0, the shapes do not fit each other, or a
            label is -1.

    Examples:
        >>> A, B = 10 * np.eye(2), np.eye(2)  # each A_i is like one B_j
        >>> right = semisup.association_losses(A, B, labels=[0, 1])
        >>> round(float(right.walker), 3), round(float(right.p_correct), 3)
        (0.0, 1.0)
    """
    A, B = ops.convert_to_tensor(A), ops.convert_to_tensor(B)
    block_size = blockwise.checked_block_size(block_size, A, B)
    checks.check_labels_of(labels, A, "A")
    checks.check_labeled(labels)
    with keras.name_scope("association"):
        if block_size > 0:
            A, B = as_dot(A, B, similarity, temperature)
            return _losses_of_blocks(blockwise.class_walk(A, B, labels, block_size))
        steps = walk(A, B, similarity, temperature)
        return AssociationLosses(
            walker=walker_loss(steps.P_aba, labels),
            visit=visit_loss(steps.P_ab),
            p_correct=p_correct(steps.P_aba, labels),
            estimated_accuracy=estimated_accuracy(steps.P_aba, labels),
            visit_entropy=visit_entropy(p_visit(steps.P_ab)),
        )


def _losses_of_blocks(walk: blockwise.ClassWalk) -> AssociationLosses:
    """The same losses from the round trips within each class, in buckets of classes."""
    samples = walker = correct = root_correct = ops.zeros([], "float32")
    for P_aba, present in zip(walk.round_trips, walk.present, strict=True):
        is_sample = _float32(present)
        same = is_sample[:, :, None] * is_sample[:, None, :]
        T = same / ops.maximum(ops.sum(same, axis=2, keepdims=True), 1.0)
        rows = ops.sum(same * P_aba, axis=2)
        samples += ops.sum(is_sample)
        walker -= ops.sum(T * ops.log(EPSILON + ops.where(same > 0, P_aba, 1.0)))
        correct += ops.sum(rows)
        root_correct += ops.sum(ops.sqrt(ops.where(present, rows, 1.0)) * is_sample)
    samples = ops.maximum(samples, 1.0)
    return AssociationLosses(
        walker=walker / samples,
        visit=_visit_loss(walk.P_visit),
        p_correct=correct / samples,
        estimated_accuracy=root_correct / samples,
        visit_entropy=visit_entropy(walk.P_visit),
    )


def _float32(x: Tensor) -> Tensor:
    return ops.cast(x, "float32")


def _mean(rows: Tensor) -> Tensor:
    # 0, not NaN, over no rows: a batch may happen to hold no labelled sample.
    return ops.sum(rows, axis=0) / _float32(ops.maximum(ops.shape(rows)[0], 1))


def _check_round_trips(P_aba: Tensor, labels: Tensor) -> None:
    """Raise InputError if these are not [N, N] and [N], as far as is known."""
    N = (checks.known_shape(P_aba) or (None,))[0]
    checks.check_matrix(P_aba, "P_aba", "probabilities [N, N]", (None, N))
    checks.check_labels_of(labels, P_aba, "P_aba")


def _p_correct_rows(P_aba: Tensor, labels: Tensor) -> Tensor:
    P_aba = _float32(P_aba)
    _check_round_trips(P_aba, labels)
    return ops.sum(same_class(labels) * P_aba, axis=1)
