"""What the settings of a recipe stand for."""

import dataclasses

from absl import logging

from semisup.config import ALWAYS, IMAGENET, NO_WEIGHTS, Recipe, names_a_path
from semisup.data import registry
from semisup.losses import checks
from semisup.models import backbones
from semisup.runs.directory import RunDirectory
from semisup.runtime import precision

# Largest learning rates where the recipe has none: for small digits, and for all else.
_LEARNING_RATES, _LEARNING_RATE = {"mnist_model": 3e-3}, 1e-3


def with_defaults(recipe: Recipe) -> Recipe:
    """The recipe with the precision, similarity, temperature and rate that it stands for here.

    Similarity and temperature are those of the run of `init_from`, if it is there. A run records
    what was chosen, since another machine or version may choose otherwise.
    """
    network = recipe.architecture
    on_digits = registry.augmentation_of(recipe.dataset) == "digits"
    suited = "dot" if network == "mnist_model" and on_digits else "cosine"
    similarity, temperature = recipe.similarity or suited, recipe.temperature
    theirs = _similarity_of_first_weights(recipe)
    if theirs and recipe.similarity in (None, theirs[0]):  # as its classifier has learned
        similarity, temperature = theirs[0], temperature or theirs[1]
    return dataclasses.replace(
        recipe,
        precision=precision.resolve(recipe.precision),
        similarity=similarity,
        temperature=temperature or checks.DEFAULT_TEMPERATURE[similarity],
        learning_rate=recipe.learning_rate or _LEARNING_RATES.get(network, _LEARNING_RATE),
    )


def _similarity_of_first_weights(recipe: Recipe) -> tuple[str, float] | None:
    """Similarity and temperature of the run of `init_from`; None if they are not on record."""
    if not recipe.init_from:
        return None
    begun = RunDirectory(recipe.init_from).read_defaults()
    similarity, temperature = begun.get("similarity"), begun.get("temperature")
    if similarity not in checks.DEFAULT_TEMPERATURE or not isinstance(temperature, int | float):
        return None
    return str(similarity), float(temperature)


def compare_similarity(recipe: Recipe) -> None:
    """Warn if the classifier of `init_from` has learned on embeddings of another kind."""
    theirs = _similarity_of_first_weights(recipe)
    if theirs and recipe.similarity not in (None, theirs[0]):
        logging.warning(
            f"`similarity={recipe.similarity}`, but the run in {recipe.init_from} has {theirs[0]}, "
            "on which its classifier was trained"
        )


def warn_of_random_backbone(recipe: Recipe) -> None:
    """Warn if what lies below the trained layers is frozen before it has learned anything."""
    saved = names_a_path("architecture", recipe.architecture)
    begun = recipe.init_from or first_weights_of(recipe) != NO_WEIGHTS
    if recipe.frozen_steps == 0 or saved or begun:
        return
    steps = recipe.frozen_steps
    always = steps >= recipe.max_steps
    frozen = "stays frozen" if always else f"is frozen for the first {steps:,} steps"
    logging.warning(
        f"{recipe.architecture} {frozen} with random weights, so its features mean little; give "
        "pretrained ones by `weights` (of keras:NAME), or train it (`freeze_steps=0`)"
    )


def uses_features(recipe: Recipe) -> bool:
    """Whether each image passes the backbone once: it stays frozen, and images do not change."""
    return backbone_stays_frozen(recipe) and recipe.augmentation == "none"


def backbone_stays_frozen(recipe: Recipe) -> bool:
    """Whether the recipe has a pretrained network whose weights never change."""
    return recipe.freeze_steps == ALWAYS and backbones.is_backbone(recipe.architecture)


def first_weights_of(recipe: Recipe) -> str:
    """The initial weights of a network of keras.applications; a frozen one needs trained ones."""
    if recipe.weights is not None:
        return recipe.weights
    of_keras = recipe.architecture.startswith(backbones.PREFIX)
    pretrained = backbone_stays_frozen(recipe) and of_keras
    return IMAGENET if pretrained else NO_WEIGHTS


def emb_size(recipe: Recipe) -> int | None:
    """The size of the embedding; None for the architecture's. A frozen backbone needs a layer."""
    return recipe.emb_size or (backbones.EMB_SIZE if backbone_stays_frozen(recipe) else None)


def as_authors(recipe: Recipe) -> bool:
    """Whether the recipe keeps to what the authors' code does otherwise than this package."""
    return recipe.compat == "authors"
