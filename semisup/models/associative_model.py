"""`AssociativeModel`: any Keras network, trained by association.

model = AssociativeModel(network, num_classes=10)
model.compile("adam")
model.fit(batches, steps_per_epoch=500)  # label -1 means: no label
model.evaluate(test_images, test_labels)
"""

import numbers
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from semisup.errors import InputError, check_bounds, first_line
from semisup.losses import association, blockwise, checks, pseudo_labels, virtual_adversarial
from semisup.models import batch_rows, building_blocks
from semisup.models.batch_rows import BatchRows
from semisup.models.building_blocks import one_tensor
from semisup.models.checked_model import CheckedModel
from semisup.models.labels import checked_labels
from semisup.optimizers import schedules
from semisup.runtime import distribution
from semisup.runtime.arguments import whole_number

Tensor = Any

# A number, or its value at a training step.
Schedule = float | Callable[[Any], Any]

# The paper's L2 weight of the layer from embedding to logits; the authors' code agrees.
CLASSIFIER_L2 = 1e-4

# One for each field of `association.AssociationLosses`, in its order.
_WALK_METRICS = ("walker_loss", "visit_loss", "p_correct", "estimated_accuracy", "visit_entropy")

# Of the paper's losses, then of those that are not the paper's.
_PAPER_WEIGHTS = ("walker_weight", "visit_weight", "logit_weight")
_WEIGHTS = (*_PAPER_WEIGHTS, "pseudo_label_weight", "vat_weight")
_WEIGHTS_OF_B = tuple(name for name in _WEIGHTS if name != "logit_weight")

# Constants of the traced graph, so they can't be set later.
_SETTINGS = (
    *("num_classes", "similarity", "temperature", "label_smoothing", "vat_epsilon"),
    *("virtual_embeddings", "separate_batches", "association_scope"),
)

# Arguments that may be Keras objects.
_SERIALIZED = ("network", *_WEIGHTS)

# Not reported by `evaluate`, which takes no walk.
_OF_TRAINING = (*_WALK_METRICS, "pseudo_label_loss", "vat_loss")


