"""An `AssociativeModel` that learns by other methods too: each adds its loss to the batch's."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from comparison.method import Batch, Method, Rows
from comparison.methods.walk import Association
from semisup.config import LABELS_ONLY
from semisup.experiment import Experiment
from semisup.models.associative_model import AssociativeModel
from semisup.optimizers.ema import averaged_weights

Tensor = Any


class ComparedModel(AssociativeModel):
    """AssociativeModel with the losses of methods.

    Its batches are labelled rows, unlabelled rows, and where a method wants a view, the
    unlabelled images again. Only the first two pass through the network with the batch.

    Args:
        methods: whose losses are added to the classification loss. It walks if association is
            one of them.
        labeled: labelled rows in a batch.
        unlabeled: unlabelled rows; 0 for labels only.
        steps: training steps in all.
        seed: of the methods' random numbers.
        arguments: as those of AssociativeModel.
    """

    def __init__(
        self,
        *arguments: Any,
        methods: Sequence[Method],
        labeled: int,
        unlabeled: int,
        steps: int,
        seed: int,
        **settings: Any,
    ) -> None:
        self.methods = tuple(methods)
        self.sizes = (labeled, unlabeled)
        self.steps, self.seed = steps, seed
        self.walks = any(isinstance(method, Association) for method in methods)
        super().__init__(*arguments, **settings)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.of_methods = [part for method in self.methods for part in method.build(self)]

    def train_step(self, data: Any) -> dict[str, Tensor]:
        images, labels = data
        rows = sum(self.sizes)
        self._batch_data = images, labels  # for compute_loss, which train_step calls
        logs = super().train_step((images[:rows], labels[:rows]))
        for method in self.methods:
            method.after_step()
        return logs

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Any = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        if not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        images, labels = self._batch_data
        batch = self._batch(images, labels, y_pred)
        if self.walks:
            total = super().compute_loss(x, y, y_pred, sample_weight, training)
        else:
            A = {"embedding": batch.labeled.embedding, "logits": batch.labeled.logits}
            total = super().compute_loss(None, batch.labels, A, sample_weight, training)
        return total + sum((method.loss(self, batch) for method in self.methods), start=0.0)

    def _batch(self, images: Tensor, labels: Tensor, outputs: Any) -> Batch:
        labeled, unlabeled = self.sizes
        parts = slice(labeled), slice(labeled, labeled + unlabeled)
        A, B = (Rows(images[s], outputs["embedding"][s], outputs["logits"][s]) for s in parts)
        step = self.optimizer.iterations.value
        return Batch(
            labeled=A,
            labels=labels[:labeled],
            unlabeled=B,
            view=images[labeled + unlabeled :],
            progress=ops.cast(step, "float32") / self.steps,
            seed=tf.stack([tf.cast(step, tf.int64), tf.constant(self.seed, tf.int64)]),
        )

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """Context manager: use the weights to evaluate, averages where there are any."""
        with averaged_weights(self):
            changed = [pair for method in self.methods for pair in method.evaluated()]
            before = [variable.numpy() for variable, _ in changed]
            for variable, value in changed:
                variable.assign(value.numpy())
            try:
                yield
            finally:
                for (variable, _), value in zip(changed, before, strict=True):
                    variable.assign(value)


def compared(setup: Experiment, methods: Sequence[Method], unlabeled: int) -> ComparedModel:
    """A model of an experiment's settings and initial weights, with the losses of methods.

    Args:
        setup: the experiment.
        methods: see `ComparedModel`.
        unlabeled: unlabelled rows in a batch.
    """
    recipe, first = setup.recipe, setup.model
    config = first.get_config()
    for method in methods:
        method.change(config)
    if not any(isinstance(method, Association) for method in methods):
        config |= {name: weight for name, weight in LABELS_ONLY.items() if name in config}
    config |= {"methods": methods, "labeled": setup.labeled_in_batch, "unlabeled": unlabeled}
    config |= {"steps": recipe.max_steps, "seed": recipe.seed}
    model = ComparedModel.from_config(config)
    model.network.set_weights(first.network.get_weights())
    model.classifier.set_weights(first.classifier.get_weights())
    for method in methods:  # averages begin with the same weights
        for variable, average in method.evaluated():
            average.assign(variable)
    model.compile(keras.optimizers.deserialize(keras.optimizers.serialize(first.optimizer)))
    model.optimizer.build(model.trainable_variables)
    return model
