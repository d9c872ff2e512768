"""Association: the walk A -> B -> A of semisup itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from comparison.method import Method
from semisup.config import Recipe


@dataclass
class Association(Method):
    """Walker and visit loss with the recipe's weights, which `AssociativeModel` adds itself.

    Args:
        visit: factor of the recipe's visit weight.
        walker: factor of the recipe's walker weight.
    """

    visit: float = 1.0
    walker: float = 1.0

    paper = "Haeusser, Mordvintsev, Cremers, Learning by Association, 2017"
    search = ({"visit": 0.3}, {"visit": 3.0})

    def settings(self, recipe: Recipe) -> Mapping[str, Any]:
        return {
            "visit_weight": self.visit * recipe.visit_weight,
            "walker_weight": self.walker * recipe.walker_weight,
        }

    def loss(self, model: Any, batch: Any) -> float:
        return 0.0
