"""The methods by name."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from comparison.method import Method
from comparison.methods.adaptation import MMD, AdversarialDomains, Coral
from comparison.methods.adversarial import VirtualAdversarial
from comparison.methods.consistency import MeanTeacher, PiModel, Transformations
from comparison.methods.pseudo_labels import FixMatch, PseudoLabels
from comparison.methods.walk import Association
from semisup.errors import InputError

_LABELS_ONLY = "labels_only"

METHODS: dict[str, type[Method]] = {
    "association": Association,
    "pseudo_labels": PseudoLabels,
    "pi_model": PiModel,
    "mean_teacher": MeanTeacher,
    "transformations": Transformations,
    "vat": VirtualAdversarial,
    "fixmatch": FixMatch,
    "dann": AdversarialDomains,
    "mmd": MMD,
    "coral": Coral,
}


# Of methods, by their names: parameters by theirs.
Parameters = Mapping[str, Mapping[str, Any]]


def parts_of(name: str) -> list[str]:
    """The methods that a name such as "association+fixmatch" combines; none in "labels_only".

    Raises:
        InputError: one is unknown, or named twice, or they want different views.
    """
    parts = [] if name == _LABELS_ONLY else name.split("+")
    if _LABELS_ONLY in parts:
        raise InputError(f"--methods: {_LABELS_ONLY} stands alone, not in {name!r}")
    if len(set(parts)) < len(parts):
        raise InputError(f"--methods: {name!r} names a method twice")
    for part in parts:
        if part not in METHODS:
            known = ", ".join((_LABELS_ONLY, *METHODS))
            raise InputError(
                f"--methods: unknown {part!r}; known: {known}, and several joined by +"
            )
    if len({METHODS[part].view for part in parts} - {None}) > 1:
        raise InputError(
            f"--methods: {name!r} can't be combined: one wants a weak view and another a strong one"
        )
    return parts


def make(name: str, parameters: Parameters) -> list[Method]:
    """The methods that a name combines, each with its parameters where they are given."""
    return [METHODS[part](**parameters.get(part, {})) for part in parts_of(name)]


def parameters_of(name: str, parameters: Parameters) -> dict[str, dict[str, Any]]:
    """All parameters of the methods that `make` makes, for the record."""
    made = make(name, parameters)
    return dict(zip(parts_of(name), map(dataclasses.asdict, made), strict=True))
