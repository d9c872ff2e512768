"""The settings of a recipe as command-line flags."""

import dataclasses
import secrets
from collections.abc import Callable
from typing import Any

from absl import flags

from semisup import recipes
from semisup.cli import authors
from semisup.cli.app import refuse_empty, with_flags
from semisup.config import GROUPS, LABELS_ONLY, PATHS, Recipe, names_a_path, setting_types
from semisup.errors import InputError
from semisup.runs.directory import RunDirectory
from semisup.runtime.paths import real

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
        f"{recipes.DEFAULT_RECIPE}. If --dataset or --architecture is given without --recipe, the "
        f"run takes {Recipe().max_steps} steps with Adam",
        module_name="Run",
    )
    default = recipes.RECIPES[recipes.DEFAULT_RECIPE]
    kinds, group = setting_types(), ""
    begins = {first: group for group, first in GROUPS.items()}
    for field in dataclasses.fields(Recipe):
        group = begins.get(field.name, group)
        define = next(_DEFINE[kind] for kind in kinds[field.name] if kind in _DEFINE)
        value, text = getattr(default, field.name), field.metadata["help"]
        define(field.name, value, text, module_name=group)


def recipe_from_flags(logdir: str | None = None, one_run: bool = True) -> Recipe:
    """The recipe that --recipe or --compat=authors names, with the flags that were given.

    Prints a line about flags that have no effect, or another one than it may seem, and about a loss
    whose weight stays 0 to the end.

    Args:
        logdir: the folder of a run that may go on: of one whose `sup_seed` was drawn, the same
            one is taken.
        one_run: whether the recipe is of one run, in one process; only then may `sup_seed` be
            drawn.

    Raises:
        InputError: there is no such recipe, a setting is outside its range, or one is given
            that --split_file decides.
    """
    given = given_settings()
    if given.get("split_file") and (both := sorted(_OF_THE_SPLIT & given.keys())):
        raise InputError(f"`split_file` says which images are labelled; leave out `{both[0]}`")
    if "teacher_share" in given and not given.get("teacher"):
        raise InputError("`teacher_share` is given without a teacher; add `teacher=DIR`")
    meant = authors.is_meant(given)
    lines = authors.notes(given, meant)
    if meant:
        base, settings = Recipe(), authors.with_their_meaning(given)
    else:
        base, settings = _base(given), dict(given)
    lines += _without_idle_delays(base, settings)
    if settings.get("split_file"):
        settings.pop("sup_seed", None)  # the file says which images are labelled
    if settings.get("sup_seed") == -1:
        settings["sup_seed"] = _drawn_seed(logdir, one_run)
        seed = settings["sup_seed"]
        lines.append(
            f"`sup_seed=-1`: the seed {seed} was drawn; `sup_seed={seed}` labels the same images"
        )
    recipe = recipes.changed(base, **settings)
    for line in (*lines, *_without_effect(recipe, given), *_too_late(recipe)):
        print(with_flags(line))
    return recipe


def _base(given: dict[str, Any]) -> Recipe:
    """The recipe to change: the named one; the default one is for its own images and network."""
    if not flags.FLAGS["recipe"].present and {"dataset", "architecture"} & given.keys():
        return Recipe()
    return recipes.named(flags.FLAGS.recipe)


def name_of_run() -> str:
    """What the folder of a run without --logdir is named after."""
    given = given_settings()
    if authors.is_meant(given):
        return authors.COMPAT
    base = _base(given)
    if base == Recipe():  # of no recipe
        return str(given.get("dataset", base.dataset)).replace(":", "_").replace("/", "_")
    return str(flags.FLAGS.recipe)


def _without_idle_delays(base: Recipe, settings: dict[str, Any]) -> list[str]:
    """Strike delays of envelopes that there are not; returns a line for each."""
    names = ("walker_weight_envelope", "visit_weight_envelope")
    delays = {name: f"{name}_delay" for name in names}
    now = {n: settings.get(n, getattr(base, n)) for n in (*names, *delays.values())}
    walker, visit = now[names[0]], now[names[1]] or now[names[0]]
    lines = []
    for name, kind in zip(names, (walker, visit), strict=True):
        delay = delays[name]
        if kind != "none" or now[delay] <= 0:
            continue
        if name == names[0] and visit != "none":
            if now[delays[names[1]]] == -1:  # the visit loss follows it
                settings[delays[names[1]]] = now[delay]
        else:
            lines.append(
                f"`{delay}={now[delay]}` has no effect: there is no envelope to delay; add "
                f"`{name}=linear`"
            )
        settings[delay] = 0
    return lines


