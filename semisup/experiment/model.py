"""The model of a recipe, with its initial weights and its optimizer."""

from typing import Any

import keras
import tensorflow as tf
from absl import logging

from semisup.config import ALWAYS, Recipe
from semisup.data.dataset import Dataset
from semisup.errors import InputError, reason
from semisup.experiment import settings
from semisup.models import architectures, backbones, weights
from semisup.models.associative_model import AssociativeModel
from semisup.optimizers import Muon, freezing, schedules
from semisup.runs.directory import RunDirectory
from semisup.runtime import precision

# Adam's, where Keras has 1e-7.
_EPSILON_OF_TENSORFLOW_1 = 1e-8


def build_model(
    recipe: Recipe, dataset: Dataset, backbone: backbones.Backbone | None = None
) -> AssociativeModel:
    """The recipe's model, compiled, with the initial weights that its seed gives.

    Args:
        recipe: the settings.
        dataset: for the shape of its images and its classes.
        backbone: to make a model of the features of this one, not of the images.

    Raises:
        InputError: its network is unknown, does not fit the images, or not into the memory.
    """
    try:
        return _build_model(settings.with_defaults(recipe), dataset, backbone)
    except tf.errors.ResourceExhaustedError as error:
        raise InputError(
            f"the model does not fit into the memory: {reason(error)}; try a smaller `emb_size`, "
            "`new_size` or `architecture`"
        ) from None


def _build_model(
    recipe: Recipe, dataset: Dataset, backbone: backbones.Backbone | None
) -> AssociativeModel:
    keras.utils.set_random_seed(recipe.seed)
    if backbone:
        network = keras.models.clone_model(backbone.head)
    else:
        with precision.policy(recipe.precision):
            network = architectures.build(
                **_of_network(recipe, dataset), batch_norm_decay=recipe.batch_norm_decay
            )
    if recipe.l2_weight and not network.losses:
        raise InputError(
            f"`l2_weight={recipe.l2_weight}` reaches no layer of {recipe.architecture}; "
            "`l2_weight=0` leaves it out, `emb_size=N` adds a dense layer on top, which it reaches"
        )
    model = make_model(recipe, network, dataset.num_classes)
    model.compile(_optimizer(recipe, model, late_by=0 if backbone else recipe.frozen_steps))
    model.optimizer.build(model.trainable_variables)
    if recipe.init_from:
        _load_weights(recipe, RunDirectory(recipe.init_from), model, backbone)
    return model


def warn_of_untrainable(recipe: Recipe, network: keras.Model) -> None:
    """Log a warning if layers were saved as not trainable, since they will not be trained."""
    if recipe.freeze_steps == ALWAYS:
        return
    layers = [layer for layer in network._flatten_layers() if not isinstance(layer, keras.Model)]
    with_weights = [layer for layer in layers if layer.weights]
    fixed = [layer for layer in with_weights if not layer.trainable]
    if fixed:
        logging.warning(
            f"{len(fixed)} of the {len(with_weights)} layers with weights of {recipe.architecture} "
            "were saved with trainable=False, so they are not trained; to train them, save it with "
            "trainable=True"
        )


def _load_weights(
    recipe: Recipe, run: RunDirectory, model: AssociativeModel, backbone: backbones.Backbone | None
) -> None:
    """Give the model the weights of a run; an error names the run's network if it is another."""
    # With `select`, an unfinished run has the model of its best evaluation so far.
    if not run.model.is_file() or (run.has_checkpoint() and run.read_result() is None):
        raise InputError(
            f"there is no finished run in {run}; `init_from` must name the folder of one"
        )
    try:
        weights.load(model, run.model, backbone)
    except InputError as error:
        theirs = run.read_recipe() if run.recipe.is_file() else recipe
        if theirs.architecture == recipe.architecture:
            raise
        raise InputError(f"{error} (`architecture={theirs.architecture}`)") from None


def build_backbone(recipe: Recipe, dataset: Dataset) -> backbones.Backbone:
    """The pretrained network of a recipe that keeps it frozen, for the images of a data set."""
    architectures.check_batch_norm_decay(recipe.architecture, recipe.batch_norm_decay)
    keras.utils.set_random_seed(recipe.seed)
    with precision.policy(recipe.precision):
        return backbones.build(**_of_network(recipe, dataset))


def _of_network(recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    """The arguments that both functions `build` take, by name: they have them in another order."""
    return {
        "name": recipe.architecture,
        "image_shape": dataset.image_shape,
        "emb_size": settings.emb_size(recipe),
        "weights": settings.initial_weights(recipe),
        "l2_weight": recipe.l2_weight,
        "dropout": recipe.dropout,
    }


def make_model(recipe: Recipe, network: keras.Model, num_classes: int) -> AssociativeModel:
    """A model of a network with the losses of the recipe, not compiled."""
    assert recipe.similarity is not None  # `with_defaults`
    return AssociativeModel(
        network,
        num_classes,
        walker_weight=schedules.Envelope(recipe.walker_weight, *recipe.envelope("walker")),
        visit_weight=schedules.Envelope(recipe.visit_weight, *recipe.envelope("visit")),
        logit_weight=recipe.logit_weight,
        pseudo_label_weight=schedules.Envelope(
            recipe.pseudo_label_weight,
            kind="linear",
            steps=recipe.pseudo_label_weight_steps,
            delay=recipe.pseudo_label_weight_delay,
        ),
        vat_weight=recipe.vat_weight,
        vat_epsilon=recipe.vat_epsilon,
        similarity=recipe.similarity,
        temperature=recipe.temperature,
        label_smoothing=recipe.label_smoothing,
        virtual_embeddings=recipe.virtual_embeddings,
        separate_batches=recipe.separate_batches and recipe.associates,
        association_scope=recipe.association_scope,
    )


def _optimizer(recipe: Recipe, model: AssociativeModel, late_by: int) -> keras.optimizers.Optimizer:
    """The optimizer of a run; `late_by` is the step from which the backbone is trained, too."""
    options: dict[str, Any] = {"learning_rate": _learning_rate(recipe)}
    if recipe.ema:
        options |= {"use_ema": True, "ema_momentum": recipe.ema}
    if settings.as_authors(recipe):
        options["epsilon"] = _EPSILON_OF_TENSORFLOW_1
    if late_by:
        options |= {"late": freezing.late_variables(model), "late_by": late_by}
    if recipe.optimizer == "muon":
        return Muon(**options)
    return (freezing.LateAdam if late_by else keras.optimizers.Adam)(**options)


def _learning_rate(recipe: Recipe) -> keras.optimizers.schedules.LearningRateSchedule:
    rate, minimum = recipe.learning_rate, recipe.minimum_learning_rate
    assert rate is not None  # `with_defaults`
    if not settings.as_authors(recipe):  # whose rate rises to it
        minimum = min(minimum, rate)
    if recipe.learning_rate_schedule == "cosine":
        return schedules.cosine_with_warmup(
            rate, recipe.max_steps, int(recipe.warmup_share * recipe.max_steps), minimum
        )
    return schedules.StepDecay(rate, recipe.decay_steps, recipe.decay_factor, minimum)
