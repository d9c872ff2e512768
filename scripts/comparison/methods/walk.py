"""Association: the walk A -> B -> A of semisup itself."""

from dataclasses import dataclass
from typing import Any

from comparison.method import Method


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

    def change(self, config: dict[str, Any]) -> None:
        for name, factor in (("visit_weight", self.visit), ("walker_weight", self.walker)):
            config[name]["config"]["final_weight"] *= factor

    def loss(self, model: Any, batch: Any) -> float:
        return 0.0
