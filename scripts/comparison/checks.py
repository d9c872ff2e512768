"""What a recipe must not have for a comparison, and what its reader must know."""

from collections.abc import Iterator, Sequence

from comparison.methods import METHODS
from comparison.methods.pseudo_labels import FixMatch
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


def notes(recipe: Recipe, parts: Sequence[str]) -> Iterator[str]:
    """Yield a line for each reason why methods would learn less here than they could."""
    alike = [part for part in parts if METHODS[part].view == "weak"]
    if alike and not views_differ(recipe):
        yield (
            f"--augmentation={recipe.augmentation} leaves unlabelled images as they are, so "
            "unless the network has dropout both views of one are the same, and these methods "
            "learn little or nothing from them: "
            f"{', '.join(alike)}"
        )
    if "fixmatch" in parts and FixMatch.threshold > 1.0 - recipe.label_smoothing:
        yield (
            f"--label_smoothing={recipe.label_smoothing:g} keeps predictions near or below the "
            "threshold of fixmatch, which then learns from few images; give --label_smoothing=0"
        )
    to_target = [part for part in parts if part in ("dann", "mmd", "coral")]
    if to_target and recipe.target_dataset is None:
        yield f"there is no target domain here, for which these are: {', '.join(to_target)}"


def views_differ(recipe: Recipe) -> bool:
    """Whether two views of an unlabelled image differ, unless the network has its own dropout."""
    return recipe.augmentation not in ("none", *LABELED_ONLY) or recipe.dropout > 0
