"""Methods by which predictions must not change with the view of an image."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from comparison.method import Batch, Method, ramp_up

Tensor = Any


def squared_difference(logits: Tensor, others: Tensor) -> Tensor:
    """(p - q)^2 of the class probabilities, [n, classes]."""
    return (ops.softmax(logits, axis=1) - ops.softmax(others, axis=1)) ** 2


@dataclass
class PiModel(Method):
    """w(t) mean over B and classes of (p(view 1) - p(view 2))^2.

    Args:
        weight: w at the end, as Tarvainen and Valpola gave it for SVHN; Laine and Aila take 100
            times the share of labelled images.
        ramp: share of all steps in which w grows, theirs: 40,000 of 150,000.
    """

    weight: float = 100.0
    ramp: float = 0.27

    paper = "Laine and Aila, Temporal Ensembling, 2017"
    view = "weak"
    search = ({"weight": 30.0}, {"weight": 10.0})

    def loss(self, model: Any, batch: Batch) -> Tensor:
        other = model(batch.view, training=True)["logits"]
        difference = ops.mean(squared_difference(batch.unlabeled.logits, other))
        return self.weight * ramp_up(batch.progress, self.ramp) * difference


@dataclass
class MeanTeacher(Method):
    """w(t) mean over B and classes of (p(view 1) - p'(view 2))^2, p' by averaged weights.

    The average is what is evaluated. Its momentum is min(1 - 1 / (t + 1), decay) at step t.

    Args:
        weight, ramp: see `PiModel`.
        decay: momentum of the average.
    """

    weight: float = 100.0
    ramp: float = 0.27
    decay: float = 0.999

    paper = "Tarvainen and Valpola, Mean teachers, 2017"
    view = "weak"
    search = ({"weight": 10.0}, {"decay": 0.97}, {"weight": 10.0, "decay": 0.97})

    def build(self, model: Any) -> list[Any]:
        self.student = [*model.network.trainable_variables, *model.classifier.trainable_variables]
        self.teacher = [
            keras.Variable(v.numpy(), dtype=v.dtype, trainable=False, name=f"teacher_{i}")
            for i, v in enumerate(self.student)
        ]
        self.steps = keras.Variable(0.0, trainable=False, dtype="float32", name="teacher_steps")
        return [*self.teacher, self.steps]

    def loss(self, model: Any, batch: Batch) -> Tensor:
        values = [variable.value for variable in self.teacher]
        with keras.StatelessScope(list(zip(self.student, values, strict=True))) as scope:
            target = ops.stop_gradient(model(batch.view, training=True)["logits"])
        for variable in model.non_trainable_variables:
            # The scope forgets that dropout has drawn; the next step would draw the same again.
            if variable.name == "seed_generator_state":
                variable.assign(scope.get_current_value(variable))
        difference = ops.mean(squared_difference(batch.unlabeled.logits, target))
        return self.weight * ramp_up(batch.progress, self.ramp) * difference

    def after_step(self) -> None:
        decay = ops.minimum(1.0 - 1.0 / (self.steps.value + 1.0), self.decay)
        for teacher, student in zip(self.teacher, self.student, strict=True):
            teacher.assign(decay * teacher.value + (1.0 - decay) * student.value)
        self.steps.assign_add(1.0)

    def evaluated(self) -> list[tuple[Any, Any]]:
        return list(zip(self.student, self.teacher, strict=True))


@dataclass
class Transformations(Method):
    """Stability under transformations, and one class an image ("mutual exclusivity").

    stability sum_k (f_k(view 1) - f_k(view 2))^2 - exclusivity sum_k f_k prod_{l != k} (1 - f_l),
    the mean over B, where f are class probabilities. The paper passes each image four or five
    times, and adds the first term up over all pairs; here twice.

    Args:
        stability: weight of the first term.
        exclusivity: weight of the second.
    """

    stability: float = 1.0
    exclusivity: float = 0.1

    paper = "Sajjadi, Javanmardi, Tasdizen, Regularization With Stochastic Transformations, 2016"
    view = "weak"
    search = ({"exclusivity": 1.0}, {"stability": 5.0}, {"stability": 5.0, "exclusivity": 0.5})

    def loss(self, model: Any, batch: Batch) -> Tensor:
        views = batch.unlabeled.logits, model(batch.view, training=True)["logits"]
        stability = ops.mean(ops.sum(squared_difference(*views), axis=1))
        exclusivity = sum(ops.mean(one_class(logits)) for logits in views) / 2.0
        return self.stability * stability - self.exclusivity * exclusivity


def one_class(logits: Tensor) -> Tensor:
    """sum_k f_k prod_{l != k} (1 - f_l) of each row: 1 for a certain prediction, float32 [n]."""
    f = ops.softmax(logits, axis=1)
    rest = ops.log1p(-ops.minimum(f, 1.0 - 1e-6))
    return ops.sum(f * ops.exp(ops.sum(rest, axis=1, keepdims=True) - rest), axis=1)
