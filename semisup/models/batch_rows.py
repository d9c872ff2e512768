"""Which rows of a batch are labelled (A) and which are not (B).

Where that is known when the graph is made, A and B are slices. Else the graph searches the labels
for them, so that their numbers may differ from batch to batch.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from semisup.runtime import distribution

Tensor = Any


class BatchRows(NamedTuple):
    """The labels of a batch, and where in it A and B are.

    Attributes:
        labels: int64 [batch] or [batch, 1], -1 for B.
        labeled: rows of A, indices [N] or a slice of each share.
        unlabeled: rows of B, likewise.
        sizes: of A and B, as far as they are known when the graph is made: if they are searched
            for, half of the batch, as in most; 0 if the batch's size is not known either.
        shares: equal parts of the batch, one after the other, to which slices refer.
    """

    labels: Tensor
    labeled: Tensor | slice
    unlabeled: Tensor | slice
    sizes: tuple[int, int]
    shares: int = 1

    def of_A(self, tensor: Tensor) -> Tensor:
        """The labelled rows of a tensor [batch, ...]."""
        return self._take(tensor, self.labeled)

    def of_B(self, tensor: Tensor) -> Tensor:
        """The unlabelled ones."""
        return self._take(tensor, self.unlabeled)

    def B_or_all(self) -> tuple[Tensor, Tensor]:
        """Rows to pass through a network once more: B, or all where B is empty.

        Of no rows at all, batch norm would be NaN for good.

        Returns:
            indices [n], and which of them are of B, float32 [n], 1 or 0.
        """
        with keras.name_scope("B_or_all"):
            row = ops.reshape(self.labels, [-1])
            if isinstance(self.unlabeled, slice) and self.sizes[1] != 0:
                B = self.of_B(ops.arange(ops.shape(row)[0]))
            else:
                of_B = row < 0
                B = ops.nonzero(ops.logical_or(of_B, ops.logical_not(ops.any(of_B))))[0]
            return B, ops.cast(ops.take(row, B) < 0, "float32")

    def are_known(self) -> bool:
        """Whether it is known when the graph is made that, and where, there are A and B."""
        return isinstance(self.labeled, slice) and min(self.sizes) > 0

    def labels_of_A(self) -> Tensor:
        """The classes of A, [N]."""
        return self.of_A(ops.reshape(self.labels, [-1]))

    def in_order(self, A: Tensor, B: Tensor) -> Tensor:
        """What `of_A` and `of_B` took apart, in the order of the batch again."""
        both = ops.concatenate([A, B])
        if isinstance(self.labeled, slice):
            return both
        order = ops.argsort(ops.concatenate([self.labeled, self.unlabeled]))
        return ops.take(both, order, axis=0)

    def has_both(self) -> Tensor:
        """1.0 if there are both labelled and unlabelled rows, else 0.0."""
        with keras.name_scope("has_both"):
            row = ops.reshape(self.labels, [-1])
            return _any(self.of_A(row)) * _any(self.of_B(row))

    def gathered(self) -> "BatchRows":
        """Those of the batch of all replicas; see `distribution.gathered`."""
        replicas = distribution.replicas()
        if replicas == 1:
            return self
        labels = distribution.gathered(self.labels)
        sizes = (replicas * self.sizes[0], replicas * self.sizes[1])
        if isinstance(self.labeled, slice):
            return self._replace(labels=labels, sizes=sizes, shares=replicas)
        return find(labels)._replace(sizes=sizes)

    def _take(self, tensor: Tensor, rows: Tensor | slice) -> Tensor:
        if not isinstance(rows, slice):
            return ops.take(tensor, rows, axis=0)
        if self.shares == 1:
            return tensor[rows]
        rest = tuple(tensor.shape[1:])
        apart = ops.reshape(tensor, (self.shares, -1, *rest))
        return ops.reshape(apart[:, rows], (-1, *rest))


def find(labels: Tensor, labeled_first: int | None = None) -> BatchRows:
    """The rows of a batch.

    Args:
        labels: int64 [batch] or [batch, 1], -1 for unlabelled rows.
        labeled_first: that so many rows come first and are labelled, and the others are not; None
            if that is not known.
    """
    size = labels.shape[0] or 0
    if labeled_first is not None:
        A, B = slice(0, labeled_first), slice(labeled_first, None)
        return BatchRows(labels, A, B, (labeled_first, max(size - labeled_first, 0)))
    with keras.name_scope("rows"):
        row = ops.reshape(labels, [-1])
        # One more than there are rows: XLA takes an empty A or B of one possible row for that row.
        none = ops.zeros([1], "bool")
        A, B = (ops.nonzero(ops.concatenate([of, none]))[0] for of in (row >= 0, row < 0))
        return BatchRows(labels, A, B, (size // 2, size // 2))


def _any(rows: Tensor) -> Tensor:
    return ops.cast(ops.shape(rows)[0] > 0, "float32")