@keras.saving.register_keras_serializable(package="semisup")
class AssociativeModel(CheckedModel):
    """A network, a classifier on its embedding, and the paper's three losses.

    The model maps images [batch, ...] to a dict of float32 tensors: "embedding"
    [batch, D] and "logits" [batch, num_classes]. It trains on pairs (images, labels)
    in which labelled rows (A) carry a class in [0, num_classes) and unlabelled rows
    (B) carry -1, in any order; one forward pass covers both. The losses need no
    `loss` in `compile`. `fit` reports, as Keras metrics:

        loss                  the total, equation (5), with the L2 terms
        classification_loss, walker_loss, visit_loss    before weighting
        pseudo_label_loss, vat_loss     if they have a weight, before weighting
        l2_loss               the regularisation terms of all layers
        p_correct             probability of a correct walk, equation (4)
        estimated_accuracy, visit_entropy               see `semisup.losses.association`
        error                 labelled images classified wrongly, in percent

    A Keras callback that watches one of these, such as EarlyStopping("val_error"), knows whether
    more or less of it is better.

    Metrics given to `compile` get the classes [N] and the logits [N, num_classes] of the labelled
    rows, so those that want probabilities need `from_logits=True`. Give them as a list: the keys of
    a dict are not looked at. Large batches are walked
    over in blocks (`blockwise.block_size_for`) if their size is known when the graph is
    made: give `tf.data` a `drop_remainder`.

    `predict` returns "embedding", of unit length with "cosine", and "logits"; their softmax is the
    probabilities, which `semisup.inference.probability_model` gives. `evaluate` returns "loss",
    "classification_loss", "l2_loss" and "error", by name with `return_dict=True`.

    `evaluate` computes no walk: its "loss" is the weighted classification loss with the L2 terms,
    not comparable with that of `fit`. Give it labelled images: rows with -1 are ignored, although
    Keras counts them in the mean of "loss". Arrays without any label raise an InputError; of
    batches without any, every result is NaN, with a warning.

    Labels may be of any type that holds whole numbers. A label that is no class and not -1 stops
    `fit` and `evaluate` with an InputError; with `compile(jit_compile=True)`, where a graph can't
    stop, one in batches makes the losses NaN.

    Args:
        network: a Keras model from images to embeddings [batch, D].
        num_classes: number of classes.
        walker_weight: weight of the walker loss, at least 0: a number, a Keras schedule such as
            `semisup.Envelope`, or a function of the training step, an integer scalar tensor (with
            `keras.ops.where`, not a Python `if`). The step is the optimizer's `iterations`:
            another `compile` begins at 0. A saved model can only be loaded again if Keras can
            serialise the weight.
        visit_weight: weight of the visit loss, likewise.
        logit_weight: weight of the classification loss, likewise.
        pseudo_label_weight: weight of `pseudo_labels.pseudo_label_loss` on the unlabelled
            rows, likewise; not in the paper. The number 0 leaves it out, at no cost.
        vat_weight: weight of virtual adversarial training with entropy minimisation on the
            unlabelled rows (`semisup.losses.virtual_adversarial`), likewise; not in the paper. Its
            two more passes through the network count in the statistics of batch norm.
        vat_epsilon: norm of the adversarial perturbation, relative to the norm of the input.
        similarity: "cosine", "dot" or "euclidean"; see `association.similarity_matrix`. The
            paper's is "dot", which grows without bounds: on many networks nearly all probability
            then goes to one step, mostly a wrong one. With "cosine" embeddings are unit vectors,
            and the classifier takes them times temperature^-1/2, so that their dot products are
            the walk's similarities.
        temperature: by which the similarities are divided, above 0; by default 0.16 for "cosine"
            and 1 for the others.
        label_smoothing: see `association.classification_loss`.
        virtual_embeddings: this many trainable vectors join A, each as a class of its
            own, to which unlabelled images of no labelled class can be associated.
        separate_batches: pass A and B through the network one after the other, so
            that batch norm normalises each by its own statistics.
        association_scope: under a `tf.distribute` strategy, whether the losses are those of
            the whole batch ("global") or the mean of those of each replica's share alone
            ("replica"). No difference on one device. See `semisup.runtime.distribution`.
            `fit` gives each replica consecutive rows, so for "replica" its batches must have A
            and B mixed, unlike those of `association_batches`.

    Save it as a .keras file: from the older .h5, Keras can't load it. Where it is loaded, import
    semisup first.

    Attributes:
        network: as given. Its embeddings are not of unit length yet, whatever the similarity.
        classifier: the dense layer from embedding to logits.
        loss_schedules: the weight of each loss as a function of the step, by its argument's name.
            Their own attributes are read when a graph is traced, so a change comes too late.

    Raises:
        InputError: the network's output is not [batch, D], the similarity or the scope is
            unknown, a weight is negative, the temperature or `vat_epsilon` is not above 0, or the
            label smoothing is not in [0, 1). Later: a loss weight, or
            another setting that graphs take in, is set anew.

    Examples:
        >>> digits = semisup.load_dataset("mnist5k")
        >>> labeled = semisup.choose_split(digits, sup_per_class=10).labeled
        >>> batches = semisup.association_batches(
        ...     digits.train_images[labeled], digits.train_labels[labeled], digits.train_images
        ... )
        >>> model = semisup.AssociativeModel(semisup.mnist_model(), num_classes=10)
        >>> model.compile("adam")
        >>> history = model.fit(batches, steps_per_epoch=2, verbose=0)
        >>> outputs = model.predict(digits.test_images[:3], verbose=0)
        >>> outputs["embedding"].shape, outputs["logits"].shape
        ((3, 128), (3, 10))
    """

    def __init__(
        self,
        network: keras.Model,
        num_classes: int,
        *,
        walker_weight: Schedule = 1.0,
        visit_weight: Schedule = 1.0,
        logit_weight: Schedule = 1.0,
        pseudo_label_weight: Schedule = 0.0,
        vat_weight: Schedule = 0.0,
        vat_epsilon: float = 0.2,
        similarity: str = "cosine",
        temperature: float | None = None,
        label_smoothing: float = 0.0,
        virtual_embeddings: int = 0,
        separate_batches: bool = False,
        association_scope: str = "global",
        name: str = "associative_model",
        **kwargs: Any,
    ):
        _check_network(network)
        checks.check_similarity(similarity)
        if temperature is None:
            temperature = checks.DEFAULT_TEMPERATURE[similarity]
        temperature = _number("temperature", temperature)
        checks.check_temperature(temperature)
        distribution.check_scope(association_scope)
        label_smoothing = _number("label_smoothing", label_smoothing)
        vat_epsilon = _number("vat_epsilon", vat_epsilon)
        checks.check_label_smoothing(label_smoothing)
        check_bounds("vat_epsilon", vat_epsilon, above=0)
        virtual_embeddings = whole_number("virtual_embeddings", virtual_embeddings, minimum=0)
        super().__init__(name=name, **kwargs)
        self.network = network
        self.num_classes = whole_number("num_classes", num_classes, minimum=1)
        weights = (walker_weight, visit_weight, logit_weight, pseudo_label_weight, vat_weight)
        self.loss_schedules = _loss_schedules(dict(zip(_WEIGHTS, weights, strict=True)))
        self.uses_pseudo_labels = self._can_be_nonzero("pseudo_label_weight")
        self.uses_vat = self._can_be_nonzero("vat_weight")
        self.uses_unlabeled = any(map(self._can_be_nonzero, _WEIGHTS_OF_B))
        self.vat_epsilon = vat_epsilon
        self.similarity = similarity
        self.temperature = temperature
        self.label_smoothing = label_smoothing
        self.virtual_embeddings = virtual_embeddings
        self.separate_batches = separate_batches
        self.association_scope = association_scope
        # float32 under any precision policy: logits and losses need its range.
        self.classifier = keras.layers.Dense(
            self.num_classes,
            kernel_regularizer=building_blocks.l2(CLASSIFIER_L2),
            dtype="float32",
            name="classifier",
        )
        self.means = _means(self.uses_pseudo_labels, self.uses_vat)
        if network.built and getattr(network, "input_shape", None):
            self.build(network.input_shape)  # a subclassed model has none: the first batch builds

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _WEIGHTS or (name in _SETTINGS and name in self.__dict__):
            raise InputError(
                f"`{name}` is set when a model is made; for another, make a new AssociativeModel "
                "of this network (a loss weight may also be a function of the training step; a "
                "subclass keeps its own under another name)"
            )
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name in _WEIGHTS and "loss_schedules" in self.__dict__:
            return self.loss_schedules[name]
        raise AttributeError(f"AssociativeModel has no attribute {name!r}")

    def build(self, input_shape: tuple[Any, ...]) -> None:
        if self.classifier.built:  # as the constructor does where it can
            return
        if self.separate_batches and isinstance(input_shape[0], tuple | list):
            input_shape = tuple(input_shape[0])  # of (images, labels); a saved model has lists
        if isinstance(input_shape, dict) or not isinstance(input_shape[0], int | None):
            raise InputError(
                f"the network must take one tensor of images [batch, ...], but takes {input_shape}"
            )
        # A symbolic call also builds the layers of a network that has not been called yet.
        embedding = one_tensor(self.network(keras.KerasTensor(input_shape, dtype="float32")))
        if not isinstance(embedding, keras.KerasTensor):
            raise InputError(
                "the network must give one tensor of embeddings [batch, D], but it gives several "
                "or a dict; take one: keras.Model(network.inputs, network.outputs[0])"
            )
        embedding_shape = embedding.shape
        if len(embedding_shape) != 2 or embedding_shape[1] is None:
            raise InputError(
                "the network must map images to embeddings [batch, D], but its output has shape "
                f"{embedding_shape}; end it with a Flatten, pooling or Dense layer"
            )
        self.classifier.build(embedding_shape)
        if self.virtual_embeddings:
            self.virtual = self.add_weight(
                shape=(self.virtual_embeddings, embedding_shape[1]),
                initializer=keras.initializers.RandomNormal(stddev=0.01),
                dtype="float32",
                name="virtual_embeddings",
            )
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        """Embed and classify.

        Args:
            inputs: images [batch, ...]; or (images, labels), to pass A and B through apart.
            training: as Keras has it.

        Returns:
            "embedding" [batch, D] and "logits" [batch, num_classes], float32.
        """
        inputs = one_tensor(inputs)
        if isinstance(inputs, tuple):
            embedding = self._embed_apart(*inputs, training=training)
        else:
            embedding = self._embed(inputs, training)
        embedding = ops.cast(embedding, "float32")
        if self.similarity != "cosine":
            return {"embedding": embedding, "logits": self.classifier(embedding)}
        embedding = association.unit_length(embedding)
        return {
            "embedding": embedding,
            "logits": self.classifier(embedding * self.temperature**-0.5),
        }

    def train_step(self, data: Any) -> dict[str, Tensor]:
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        images = one_tensor(images)
        if self.labeled_first is None:
            self._check_compiler()
            labels = checked_labels(labels, self.num_classes, images)
        rows = batch_rows.find(labels, self.labeled_first)
        inputs = (images, labels) if self.separate_batches else images
        return super().train_step((inputs, rows, sample_weight))

    def test_step(self, data: Any) -> dict[str, Tensor]:
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        images = one_tensor(images)
        rows = batch_rows.find(checked_labels(labels, self.num_classes, images))
        return _of_evaluation(super().test_step((images, rows, sample_weight)))

    def get_metrics_result(self) -> dict[str, Tensor]:
        """The metrics by name; in `evaluate` those of `test_step`.

        Only of equal names does Keras take these, which are over all replicas, for the result.
        """
        results = super().get_metrics_result()
        return _of_evaluation(results) if self._evaluating else results

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: dict[str, Tensor] | None = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """The total loss of one batch, equation (5), a float32 scalar.

        With n replicas 1/n of it: Keras's optimizers add up their gradients.

        Args:
            x: the images, or (images, labels), for virtual adversarial training; else not used.
            y: labels [batch] or [batch, 1], -1 where there is none; or `BatchRows`.
            y_pred: what `call` returned.
            sample_weight: must be None.
            training: whether to walk; evaluation only classifies.

        Raises:
            InputError: there are sample weights, `compile` was given a loss, or the
                labels are one-hot.
        """
        rows = self._rows(y, y_pred, sample_weight)
        if self.separate_batches and training:
            self._check_added_losses(rows)
        added = list(self.losses)  # of this batch: passing others through the network changes them
        vat = self._virtual_adversarial(x, rows, y_pred) if training and self.uses_vat else 0.0
        if training and self.association_scope == "global":
            rows, y_pred = rows.gathered(), distribution.gathered(y_pred)
        with keras.name_scope("labeled"):
            labels, logits = rows.labels_of_A(), rows.of_A(y_pred["logits"])
        classification = association.classification_loss(logits, labels, self.label_smoothing)
        with keras.name_scope("l2_loss"):
            l2_losses = (ops.sum(ops.cast(loss, "float32")) for loss in added)
            l2_loss = sum(l2_losses, start=ops.zeros([], "float32"))
        with keras.name_scope("metrics"):
            count = ops.cast(ops.shape(labels)[0], "float32")
            self.means["classification_loss"].update_state(classification, count)
            self.means["l2_loss"].update_state(l2_loss)
        weights = self.loss_weights_now()
        if not training:
            return (weights["logit_weight"] * classification + l2_loss) / distribution.replicas()

        walker, visit, pseudo_label = self._walk(rows, labels, y_pred)
        with keras.name_scope("total_loss"):
            paper_weights = {name: weights[name] for name in _PAPER_WEIGHTS}
            total = association.total_loss(walker, visit, classification, **paper_weights)
            total += weights["pseudo_label_weight"] * pseudo_label + weights["vat_weight"] * vat
            return (total + l2_loss) / distribution.replicas()

    def compute_metrics(
        self, x: Tensor, y: Tensor, y_pred: dict[str, Tensor], sample_weight: Tensor = None
    ) -> dict[str, Tensor]:
        rows = self._rows(y, y_pred, sample_weight)
        with keras.name_scope("metrics"):
            labels, logits = rows.labels_of_A(), rows.of_A(y_pred["logits"])
            wrong = ops.not_equal(ops.argmax(logits, axis=1), ops.cast(labels, "int32"))
            self.means["error"].update_state(100.0 * ops.cast(wrong, "float32"))
            return super().compute_metrics(x, labels, logits, sample_weight)

    def loss_weights_now(self) -> dict[str, Tensor]:
        """The weight of each loss by its argument's name, scalars, at the optimizer's step.

        Raises:
            InputError: the model has no optimizer yet.
        """
        if getattr(self, "optimizer", None) is None:
            raise InputError(
                "the weights of the losses depend on the optimizer's step; call compile(optimizer) "
                "first"
            )
        step = self.optimizer.iterations
        return {name: self._weight_at(name, step) for name in self.loss_schedules}

    def _weight_at(self, name: str, step: Tensor) -> Tensor:
        try:
            return ops.cast(self.loss_schedules[name](step), "float32")
        except tf.errors.OperatorNotAllowedInGraphError:
            raise InputError(
                f"`{name}` has a Python `if` over the training step, which a graph can't have; use "
                "keras.ops.where, or semisup.Envelope"
            ) from None
        except (TypeError, AttributeError, NotImplementedError) as error:
            raise InputError(
                f"`{name}` can't be computed from the training step, an integer of the graph "
                f"({first_line(error)}); use keras.ops, or semisup.Envelope"
            ) from None

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "network": serialize(self.network),
            **{name: serialize(schedule) for name, schedule in self.loss_schedules.items()},
            **{name: getattr(self, name) for name in _SETTINGS},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "AssociativeModel":
        if "temperature" not in config:  # of an earlier version
            if config["similarity"] == "cosine":
                raise InputError(
                    "this model was saved by semisup 0.1, whose classifier took embeddings of any "
                    "length with `similarity=cosine`; load it with that version, or train again"
                )
            config = {**config, "temperature": 1.0}
        serialized = {name: config[name] for name in _SERIALIZED if name in config}
        objects = keras.saving.deserialize_keras_object(serialized, custom_objects=custom_objects)
        return cls(**{**config, **objects})

    def _rows(self, y: Tensor, y_pred: dict[str, Tensor], sample_weight: Tensor) -> BatchRows:
        """The rows of a batch; InputError if Keras was given what this model has no use for."""
        if sample_weight is not None:
            raise InputError(
                "AssociativeModel takes no sample weights or class weights; leave them out, and "
                "let batches have each class as often as it is to count, as those of "
                "`association_batches` do"
            )
        given = getattr(getattr(self, "_compile_config", None), "config", {})
        if getattr(self, "loss", None) is not None or given.get("loss_weights") is not None:
            raise InputError(
                "AssociativeModel has its own losses: leave out `loss` and `loss_weights` in "
                "compile() and set `walker_weight`, `visit_weight` and `logit_weight` in the "
                "constructor"
            )
        if isinstance(y, BatchRows):
            return y
        with self.errors_in_one_line():
            return batch_rows.find(checked_labels(y, self.num_classes, y_pred["logits"]))

    def _walk(
        self, rows: BatchRows, labels: Tensor, outputs: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor | float]:
        """The losses on the walk A -> B -> A, before weighting; updates its metrics.

        Args:
            rows: where A and B are.
            labels: classes of A [N].
            outputs: what `call` returned.

        Returns:
            Walker loss, visit loss and pseudo-label loss; 0 if A or B has no rows.
        """
        with keras.name_scope("walk"):
            A, B = rows.of_A(outputs["embedding"]), rows.of_B(outputs["embedding"])
        # XLA has no operation that the blocks need.
        walked, block_size = rows.has_both(), blockwise.block_size_for(*rows.sizes)
        block_size = 0 if self.jit_compile else block_size
        if self.virtual_embeddings:
            A = ops.concatenate([A, self.virtual])
            own_classes = self.num_classes + ops.arange(self.virtual_embeddings)
            labels = ops.concatenate([labels, ops.cast(own_classes, labels.dtype)])
        losses = association.association_losses(
            A, B, labels, self.similarity, self.temperature, block_size=block_size
        )
        with keras.name_scope("metrics"):
            for name, value in zip(_WALK_METRICS, losses, strict=True):
                self.means[name].update_state(value, walked)
        pseudo_label = 0.0
        if self.uses_pseudo_labels:
            mass = pseudo_labels.class_mass(
                *(A, B, labels, self.num_classes, self.similarity, self.temperature),
                block_size=block_size,
            )
            logits_of_B = rows.of_B(outputs["logits"])
            pseudo_label = walked * pseudo_labels.pseudo_label_loss(logits_of_B, mass)
            with keras.name_scope("metrics"):
                self.means["pseudo_label_loss"].update_state(pseudo_label, walked)
        return walked * losses.walker, walked * losses.visit, pseudo_label

    def _virtual_adversarial(
        self, x: Tensor, rows: BatchRows, outputs: dict[str, Tensor]
    ) -> Tensor:
        """The loss of virtual adversarial training over B, before weighting; updates its metric.

        Args:
            x: the images of this replica, or (images, labels).
            rows: where A and B are in them.
            outputs: what `call` returned.

        Returns:
            float32 scalar, the mean over B (of all replicas if they share a walk); 0 without B.
        """
        B, counts = rows.B_or_all()
        images = ops.take(x[0] if isinstance(x, tuple) else x, B, axis=0)
        # Its `value` is missing where gradients are accumulated.
        step = ops.convert_to_tensor(self.optimizer.iterations)
        with keras.name_scope("vat"):
            losses = counts * virtual_adversarial.vat_losses(
                lambda changed: self(changed, training=True)["logits"],
                images,
                ops.take(outputs["logits"], B, axis=0),
                self.vat_epsilon,
                step,
            )
            if self.association_scope == "global":
                losses, counts = distribution.gathered((losses, counts))
            count = ops.sum(counts)
            vat = ops.sum(losses) / ops.maximum(count, 1.0)
        with keras.name_scope("metrics"):
            self.means["vat_loss"].update_state(vat, count)
        return vat

    def _can_be_nonzero(self, weight: str) -> bool:
        """Whether a weight is not always 0; known when the graph is made, so 0 takes no time."""
        return getattr(self.loss_schedules[weight], "final_weight", None) != 0

    def _embed(self, images: Tensor, training: bool | None) -> Tensor:
        """The network's embeddings of images [batch, ...]."""
        if images.dtype == "uint8" and getattr(self.network, "inputs", None) is None:
            # Keras brings bytes to floats only for networks that know their inputs.
            with suppress(TypeError, ValueError, tf.errors.OpError):  # it may do so itself
                return one_tensor(self.network(images, training=training))
            images = ops.cast(images, "float32")
        return one_tensor(self.network(images, training=training))

    def _embed_apart(self, images: Tensor, labels: Tensor, training: bool | None) -> Tensor:
        """Embeddings in the batch's order, A and B each passed through the network alone."""
        rows = batch_rows.find(labels, self.labeled_first)

        def apart() -> Tensor:
            A, B = (self._embed(of_kind(images), training) for of_kind in (rows.of_A, rows.of_B))
            return rows.in_order(A, B)

        if rows.are_known():
            return apart()
        # Batch norm over no images would be NaN for good.
        return ops.cond(rows.has_both() > 0, apart, lambda: self._embed(images, training))

    def _check_compiler(self) -> None:
        """Raise InputError if XLA can't compile the model, for batches whose rows are searched."""
        if self.jit_compile and not self.run_eagerly:
            for name in ("virtual_embeddings", "separate_batches"):
                if getattr(self, name):
                    raise InputError(
                        f"`jit_compile=True` with `{name}` needs batches that begin with the "
                        "labelled images, as those of `association_batches` do on one device"
                    )

    def _check_added_losses(self, rows: BatchRows) -> None:
        """Raise InputError if losses of the batch can't leave the branch of `_embed_apart`."""
        of_weights = [w for w in self.network.trainable_weights if w.regularizer is not None]
        if not rows.are_known() and len(self.network.losses) > len(of_weights):
            raise InputError(
                "`separate_batches` with a network that adds losses of the batch "
                "(`activity_regularizer`, `add_loss`) needs batches that begin with the "
                "labelled images, as those of `association_batches` do on one device"
            )