def _without_effect(recipe: Recipe, given: dict[str, Any]) -> list[str]:
    """A line for each setting that was given and that the other settings leave without effect."""
    cosine = recipe.learning_rate_schedule == "cosine"
    walker, visit = (recipe.envelope(loss)[0] for loss in ("walker", "visit"))
    on_cosine = "the learning rate follows a cosine; add `learning_rate_schedule=step`"
    no_envelope = "there is no envelope; add `{}_weight_envelope=linear`"
    without_weight = "`pseudo_label_weight` is 0"
    of_folders = (
        recipe.dataset != "folder" != recipe.target_dataset and "it is for `dataset=folder`"
    )
    unused = not recipe.associates and "no loss is on a batch of unlabelled images"
    reasons: dict[str, Any] = {
        "skip_unreadable": of_folders,
        "max_megapixels": of_folders,
        "unsup_batch_size": unused,
        "separate_batches": unused,
        "decay_steps": cosine and on_cosine,
        "decay_factor": cosine and on_cosine,
        "warmup_share": not cosine and "it is for `learning_rate_schedule=cosine`",
        "walker_weight_envelope_steps": walker == visit == "none" and no_envelope.format("walker"),
        "visit_weight_envelope_steps": visit == "none" and no_envelope.format("visit"),
        "pseudo_label_weight_delay": recipe.pseudo_label_weight == 0 and without_weight,
        "pseudo_label_weight_steps": recipe.pseudo_label_weight == 0 and without_weight,
        "vat_epsilon": recipe.vat_weight == 0 and "`vat_weight` is 0",
    }
    if given.get("unsup_samples") == 0:
        weights = {name: given.get(name, 0) > 0 for name in LABELS_ONLY}
        reasons |= {name: more and "`unsup_samples` is 0" for name, more in weights.items()}
    idle = {name: why for name, why in reasons.items() if why and name in given}
    return [f"`{name}` has no effect: {why}" for name, why in idle.items()]


def _too_late(recipe: Recipe) -> list[str]:
    """A line for each loss whose weight stays 0, since its ramp begins after the last step."""
    delays = {
        "pseudo_label_weight": ("pseudo_label_weight_delay", recipe.pseudo_label_weight_delay)
    }
    for loss in ("walker", "visit"):
        kind, _, delay = recipe.envelope(loss)
        name = f"{loss}_weight"
        own = loss == "walker" or recipe.visit_weight_envelope_delay != -1
        setting = f"{name if own else 'walker_weight'}_envelope_delay"
        delays[name] = (setting, delay if kind != "none" else 0)
    return [
        f"`{name}` has no effect: its ramp begins after step {delay:,}, but there are "
        f"{recipe.max_steps:,} steps; change `{setting}` or `max_steps`"
        for name, (setting, delay) in delays.items()
        if getattr(recipe, name) > 0 and delay >= recipe.max_steps
    ]


def _drawn_seed(logdir: str | None, one_run: bool) -> int:
    """A random seed, or the one that the run in `logdir` has drawn."""
    if not one_run:
        raise InputError(
            "`sup_seed=-1` draws a random seed, but several runs or processes need the same seed; "
            "give one, such as `sup_seed=0`"
        )
    if logdir and (run := RunDirectory(logdir)).recipe.exists():
        return run.read_recipe().sup_seed
    return secrets.randbelow(2**31)


def given_settings() -> dict[str, Any]:
    """The settings whose flags were given, by name, in our words."""
    given = {
        field.name: getattr(flags.FLAGS, field.name)
        for field in dataclasses.fields(Recipe)
        if flags.FLAGS[field.name].present
    }
    refuse_empty(*PATHS, "weights")
    # The evaluator may run in another folder.
    given |= {name: str(real(value)) for name, value in given.items() if names_a_path(name, value)}
    return authors.in_our_words(given)
