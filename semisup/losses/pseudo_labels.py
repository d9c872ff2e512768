"""Pseudo-labels: the classes to which unlabelled images are associated. Not in the paper.

A walker that steps from an unlabelled B_j back to A ends in some class. If it nearly always
ends in the same one, that class serves as a label of B_j for the classifier.
"""

from typing import Any

from keras import name_scope, ops

from semisup.losses import association, blockwise, checks

Tensor = Any

# A class mass of at least this makes a label.
CONFIDENT = 0.95


def class_mass(
    A: Tensor,
    B: Tensor,
    labels: Tensor,
    num_classes: int,
    similarity: str = "dot",
    temperature: float | Tensor = 1.0,
    *,
    block_size: int | None = None,
) -> Tensor:
    """Probability that the step from each B_j ends in each class, float32 [M, num_classes].

    No gradient flows through it: it serves as a target.

    Args:
        A: labelled embeddings [N, D].
        B: unlabelled embeddings [M, D].
        labels: classes of A [N]. Steps to classes outside [0, num_classes), for instance those
            of virtual embeddings, count for no class: such rows sum to less than 1.
        num_classes: number of classes.
        similarity, temperature: see `association.similarity_matrix`.
        block_size: take this many of B at a time, so that P_ba, equation (2), is never held whole;
            0 for all at once, as XLA needs it; None chooses as `association.association_losses`
            does.

    Raises:
        InputError: the similarity is unknown, the block size is no whole number of at least 0, the
            temperature is a number that is not above 0, the shapes do not fit each other, there is
            not one label for each of A, or a label is -1.
    """
    A, B = ops.convert_to_tensor(A), ops.convert_to_tensor(B)
    block_size = blockwise.checked_block_size(block_size, A, B)
    checks.check_labels_of(labels, A, "A")
    checks.check_labeled(labels)
    with name_scope("class_mass"):
        A, B = association.as_dot(
            ops.stop_gradient(A), ops.stop_gradient(B), similarity, temperature
        )
        labels = association.class_indices(labels)
        of_class = ops.equal(labels[:, None], ops.arange(num_classes, dtype="int32")[None, :])
        of_class = ops.cast(of_class, "float32")

        def mass(some_of_B: Tensor) -> Tensor:
            P_ba = association.p_ba(association.similarity_matrix(A, some_of_B))
            return ops.matmul(P_ba, of_class)

        if block_size == 0:
            return mass(B)
        _, [masses] = blockwise.over_blocks(
            B, block_size, lambda block, _: ((), [mass(block)]), (), [[num_classes]]
        )
        return masses


def pseudo_label_loss(logits: Tensor, mass: Tensor) -> Tensor:
    """Cross-entropy of unlabelled samples with the class that the association gives them.

    A sample counts if its `mass` is at least `CONFIDENT` for one class, which is then its
    label; the mean is over all samples, so that few confident ones have little weight. No
    gradient flows into `mass`.

    Args:
        logits: class scores of B [M, classes].
        mass: see `class_mass`, [M, classes].

    Returns:
        float32 scalar, in nats; 0 without samples.

    Raises:
        InputError: the two have other shapes.
    """
    logits, mass = ops.convert_to_tensor(logits), ops.convert_to_tensor(mass)
    checks.check_matrix(logits, "logits", "class scores [M, classes]")
    sizes = checks.known_shape(logits)
    checks.check_matrix(mass, "mass", f"[M, classes] like `logits`, {sizes}", sizes)
    with name_scope("pseudo_label_loss"):
        mass = ops.stop_gradient(ops.cast(mass, "float32"))
        target = ops.cast(mass >= CONFIDENT, "float32")  # of one class at most
        log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=1)
        # A class that is no target counts nothing, be its logit -inf.
        log_probabilities = ops.where(ops.equal(target, 0.0), 0.0, log_probabilities)
        samples = ops.cast(ops.maximum(ops.shape(mass)[0], 1), "float32")
        return -ops.sum(target * log_probabilities) / samples