def _check_network(network: Any) -> None:
    if not isinstance(network, keras.Model):
        raise InputError(
            f"`network` must be a Keras model from images to embeddings, but is {network!r}"
        )


def _loss_schedules(weights: Mapping[str, Schedule]) -> Mapping[str, Callable[[Any], Any]]:
    """Each weight as a function of the step; read-only, since traced graphs would not notice."""
    return MappingProxyType(
        {
            name: weight if callable(weight) else schedules.Envelope(_weight(name, weight))
            for name, weight in weights.items()
        }
    )


def _weight(name: str, value: Any) -> float:
    """A weight that is the same at each step; a variable's later values would be passed over."""
    weight = _number(name, value, "a number, or a function of the training step")
    if not weight >= 0:
        raise InputError(f"`{name}` is {weight:g}; it must be at least 0")
    return weight


def _number(name: str, value: Any, wanted: str = "a number") -> float:
    if not isinstance(value, numbers.Real):
        raise InputError(f"`{name}` is {value!r}; it must be {wanted}")
    return float(value)


def _of_evaluation(results: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in results.items() if name not in _OF_TRAINING}


def _means(with_pseudo_labels: bool, with_vat: bool) -> dict[str, keras.metrics.Mean]:
    """The model's metrics by name, in the order in which they are reported."""
    names = ["classification_loss", "l2_loss", "error", *_WALK_METRICS]
    if with_pseudo_labels:
        names.append("pseudo_label_loss")
    if with_vat:
        names.append("vat_loss")
    kinds = {"error": _MeanOfSome}
    # float32 whatever Keras's floatx is: float16 can't count beyond 2,048.
    return {name: kinds.get(name, keras.metrics.Mean)(name, dtype="float32") for name in names}


class _MeanOfSome(keras.metrics.Mean):
    """A mean that is NaN, not 0, of nothing."""

    def result(self) -> Tensor:
        return ops.divide(self.total, self.count)
