"""The settings of a recipe as command-line flags."""

import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Any

from absl import flags

from semisup import recipes
from semisup.config import Recipe
from semisup.errors import InputError
from semisup.runtime.paths import expanded

_DEFINE: dict[type, Callable[..., Any]] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


_OF_THE_SPLIT = {
    *("sup_per_class", "unsup_samples", "sup_seed", "fold", "exclude_labeled", "remove_classes")
}


def define_recipe_flags() -> None:
    """Define --recipe, and a flag for each setting of a recipe."""
    flags.DEFINE_string(
        "recipe",
        recipes.DEFAULT_RECIPE,
        f"the experiment, which sets all other flags: {', '.join(recipes.RECIPES)}. A flag that "
        "is given overrides it; the defaults shown below are those of "
        f"{recipes.DEFAULT_RECIPE}",
    )
    default = recipes.RECIPES[recipes.DEFAULT_RECIPE]
    kinds = typing.get_type_hints(Recipe)
    for field in dataclasses.fields(Recipe):
        define = _DEFINE[_without_none(kinds[field.name])]
        define(field.name, getattr(default, field.name), field.metadata["help"])


def recipe_from_flags() -> Recipe:
    """The recipe that --recipe names, with the flags that were given.

    Raises:
        InputError: there is no such recipe, a setting is outside its range, or one is given
            that --split_file decides.
    """
    given = given_settings()
    if given.get("split_file") and (both := sorted(_OF_THE_SPLIT & given.keys())):
        raise InputError(f"`split_file` says which images are labelled; leave out `{both[0]}`")
    if "teacher_share" in given and not given.get("teacher"):
        raise InputError("`teacher_share` is given, but no teacher; add `teacher=DIR`")
    return recipes.get(flags.FLAGS.recipe, **given)


def given_settings() -> dict[str, Any]:
    """The settings whose flags were given, by name."""
    given = {
        field.name: getattr(flags.FLAGS, field.name)
        for field in dataclasses.fields(Recipe)
        if flags.FLAGS[field.name].present
    }
    for name in ("data_dir", "target_data_dir", "split_file", "init_from", "teacher"):
        if given.get(name) == "":  # of a variable that was not set, say
            raise InputError(f"`{name}` is empty; it must name a place, or be left out")
        if given.get(name):
            # The evaluator may run in another folder.
            given[name] = str(expanded(given[name]).resolve())
    if given.get("architecture", "").endswith(".keras"):
        given["architecture"] = str(expanded(given["architecture"]).resolve())
    if given.get("weights") not in (None, "none", "imagenet"):
        given["weights"] = str(expanded(given["weights"]).resolve())
    return given


def _without_none(kind: Any) -> type:
    """`int` for `int | None`."""
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in typing.get_args(kind) if part is not types.NoneType)
    return kind
