"""Command lines of the authors' code, haeusser/learning_by_association, as settings of ours.

Most of its flags are ours, too. Here are those that are not, the values that it spells otherwise
and the defaults of its `train.py`, which `--compat=authors` stands for.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from absl import flags

from semisup.config import Recipe, names_a_path
from semisup.data import registry
from semisup.errors import InputError
from semisup.runtime.paths import real

COMPAT = "authors"

# Of their flags in --help.
GROUP = "Authors' code"


class TheirFlag(NamedTuple):
    """A flag that only the authors' code has.

    Attributes:
        name: without the dashes.
        define: the absl function that defines it.
        default: its default there.
        instead: what takes its place here, as a sentence without its end.
    """

    name: str
    define: Callable[..., Any]
    default: Any
    instead: str


_DEVICES = "several processes train together by `strategy=multi_worker` and TF_CONFIG"
_EVAL_BATCH = TheirFlag(
    "eval_batch_size", flags.DEFINE_integer, 500, "all test images are evaluated, at any batch size"
)

ONLY_OF_TRAINING = (
    TheirFlag("max_checkpoints", flags.DEFINE_integer, 5, "the newest 3 checkpoints are kept"),
    TheirFlag(
        "keep_checkpoint_every_n_hours",
        flags.DEFINE_float,
        5.0,
        "the newest 3 checkpoints are kept",
    ),
    TheirFlag("save_interval_secs", flags.DEFINE_integer, 300, "use `save_interval=STEPS`"),
    TheirFlag("save_summaries_secs", flags.DEFINE_integer, 150, "use `log_interval=STEPS`"),
    TheirFlag("log_every_n_steps", flags.DEFINE_integer, 100, "it sets `log_interval`"),
    _EVAL_BATCH,
    TheirFlag(
        "eval_interval_secs",
        flags.DEFINE_integer,
        300,
        "the model is evaluated during training, every `eval_interval=STEPS`",
    ),
    TheirFlag(
        "target_dataset_split",
        flags.DEFINE_string,
        "unlabeled",
        "the target's unlabelled images are used, or its training images if it has no unlabelled "
        "ones",
    ),
    TheirFlag("master", flags.DEFINE_string, "", _DEVICES),
    TheirFlag("ps_tasks", flags.DEFINE_integer, 0, _DEVICES),
    TheirFlag("task", flags.DEFINE_integer, 0, _DEVICES),
)

ONLY_OF_EVALUATION = (
    _EVAL_BATCH,
    TheirFlag(
        "eval_interval_secs",
        flags.DEFINE_integer,
        300,
        "with `watch` each new checkpoint is evaluated as it comes, else only the newest",
    ),
    TheirFlag("master", flags.DEFINE_string, "", "evaluation runs in one process"),
)

# Of their eval.py. Here the run's record says them, so they can only agree with it.
_RECORDED = "it is read from the run's record"
OF_THE_RUN = (
    TheirFlag("dataset", flags.DEFINE_string, None, _RECORDED),
    TheirFlag("architecture", flags.DEFINE_string, None, _RECORDED),
    TheirFlag("new_size", flags.DEFINE_integer, None, _RECORDED),
    TheirFlag("emb_size", flags.DEFINE_integer, None, _RECORDED),
)

# A setting of ours, too, but only their command lines have had it.
_ALSO_THEIRS = "batch_norm_decay"

# Their names of the envelopes, beside ours.
ENVELOPES = {
    "None": "none",
    "lin": "linear",
    **dict.fromkeys(("sigmoidal", "log", "logistic"), "sigmoid"),
}
_BOOLEANS = {
    **dict.fromkeys(("true", "t", "1"), "true"),
    **dict.fromkeys(("false", "f", "0"), "false"),
}

# Their stl10_model is this one of ours, through which A and B pass apart, as through all of theirs.
NETWORKS = {"stl10_model": "stl10_batch_norm_model"}

# The defaults of their train.py, where they are not those of `Recipe`. They compute in float32 and
# evaluate by the clock; steps between evaluations are ours.
DEFAULTS: dict[str, Any] = {
    "compat": COMPAT,
    "dataset": "svhn",
    "architecture": "svhn_model",
    "emb_size": 128,
    "similarity": "dot",
    "sup_per_class": 100,
    "sup_seed": -1,
    "learning_rate": 1e-4,
    "learning_rate_schedule": "step",
    "decay_steps": 60_000,
    "visit_weight": 0.0,
    "walker_weight_envelope_delay": 3000,
    "visit_weight_envelope": "none",
    "max_steps": 100_000,
    "precision": "float32",
    "eval_interval": 500,
    "log_interval": 100,
}


def define_flags(only_theirs: tuple[TheirFlag, ...]) -> None:
    """Define the flags that only they have, so that a command line of theirs is understood."""
    for flag in only_theirs:
        instead = f"of the authors' code; here {flag.instead}"
        flag.define(flag.name, flag.default, instead, module_name=GROUP)


def given_flags(only_theirs: tuple[TheirFlag, ...]) -> list[TheirFlag]:
    """The flags of theirs that the command line has."""
    return [f for f in only_theirs if f.name in flags.FLAGS and flags.FLAGS[f.name].present]


def given_values(only_theirs: tuple[TheirFlag, ...]) -> dict[str, Any]:
    """The values of the flags of theirs that the command line has, by name."""
    return {flag.name: flags.FLAGS[flag.name].value for flag in given_flags(only_theirs)}


def is_meant(given: Mapping[str, Any]) -> bool:
    """Whether the command line is to mean what it means to the authors' code.

    It is if `compat` says so, or if it has a flag that only they have and nothing of ours says
    otherwise.

    Args:
        given: the settings whose flags were given.

    Raises:
        InputError: `compat` and a recipe are given.
    """
    by_recipe = flags.FLAGS["recipe"].present
    if given.get("compat") == COMPAT and by_recipe:
        raise InputError("`compat=authors` and `recipe` each set all other flags; give one")
    if "compat" in given or by_recipe:
        return given.get("compat") == COMPAT
    # With a network that only we have, it is our flag.
    with_ours = given.get("architecture") in NETWORKS.values()
    return bool(given_flags(ONLY_OF_TRAINING)) or (_ALSO_THEIRS in given and not with_ours)


def notes(given: Mapping[str, Any], meant: bool) -> list[str]:
    """A line for each of their flags that was given, and one that says how the rest is read.

    Raises:
        InputError: one of them asks for what is not to be had here.
    """
    only_theirs, values = given_flags(ONLY_OF_TRAINING), given_values(ONLY_OF_TRAINING)
    if (split := values.get("target_dataset_split", "train")) not in ("unlabeled", "train"):
        raise InputError(
            f"`target_dataset_split` is {split!r}; it must be unlabeled or train, since training "
            "on test images is not supported"
        )
    lines = []
    if meant and "compat" not in given:
        first = only_theirs[0].name if only_theirs else _ALSO_THEIRS
        lines.append(
            f"`{first}` is a flag of the authors' code, so all flags have the meaning that they "
            "have there, as with `compat=authors`; `compat=none` keeps our meaning "
            "(docs/migrating.md)"
        )
    if meant and _ALSO_THEIRS in given:
        network = _our_network(given.get("architecture", DEFAULTS["architecture"]))
        if not _has_batch_norm(network):
            lines.append(f"`{_ALSO_THEIRS}` has no effect: {network} has no batch norm")
    if meant and given.get("remove_classes") and given.get("virtual_embeddings"):
        lines.append(
            "`virtual_embeddings` with `remove_classes`: in the authors' code the vectors stand "
            "for the removed classes and are classified as such; here each is a class of its own"
        )
    if "log_every_n_steps" in values and flags.FLAGS["log_interval"].present:
        only_theirs = [flag for flag in only_theirs if flag.name != "log_every_n_steps"]
        if given["log_interval"] != values["log_every_n_steps"]:
            lines.append("`log_every_n_steps` has no effect: `log_interval` is given, too")
    return [*lines, *(f"`{flag.name}`: {flag.instead}" for flag in only_theirs)]


def notes_on_evaluation() -> list[str]:
    """A line for each of their flags that a command line of `semisup-eval` has."""
    only_theirs = given_flags(ONLY_OF_EVALUATION)
    return [f"`{flag.name}`: {flag.instead}" for flag in only_theirs]


def check_evaluation(given: Mapping[str, Any], recipe: Recipe) -> None:
    """Compare what a command line of their eval.py says of a run with what the run was.

    Args:
        given: what it says, by the names of `OF_THE_RUN`; its data set is the one that is
            evaluated on.
        recipe: the run's settings.

    Raises:
        InputError: it says something else.
    """
    for name, said in given.items():
        was = getattr(recipe, name)
        if name == "dataset":
            was = recipe.target_dataset or was
        elif names_a_path(name, said):
            said = str(real(said))
        elif name == "architecture" and recipe.compat == COMPAT:
            said = _our_network(said)
        if was is not None and said != was:
            raise InputError(
                f"`{name}` is {said!r}, but the run was trained and is evaluated with {was!r}; "
                f"leave out `{name}`, which is read from the run's record (to classify other "
                "images, use semisup-predict)"
            )


def in_our_words(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings given, with our names for what they call otherwise."""
    ours = dict(given)
    for name in ("walker_weight_envelope", "visit_weight_envelope"):
        if name in ours:
            ours[name] = ENVELOPES.get(ours[name], ours[name])
    if "augmentation" in ours:
        word = str(ours["augmentation"])
        ours["augmentation"] = _BOOLEANS.get(word.lower(), word)
    if any(flag.name == "log_every_n_steps" for flag in given_flags(ONLY_OF_TRAINING)):
        ours.setdefault("log_interval", flags.FLAGS.log_every_n_steps)
    return ours


