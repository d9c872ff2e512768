"""Many devices, one batch: each replica embeds its share, and the walk is over all shares.

Every replica has the same weights. Of n replicas, each takes every n-th row of a batch, so that
it has 1/n of the labelled images, some of each class where there are at least n, and of the
unlabelled ones. Each of several workers makes only its own rows of a batch, which its replicas
share.

With the scope "global" the embeddings of all shares are gathered before the losses, so that
every replica computes the losses of the whole batch. Those, divided by n, are what each
replica returns: Keras's optimizers add up the gradients of all replicas. The gradient of a
gathered row goes back, summed over replicas, to the one that embedded it; so the sum is the
gradient that a single device finds for the whole batch.

See `semisup.runtime.workers` for replicas in several processes.
"""

from typing import Any

import keras
import tensorflow as tf

from semisup.errors import InputError, check_known
from semisup.runtime import workers

STRATEGIES = ("none", "mirrored", "multi_worker")

# Which embeddings take part in a replica's walk: those of all replicas, or its own.
SCOPES = ("global", "replica")


def check_scope(scope: str) -> None:
    """Raises InputError if there is no such association scope."""
    check_known("`association_scope`", scope, SCOPES)


def strategy(name: str) -> tf.distribute.Strategy | None:
    """TensorFlow's strategy of that name; None for "none".

    Args:
        name: "none"; "mirrored" for all GPUs of this machine (without any, all its
            logical CPU devices, of which there is one unless TensorFlow is told otherwise);
            "multi_worker" for all GPUs, or else CPUs, of the machines that TF_CONFIG names.

    Raises:
        InputError: there is no such strategy, or TF_CONFIG is missing or wrong.
    """
    check_known("`strategy`", name, STRATEGIES)
    if name == "none":
        return None
    if name == "multi_worker":
        return workers.join()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def check_shares(
    replicas: int, labeled: int, unlabeled: int, labeled_of_class: int | None = None
) -> None:
    """Raises InputError if the images of a batch can't be divided evenly among replicas.

    Replicas with shares of several sizes would count their images differently.

    Args:
        replicas: how many.
        labeled, unlabeled: images in a batch.
        labeled_of_class: labelled images of each class in a batch, where each replica has a walk of
            its own. That of a replica without one of a class could only end in other classes.
    """
    if labeled_of_class is not None and labeled_of_class < replicas:
        raise InputError(
            f"`association_scope=replica` on {replicas} devices needs as many labelled images of "
            f"each class in a batch; `sup_per_batch` is {labeled_of_class}"
        )
    for kind, count in (("labelled", labeled), ("unlabelled", unlabeled)):
        if count % replicas != 0:
            raise InputError(
                f"the {count} {kind} images of a batch can't be shared out evenly among {replicas} "
                "devices; choose a `sup_per_batch` and an `unsup_batch_size` that are multiples of "
                f"{replicas}"
            )


def replicas() -> int:
    """The number of replicas that share the batch; 1 without a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def shares(strategy: tf.distribute.Strategy) -> int:
    """How many replicas share the rows that this worker makes of a batch."""
    return strategy.num_replicas_in_sync // workers.rank_and_size(strategy)[1]


def share(rows: tf.Tensor) -> tf.Tensor:
    """Of the rows [B, ...] that this worker made of a batch, those of this replica.

    B / n of them, if the worker has n replicas; without other workers these are all replicas.
    """
    count = shares(tf.distribute.get_strategy())
    if count == 1:
        return rows
    return rows[tf.distribute.get_replica_context().replica_id_in_sync_group % count :: count]


def gathered(tensors: Any) -> Any:
    """The rows of all replicas, in the same order on each.

    Differentiable: the gradients of all replicas' losses are added up at a row's own replica.

    Args:
        tensors: a tensor [n, ...], or a structure of such.

    Returns:
        The same with the rows of all; unchanged without other replicas.
    """
    context = tf.distribute.get_replica_context()  # None where Keras only builds a model
    if context is None or context.num_replicas_in_sync == 1:
        return tensors
    return tf.nest.map_structure(lambda rows: _all_gather(context, rows), tensors)


def _all_gather(context: tf.distribute.ReplicaContext, rows: tf.Tensor) -> tf.Tensor:
    # all_gather asks for the device of its rows; the labels, a mere argument, have none.
    everyones = context.all_gather(tf.identity(rows), axis=0)
    everyones.set_shape([None, *rows.shape[1:]])  # TensorFlow forgets it
    return with_dense_gradient(everyones)


@tf.custom_gradient
def with_dense_gradient(rows: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """The same rows. Picking some of them has a sparse gradient, which all_gather can't take."""
    return tf.identity(rows), tf.convert_to_tensor


def mean(tensors: Any) -> Any:
    """The mean over all replicas of a tensor, or of each in a structure."""
    if replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tensors)


def synchronize_batch_norm(network: keras.Model) -> None:
    """Make the network's batch norm take its statistics over all replicas, not over a share."""
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def take_over(source: keras.Model, target: keras.Model) -> None:
    """Copy weights and optimizer state from a model on many devices to the same one on one."""
    if source is target:
        return
    for ours, theirs in zip(
        (*target.weights, *target.optimizer.variables),
        (*source.weights, *source.optimizer.variables),
        strict=True,
    ):
        ours.assign(theirs.numpy())
