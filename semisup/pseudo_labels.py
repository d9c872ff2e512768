"""Labels that the association itself gives to unlabelled images. Ours, not the paper's.

A walker that steps from an unlabelled B_j back to A ends in some class. Where it nearly always
ends in the same one, that class serves as a label of B_j for the classifier.
"""

from typing import Any

from keras import name_scope, ops

Tensor = Any

# The least class mass that makes a label.
CONFIDENT = 0.95


def class_mass(P_ba: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """How likely the step from each B_j ends in each class, float32 [M, num_classes].

    Args:
        P_ba: step probabilities [M, N], equation (2).
        labels: classes of A [N]. What steps to other classes than [0, num_classes), for
            instance those of virtual embeddings, is lost: such rows sum to less than 1.
        num_classes: number of classes.
    """
    with name_scope("class_mass"):
        labels = ops.cast(ops.reshape(labels, [-1]), "int32")
        of_class = ops.equal(labels[:, None], ops.arange(num_classes, dtype="int32")[None, :])
        return ops.matmul(ops.cast(P_ba, "float32"), ops.cast(of_class, "float32"))


def pseudo_label_loss(logits: Tensor, mass: Tensor) -> Tensor:
    """Cross-entropy of unlabelled samples with the class that the association gives them.

    A sample counts where `mass` is at least `CONFIDENT` for some class, which is then taken
    for its label; the mean is over all samples, so that few confident ones weigh little. No
    gradient flows into `mass`.

    Args:
        logits: class scores of B [M, classes].
        mass: see `class_mass`, [M, classes].

    Returns:
        float32 scalar, in nats; 0 without samples.
    """
    with name_scope("pseudo_label_loss"):
        mass = ops.stop_gradient(ops.cast(mass, "float32"))
        target = ops.cast(mass >= CONFIDENT, "float32")  # of one class at most
        log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=1)
        samples = ops.cast(ops.maximum(ops.shape(mass)[0], 1), "float32")
        return -ops.sum(target * log_probabilities) / samples