def with_their_meaning(given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings that a command line of theirs stands for, as changes of `Recipe()`.

    Args:
        given: the settings whose flags were given, in our words.
    """
    settings = {**DEFAULTS, **given}
    network = settings["architecture"] = _our_network(settings["architecture"])
    if _has_batch_norm(network):
        settings.setdefault("separate_batches", True)
    else:
        settings.pop(_ALSO_THEIRS, None)
    if network == "vgg16_model_small" and "emb_size" not in given:
        del settings["emb_size"]  # it has one of its own
    if settings.get("augmentation") == "true":
        settings["augmentation"] = "inversion"
    return {**settings, **_envelopes(settings, given), **_places(settings)}


def _our_network(name: str) -> str:
    return NETWORKS.get(name, name)


def _has_batch_norm(our_network: str) -> bool:
    return our_network in NETWORKS.values()


def _places(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The folders of the data, out of one that has a folder for each set.

    In the authors' code they stand in a file, data_dirs.py.
    """
    data_dir, target = settings.get("data_dir"), settings.get("target_dataset")
    if data_dir is None:
        return {}
    places: dict[str, Any] = {"data_dir": registry.place_of(settings["dataset"], data_dir)}
    if target and "target_data_dir" not in settings:
        place = registry.place_of(target, data_dir)
        places["target_data_dir"] = None if place == data_dir else place
    return places


def _envelopes(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Steps and delays as the envelopes here count them.

    Their sigmoid counts the delay twice: it grows for steps + delay, after the delay.
    """
    walker = "walker_weight_envelope"
    changed: dict[str, Any] = {}
    for loss in ("walker", "visit"):
        envelope = f"{loss}_weight_envelope"
        steps, delay = (settings.get(f"{envelope}_{part}", -1) for part in ("steps", "delay"))
        if steps == -1:
            steps = settings.get(f"{walker}_steps", 100)
        if delay == -1:
            delay = settings[f"{walker}_delay"]
        kind = settings.get(envelope, "none")
        if kind != "none":
            changed[f"{envelope}_steps"] = steps + delay if kind == "sigmoid" else steps
            changed[f"{envelope}_delay"] = delay
        elif envelope == walker and f"{walker}_delay" not in given:
            changed[f"{walker}_delay"] = 0  # their default delays nothing
    return changed


def with_values(words: list[str]) -> list[str]:
    """The words of a command line, with a value for a bare `--augmentation` or `--noaugmentation`.

    It is a switch in the authors' code, and a name here, which may also be the next word.
    """
    values = []
    for i, word in enumerate(words):
        bare = word.lstrip("-")
        dashes = len(word) - len(bare)
        followed = i + 1 < len(words) and not words[i + 1].startswith("-")
        if dashes in (1, 2) and bare == "noaugmentation":
            word = "--augmentation=false"
        elif dashes in (1, 2) and bare == "augmentation" and not followed:
            word = "--augmentation=true"
        values.append(word)
    return values
