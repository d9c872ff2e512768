"""The walk A -> B -> A without its [N, M] matrices, for thousands of classes.

The losses read two things of a walk: the round trips that stay in their class, and how
often each B_j is visited. Both are sums over steps that a block of B at a time can give:

    sum_j exp M_ij, sum_i exp M_ij       first pass over B: what (2) divides by
    P_ab, P_ba^T                         second pass: (2)
    P_aba within each class, P_visit     (3), (9)

The gradient makes the blocks again instead of keeping them: with G and v the gradients of
the round trips and (over N) of the visits, U = v + G P_ba^T and W = G^T P_ab,

    u_i = sum_j P_ab_ij U_ij                                   first pass over B
    dM = P_ab (U - u) + P_ba^T (W - w),  w_j = sum_i P_ba_ji W_ij      second pass

So memory grows with N and M, and with the round trips that the walker loss reads; time with
N times M. The result is exact: rounding apart, that of `association.walk`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

# Classes of alike size (within a factor of four) lie in one bucket, where each has the room of
# the largest; so there are at most four times as many rows as samples in A, and just as many
# if all classes are of one size. The last bucket has all classes of 4**7 samples and more.
_BUCKETS = 8

# Added to the similarity of a row without a sample: no step ever leads there.
_NOWHERE = -1e30


class ClassWalk(NamedTuple):
    """What the losses read of a walk.

    Attributes:
        round_trips: for each bucket of classes, P_aba within each class, float32
            [classes, size, size]; meaningless where `present` is False.
        present: for each bucket, which places hold a sample, bool [classes, size].
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
    there = tf.concat([tf.reshape(part, [-1]) for part in present], axis=0)
    nowhere = tf.where(there, 0.0, _NOWHERE)
    A = tf.concat([tf.gather(A, row) * tf.cast(there, A.dtype)[:, None], nowhere[:, None]], axis=1)
    B = tf.concat([B, tf.ones_like(B[:, :1])], axis=1)
    *round_trips, P_visit = _walk(A, B, there, [tf.shape(part) for part in rows], block_size)
    return ClassWalk(round_trips, present, P_visit)


