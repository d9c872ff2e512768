"""The walk A -> B -> A without its [N, M] matrices, for thousands of classes.

The losses need two results of a walk: the round trips within each class, and how often each
B_j is visited. Both are sums over B, computed block by block:

    sum_j exp M_ij, sum_i exp M_ij       first pass over B: what (2) divides by
    P_ab, P_ba^T                         second pass: (2)
    P_aba within each class, P_visit     (3), (9)

The gradient computes the blocks again instead of keeping them: with G and v the gradients of
the round trips and (over N) of the visits, U = v + G P_ba^T and W = G^T P_ab,

    u_i = sum_j P_ab_ij U_ij                                   first pass over B
    dM = P_ab (U - u) + P_ba^T (W - w),  w_j = sum_i P_ba_ji W_ij      second pass

So memory grows with N and M, and with the round trips that the walker loss reads; time with
N times M. The result is exact: rounding apart, that of `association.walk`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from semisup.runtime import distribution
from semisup.runtime.arguments import whole_number

# Similarities [N, M] with more entries than this are walked over in blocks of B.
LARGEST_MATRIX = 2**22
BLOCK_SIZE = 128

# Classes of similar size (within a factor of four) lie in one bucket, where each is padded to the
# largest; so there are at most four times as many rows as samples in A, and just as many
# if all classes are of one size. The last bucket has all classes of 4**7 samples and more.
_BUCKETS = 8

# Added to the similarity of a row without a sample: no step ever leads there.
_NOWHERE = -1e30


def checked_block_size(block_size: int | None, A: tf.Tensor, B: tf.Tensor) -> int:
    """The block size given, or else the one that suits A [N, D] and B [M, D].

    Raises:
        InputError: it is no whole number of at least 0.
    """
    if 0 in (A.shape[0], B.shape[0]):  # no block, so nothing to put together
        return 0
    if block_size is None:
        return block_size_for(A.shape[0], B.shape[0])
    return whole_number("block_size", block_size, minimum=0)


def block_size_for(N: int | None, M: int | None) -> int:
    """How many of B to walk over at a time; 0, all at once, for small or unknown sizes."""
    return BLOCK_SIZE if N and M and N * M > LARGEST_MATRIX else 0


class ClassWalk(NamedTuple):
    """The results of a walk from which all losses are computed.

    Attributes:
        round_trips: for each bucket of classes, P_aba within each class, float32
            [classes, size, size]; meaningless where `present` is False.
        present: for each bucket, which positions hold a sample, bool [classes, size].
        P_visit: float32 [M], equation (9).
    """

    round_trips: list[tf.Tensor]
    present: list[tf.Tensor]
    P_visit: tf.Tensor


def class_walk(A: tf.Tensor, B: tf.Tensor, labels: tf.Tensor, block_size: int) -> ClassWalk:
    """Round trips within each class, and visits, with M_ij the dot product of A_i and B_j.

    Differentiable once in A and B.

    Args:
        A: labelled embeddings, float32 [N, D].
        B: unlabelled embeddings, float32 [M, D].
        labels: classes of A [N], any integers, any number of each.
        block_size: as many of B at a time.
    """
    rows, present = _buckets(labels)
    row = tf.concat([tf.reshape(part, [-1]) for part in rows], axis=0)
    is_sample = tf.concat([tf.reshape(part, [-1]) for part in present], axis=0)
    nowhere = tf.where(is_sample, 0.0, _NOWHERE)
    samples = tf.gather(distribution.with_dense_gradient(A), row)
    samples *= tf.cast(is_sample, A.dtype)[:, None]
    A = tf.concat([samples, nowhere[:, None]], axis=1)
    B = tf.concat([B, tf.ones_like(B[:, :1])], axis=1)
    *round_trips, P_visit = _walk(A, B, is_sample, [tf.shape(part) for part in rows], block_size)
    return ClassWalk(round_trips, present, P_visit)


def _buckets(labels: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """For each bucket, indices of its classes' samples [classes, size], and which are samples."""
    _, number, counts = tf.unique_with_counts(tf.reshape(labels, [-1]))
    order = tf.argsort(number, stable=True)
    first = tf.cumsum(counts, exclusive=True)
    # Exact, unlike a logarithm: how many powers of four from 4 on the count reaches.
    powers = tf.constant([4**power for power in range(1, _BUCKETS)], counts.dtype)
    bucket = tf.reduce_sum(tf.cast(counts[:, None] >= powers, tf.int32), axis=1)
    rows, present = [], []
    for i in range(_BUCKETS):
        chosen = tf.where(bucket == i)[:, 0]
        sizes = tf.gather(counts, chosen)
        place = tf.range(tf.reduce_max(tf.concat([[0], sizes], axis=0)))
        present.append(place < sizes[:, None])
        position = tf.gather(first, chosen)[:, None] + place
        rows.append(tf.gather(order, tf.where(present[-1], position, 0)))
    return rows, present


