"""What a recipe must not have for a comparison, and what its reader must know."""

from semisup import experiment
from semisup.config import Recipe
from semisup.data.augmentation import LABELED_ONLY
from semisup.errors import InputError


def refuse_ignored(recipe: Recipe, search: bool) -> None:
    """Raise InputError if a setting would be ignored.

    Args:
        recipe: the settings.
        search: whether parameters are chosen on held-out images first.
    """
    frozen = experiment.uses_features(recipe)
    if recipe.freeze_steps and not frozen:
        raise InputError(
            "--freeze_steps is here for a pretrained network (keras:NAME, PATH.keras) and images "
            "that are not augmented; else the whole network would be trained; leave out "
            "--freeze_steps or --augmentation"
        )
    if recipe.cluster_share > 0 and not frozen:
        raise InputError(
            "--cluster_share needs a pretrained network that stays frozen; leave it out"
        )
    if recipe.fold >= 0 and search:
        raise InputError(
            "--fold can't be given with --search, whose held-out images are of all folds"
        )


def views_differ(recipe: Recipe) -> bool:
    """Whether two views of an unlabelled image differ."""
    return recipe.augmentation not in ("none", *LABELED_ONLY) or recipe.dropout > 0