def _buckets(labels: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """For each bucket, the indices of its classes' samples [classes, size], and which are any."""
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
    A: tf.Tensor, B: tf.Tensor, there: tf.Tensor, shapes: list[tf.Tensor], block_size: int
) -> list[tf.Tensor]:
    """P_aba within each class of each bucket, and P_visit.

    Args:
        A: the samples of the buckets one after the other, [rows, D].
        B: [M, D].
        there: which rows are a sample, bool [rows].
        shapes: (classes, size) of each bucket.
        block_size: as many of B at a time.
    """
    there = tf.cast(there, tf.float32)
    share = (there / tf.maximum(tf.reduce_sum(there), 1.0))[None, :]  # of each row in P_visit

    def normalisers(B_block, chosen, most, total):
        M = tf.matmul(A, B_block, transpose_b=True)
        # The running softmax: what was summed so far moves to the new maximum.
        higher = tf.maximum(most, tf.reduce_max(M, axis=1, keepdims=True))
        total *= tf.exp(most - higher)
        total += tf.reduce_sum(tf.exp(M - higher), axis=1, keepdims=True)
        most_of_column = tf.reduce_max(M, axis=0)
        return (higher, total), [most_of_column, tf.reduce_sum(tf.exp(M - most_of_column), axis=0)]

    @tf.custom_gradient
    def walk(A_again, B_again):
        del A_again, B_again  # the same tensors; a gradient function must not capture others
        rows = tf.shape(A)[0]
        start = (tf.fill([rows, 1], A.dtype.min), tf.zeros([rows, 1]))
        (most, total), [column_most, column_total] = _over_blocks(
            B, block_size, normalisers, start, [[], []]
        )
        row_scale, column_scale = 1.0 / total, 1.0 / column_total

        def probabilities(B_block, chosen):
            # The maximum apart from the sum: their logarithm in one number would round off
            # what large similarities differ by.
            M = tf.matmul(A, B_block, transpose_b=True)
            P_ab = tf.exp(M - most) * row_scale
            return P_ab, tf.exp(M - column_most[chosen]) * column_scale[chosen]

        def sums(B_block, chosen, round_trips):
            P_ab, P_ba = probabilities(B_block, chosen)
            round_trips = [
                total + tf.matmul(ab, ba, transpose_b=True)
                for total, ab, ba in zip(
                    round_trips, _by_class(P_ab, shapes), _by_class(P_ba, shapes), strict=True
                )
            ]
            return (round_trips,), [tf.matmul(share, P_ab)[0]]

        nothing = [tf.zeros([shape[0], shape[1], shape[1]]) for shape in shapes]
        (round_trips,), [P_visit] = _over_blocks(B, block_size, sums, (nothing,), [[]])

        def gradient(*gradients):
            *G, visits = gradients

            def visit_part(B_block, chosen, u):
                P_ab = tf.exp(tf.matmul(A, B_block, transpose_b=True) - most)
                return (u + tf.matmul(P_ab, visits[chosen][:, None]),), []

            (u,), _ = _over_blocks(B, block_size, visit_part, (tf.zeros([rows, 1]),), [])
            u = u * row_scale * tf.transpose(share) + _together(
                [
                    tf.reduce_sum(g * P, axis=2, keepdims=True)
                    for g, P in zip(G, round_trips, strict=True)
                ]
            )

            def products(B_block, chosen, dA):
                P_ab, P_ba = probabilities(B_block, chosen)
                U = _together(
                    [tf.matmul(g, x) for g, x in zip(G, _by_class(P_ba, shapes), strict=True)]
                )
                W = _together(
                    [
                        tf.matmul(g, x, transpose_a=True)
                        for g, x in zip(G, _by_class(P_ab, shapes), strict=True)
                    ]
                )
                U += tf.matmul(share, visits[chosen][None, :], transpose_a=True)
                W *= P_ba
                dM = P_ab * (U - u) + W - P_ba * tf.reduce_sum(W, axis=0)
                return (dA + tf.matmul(dM, B_block),), [tf.matmul(dM, A, transpose_a=True)]

            (dA,), [dB] = _over_blocks(B, block_size, products, (tf.zeros_like(A),), [[A.shape[1]]])
            return dA, dB

        return (*round_trips, P_visit), gradient

    return walk(A, B)


def _over_blocks(
    B: tf.Tensor,
    block_size: int,
    body: Callable[..., tuple[tuple[Any, ...], list[tf.Tensor]]],
    state: tuple[Any, ...],
    per_column: list[list[int]],
) -> tuple[tuple[Any, ...], list[tf.Tensor]]:
    """The state after body(block of B, where in B that is, *state) for each block of B in turn.

    Args:
        B: [M, D].
        block_size: as many of B at a time.
        body: returns the next state, a tuple, and what it says of the block's samples, a list of
            tensors [block, ...].
        state: before the first block, a tuple of (lists of) tensors.
        per_column: the shapes of what `body` says of one sample of B.

    Returns:
        The state after the last block, and what `body` said, each as [M, ...].
    """
    blocks = (tf.shape(B)[0] + block_size - 1) // block_size
    columns = [
        tf.TensorArray(tf.float32, blocks, element_shape=[None, *shape], infer_shape=False)
        for shape in per_column
    ]

    def step(i, state, columns):
        chosen = slice(i * block_size, (i + 1) * block_size)
        state, values = body(B[chosen], chosen, *state)
        return i + 1, state, [c.write(i, v) for c, v in zip(columns, values, strict=True)]

    # TensorFlow may know more of a shape before the first block than after it.
    any_shape = tf.nest.map_structure(lambda x: tf.TensorShape([None] * x.shape.rank), state)
    _, state, columns = tf.while_loop(
        lambda i, *_: i < blocks,
        step,
        (0, state, columns),
        shape_invariants=(tf.TensorShape([]), any_shape, [tf.TensorShape(None)] * len(columns)),
        parallel_iterations=1,
    )
    return state, [column.concat() for column in columns]


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
