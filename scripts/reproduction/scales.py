"""How long the runs of a table are: as the recipe says, a tenth of it, or a trial."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from semisup.config import Recipe

# Seeds of each cell where --seeds does not say: the paper's ten.
SEEDS = {"full": 10, "short": 3, "smoke": 1}

# The counts of steps that make a schedule; --eval_interval is none of them.
_COUNTS_OF_STEPS = (
    "max_steps",
    "decay_steps",
    "walker_weight_envelope_steps",
    "walker_weight_envelope_delay",
    "visit_weight_envelope_steps",
    "visit_weight_envelope_delay",
    "pseudo_label_weight_steps",
    "pseudo_label_weight_delay",
    "freeze_steps",
)

_SMOKE: dict[str, Any] = {
    "max_steps": 20,
    "eval_interval": 10,
    "sup_per_batch": 2,
    "unsup_batch_size": 20,
    "walker_weight_envelope_delay": 0,
}


def scaled(recipe: Recipe, scale: str) -> Recipe:
    """The recipe at a scale.

    Args:
        recipe: the settings.
        scale: "full" changes nothing; "short" divides every count of steps by ten, so that
            the learning rate keeps its course; "smoke" takes 20 small steps, to see that
            everything works.
    """
    if scale == "short":
        return _multiplied(recipe, (*_COUNTS_OF_STEPS, "eval_interval"), 1, 10)
    return dataclasses.replace(recipe, **(_SMOKE if scale == "smoke" else {}))


def stretched(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with so many steps, and all of its schedule stretched to these."""
    return _multiplied(recipe, _COUNTS_OF_STEPS, steps, recipe.max_steps)


def _multiplied(recipe: Recipe, names: Sequence[str], by: int, over: int) -> Recipe:
    """With these counts times `by / over`, at least 1; those that stand for something else stay."""
    counts = {name: getattr(recipe, name) for name in names}
    changes = {name: max(n * by // over, 1) for name, n in counts.items() if n > 0}
    return dataclasses.replace(recipe, **changes)