def _walk(
    A: tf.Tensor, B: tf.Tensor, present: tf.Tensor, shapes: list[tf.Tensor], block_size: int
) -> list[tf.Tensor]:
    """P_aba within each class of each bucket, and P_visit.

    Args:
        A: the samples of the buckets one after the other, [rows, D].
        B: [M, D].
        present: which rows are a sample, bool [rows].
        shapes: (classes, size) of each bucket.
        block_size: as many of B at a time.
    """
    samples = tf.cast(present, tf.float32)
    share = (samples / tf.maximum(tf.reduce_sum(samples), 1.0))[None, :]  # of each row in P_visit

    @tf.custom_gradient
    def walk(A: tf.Tensor, B: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Callable[..., Any]]:
        steps = _normalised_steps(A, B, block_size)
        round_trips, P_visit = _round_trips_and_visits(steps, share, shapes)

        def gradient(*gradients: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            *G, visits = gradients
            u = _mean_of_U(steps, share, round_trips, G, visits)
            return _gradients_of_A_and_B(steps, share, shapes, u, G, visits)

        return (*round_trips, P_visit), gradient

    return walk(A, B)


@dataclass(frozen=True)
class _Steps:
    """The steps A -> B and B -> A, equation (2), of which any block can be computed.

    The maximum and the sum of a softmax are kept apart: their logarithm in one number would
    round off what large similarities differ by.

    Attributes:
        A: [rows, D].
        B: [M, D].
        block_size: as many of B at a time.
        row_max: the largest similarity of each row, [rows, 1].
        row_scale: 1 / sum_j exp(M_ij - row_max_i), [rows, 1].
        column_max: the largest similarity of each column, [M].
        column_scale: 1 / sum_i exp(M_ij - column_max_j), [M].
    """

    A: tf.Tensor
    B: tf.Tensor
    block_size: int
    row_max: tf.Tensor
    row_scale: tf.Tensor
    column_max: tf.Tensor
    column_scale: tf.Tensor

    def block(self, B_block: tf.Tensor, columns: slice) -> tuple[tf.Tensor, tf.Tensor]:
        """P_ab and the transposed P_ba of these columns, each [rows, block]."""
        M = tf.matmul(self.A, B_block, transpose_b=True)
        P_ab = tf.exp(M - self.row_max) * self.row_scale
        return P_ab, tf.exp(M - self.column_max[columns]) * self.column_scale[columns]


def _normalised_steps(A: tf.Tensor, B: tf.Tensor, block_size: int) -> _Steps:
    """First pass over B: what the softmaxes of equation (2) divide by."""

    def add_block(B_block, columns, row_max, row_sum):
        M = tf.matmul(A, B_block, transpose_b=True)
        # The running softmax: what was summed so far moves to the new maximum.
        higher = tf.maximum(row_max, tf.reduce_max(M, axis=1, keepdims=True))
        row_sum *= tf.exp(row_max - higher)
        row_sum += tf.reduce_sum(tf.exp(M - higher), axis=1, keepdims=True)
        column_max = tf.reduce_max(M, axis=0)
        column_sum = tf.reduce_sum(tf.exp(M - column_max), axis=0)
        return (higher, row_sum), [column_max, column_sum]

    rows = tf.shape(A)[0]
    start = (tf.fill([rows, 1], A.dtype.min), tf.zeros([rows, 1]))
    (row_max, row_sum), [column_max, column_sum] = over_blocks(
        B, block_size, add_block, start, [[], []]
    )
    return _Steps(A, B, block_size, row_max, 1.0 / row_sum, column_max, 1.0 / column_sum)


def _round_trips_and_visits(
    steps: _Steps, share: tf.Tensor, shapes: list[tf.Tensor]
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Second pass over B: equations (3), within each class, and (9)."""

    def add_block(B_block, columns, round_trips):
        P_ab, P_ba = steps.block(B_block, columns)
        parts = zip(round_trips, _by_class(P_ab, shapes), _by_class(P_ba, shapes), strict=True)
        round_trips = [total + tf.matmul(ab, ba, transpose_b=True) for total, ab, ba in parts]
        return (round_trips,), [tf.matmul(share, P_ab)[0]]

    start = [tf.zeros([shape[0], shape[1], shape[1]]) for shape in shapes]
    (round_trips,), [P_visit] = over_blocks(steps.B, steps.block_size, add_block, (start,), [[]])
    return round_trips, P_visit


def _mean_of_U(
    steps: _Steps,
    share: tf.Tensor,
    round_trips: list[tf.Tensor],
    G: list[tf.Tensor],
    visits: tf.Tensor,
) -> tf.Tensor:
    """u_i = sum_j P_ab_ij U_ij, [rows, 1]: the gradient's first pass over B.

    What G adds to U needs no pass: sum_j P_ab_ij (G P_ba^T)_ij = sum_k G_ik P_aba_ik.

    Args:
        steps: of the walk.
        share: of each row in P_visit, [1, rows].
        round_trips: P_aba within each class of each bucket, [classes, size, size].
        G: their gradients.
        visits: the gradient of P_visit, [M].
    """

    def add_block(B_block, columns, u):
        M = tf.matmul(steps.A, B_block, transpose_b=True)
        return (u + tf.matmul(tf.exp(M - steps.row_max), visits[columns][:, None]),), []

    start = tf.zeros([tf.shape(steps.A)[0], 1])
    (u,), _ = over_blocks(steps.B, steps.block_size, add_block, (start,), [])
    of_round_trips = _together(
        [tf.reduce_sum(g * P, axis=2, keepdims=True) for g, P in zip(G, round_trips, strict=True)]
    )
    return u * steps.row_scale * tf.transpose(share) + of_round_trips


def _gradients_of_A_and_B(
    steps: _Steps,
    share: tf.Tensor,
    shapes: list[tf.Tensor],
    u: tf.Tensor,
    G: list[tf.Tensor],
    visits: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """dM B and dM^T A: the gradient's second pass over B. Arguments as those of `_mean_of_U`."""

    def add_block(B_block, columns, dA):
        P_ab, P_ba = steps.block(B_block, columns)
        of_ab, of_ba = _by_class(P_ab, shapes), _by_class(P_ba, shapes)
        U = _together([tf.matmul(g, ba) for g, ba in zip(G, of_ba, strict=True)])
        W = _together([tf.matmul(g, ab, transpose_a=True) for g, ab in zip(G, of_ab, strict=True)])
        U += tf.matmul(share, visits[columns][None, :], transpose_a=True)
        W *= P_ba
        dM = P_ab * (U - u) + W - P_ba * tf.reduce_sum(W, axis=0)
        return (dA + tf.matmul(dM, B_block),), [tf.matmul(dM, steps.A, transpose_a=True)]

    width = steps.A.shape[1]
    (dA,), [dB] = over_blocks(
        steps.B, steps.block_size, add_block, (tf.zeros_like(steps.A),), [[width]]
    )
    return dA, dB


def over_blocks(
    B: tf.Tensor,
    block_size: int,
    body: Callable[..., tuple[tuple[Any, ...], list[tf.Tensor]]],
    state: tuple[Any, ...],
    per_column: list[list[int]],
) -> tuple[tuple[Any, ...], list[tf.Tensor]]:
    """Fold `body` over B, block by block: state = body(block of B, its slice of B, *state).

    Args:
        B: [M, D].
        block_size: as many of B at a time.
        body: returns the next state, a tuple, and its outputs for the block, a list of
            tensors [block, ...].
        state: before the first block, a tuple of (lists of) tensors.
        per_column: the shape of each output for one sample of B.

    Returns:
        The state after the last block, and the outputs for all of B, each [M, ...].
    """
    blocks = (tf.shape(B)[0] + block_size - 1) // block_size
    outputs = [
        tf.TensorArray(tf.float32, blocks, element_shape=[None, *shape], infer_shape=False)
        for shape in per_column
    ]

    def step(i, state, outputs):
        columns = slice(i * block_size, (i + 1) * block_size)
        state, values = body(B[columns], columns, *state)
        return i + 1, state, [o.write(i, v) for o, v in zip(outputs, values, strict=True)]

    # TensorFlow may know more of a shape before the first block than after it.
    any_shape = tf.nest.map_structure(lambda x: tf.TensorShape([None] * x.shape.rank), state)
    _, state, outputs = tf.while_loop(
        lambda i, *_: i < blocks,
        step,
        (0, state, outputs),
        shape_invariants=(tf.TensorShape([]), any_shape, [tf.TensorShape(None)] * len(outputs)),
        parallel_iterations=1,
    )
    return state, [output.concat() for output in outputs]


def _by_class(P: tf.Tensor, shapes: list[tf.Tensor]) -> list[tf.Tensor]:
    """Rows [rows, n] as [classes, size, n] for each bucket."""
    parts = tf.split(P, [shape[0] * shape[1] for shape in shapes], num=len(shapes))
    return [
        tf.reshape(part, [shape[0], shape[1], tf.shape(P)[1]])
        for shape, part in zip(shapes, parts, strict=True)
    ]


def _together(parts: list[tf.Tensor]) -> tf.Tensor:
    """The reverse of `_by_class`."""
    return tf.concat([tf.reshape(x, [-1, tf.shape(x)[2]]) for x in parts], axis=0)
