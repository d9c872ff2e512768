"""The settings of a run: one dataclass, from the command line down to the record of the run.

Where the concept is the authors', a setting has the name of their flag. Nothing heavy is
imported here.
"""

import dataclasses
import functools
import math
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semisup.data import registry
from semisup.errors import InputError, check_bounds, check_known

# The value of `freeze_steps` for all steps.
ALWAYS = -1

# Of `weights`, where they are not the name of a file: random ones, and those that Keras downloads.
NO_WEIGHTS, IMAGENET = "none", "imagenet"

# Of `architecture`, where it is the file of a saved Keras model.
SAVED_MODEL = ".keras"

# Settings that name a file or folder, if they are given.
PATHS = ("data_dir", "target_data_dir", "split_file", "init_from", "teacher")

# The weights of the losses on unlabelled images.
_UNLABELED_LOSSES = ("walker_weight", "visit_weight", "pseudo_label_weight", "vat_weight")

# Settings with which no unlabelled image is used.
LABELS_ONLY: dict[str, Any] = {**dict.fromkeys(_UNLABELED_LOSSES, 0.0), "cluster_share": 0.0}

# The groups that `Recipe`'s fields stand in, each with the first of its fields.
GROUPS = {
    "Data": "dataset",
    "Network": "architecture",
    "Losses": "similarity",
    "Training": "optimizer",
    "Record": "eval_interval",
}

# What association is compared with: on few labels alone Muon ends at a higher error than Adam.
BASELINE: dict[str, Any] = {**LABELS_ONLY, "optimizer": "adam"}

_INT32 = 2**31  # TensorFlow keeps most counts in 32 bits


_ENVELOPES = ("none", "sigmoid", "linear")


def _setting(
    default: Any, help_text: str, *, choices: tuple[str, ...] = (), **bounds: float
) -> Any:
    """A field with its help text and its bounds, those of `check_bounds`; a None passes."""
    metadata = {"help": help_text, "choices": choices, "bounds": bounds}
    return dataclasses.field(default=default, metadata=metadata)


def _check(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    """Raise InputError if a setting is outside its bounds, or not finite."""
    bounds = metadata["bounds"]
    if metadata["choices"]:
        check_known(f"`{name}`", value, metadata["choices"])
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"`{name}` is {value}; it must be finite")
    check_bounds(name, value, **bounds)
    if type(value) is int and "below" not in bounds and abs(value) >= _INT32:
        raise InputError(f"`{name}` is {value}; it must be below {_INT32}")


def _plain(name: str, value: Any, kinds: tuple[type, ...]) -> Any:
    """A setting as a plain value, which JSON can have: NumPy's numbers and paths become so.

    Raises:
        InputError: it is of another type than the setting.
    """
    if hasattr(value, "item"):
        value = value.item()
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif type(value) is float and int in kinds and value.is_integer():
        value = int(value)
    if type(value) in kinds or (type(value) is int and float in kinds):
        return value
    wanted = " or ".join(_IN_WORDS[kind] for kind in kinds)
    raise InputError(f"`{name}` is {value!r}; it must be {wanted}")


_IN_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    types.NoneType: "None",
}


@functools.cache
def setting_types() -> dict[str, tuple[type, ...]]:
    """The types that each setting may have."""
    hints = typing.get_type_hints(Recipe)
    return {name: typing.get_args(hint) or (hint,) for name, hint in hints.items()}


def names_a_path(setting: str, value: Any) -> bool:
    """Whether this value of a setting names a file or folder."""
    if not value:
        return False
    if setting == "architecture":
        return value.endswith(SAVED_MODEL)
    if setting == "weights":
        return value not in (NO_WEIGHTS, IMAGENET)
    return setting in PATHS


@dataclass(frozen=True)
class Recipe:
    """The settings of one run. Each field is a flag of `semisup-train`.

    `unsup_samples=0` and an augmentation of "true" or "false" have a meaning in
    `semisup.recipes.get` and `changed` only.

    Raises:
        InputError: a setting is of another type or outside its range, or a delay has no envelope.
    """

    # The data.
    dataset: str = _setting("mnist5k", registry.dataset_help())
    data_dir: str | None = _setting(None, registry.data_dir_help())
    target_dataset: str | None = _setting(
        None,
        "domain adaptation: take the unlabelled and the test images from this data set instead",
    )
    target_data_dir: str | None = _setting(None, "folder with the target's files")
    new_size: int = _setting(
        0, "resize all images to this height and width; 0 for no change", minimum=0, maximum=100_000
    )
    skip_unreadable: bool = _setting(
        False, "for --dataset=folder: skip images that can't be read, and report their number"
    )
    max_megapixels: int = _setting(
        registry.MAX_MEGAPIXELS,
        "for --dataset=folder: refuse images of more than this many million pixels",
        minimum=1,
    )
    sup_per_class: int = _setting(10, "labelled images per class in total; -1 for all")
    unsup_samples: int = _setting(
        -1, "unlabelled images in total; -1 for all, 0 for none: no loss on unlabelled images"
    )
    fold: int = _setting(
        -1,
        "choose the labelled images from this fold, if the data set has folds (stl10: 0 to 9); "
        "-1 for all training images",
    )
    train_in_pool: bool = _setting(
        False,
        "use the training images as unlabelled images, too, if the data set has unlabelled images "
        "of its own; if it has none, they are always used",
    )
    exclude_labeled: bool = _setting(
        False, "keep the labelled images out of the unlabelled ones; the paper lets them overlap"
    )
    remove_classes: int = _setting(
        0, "number of classes, from the last one down, of which no image is labelled", minimum=0
    )
    split_file: str | None = _setting(
        None, "take the labelled and unlabelled images from a run's split.json"
    )
    sup_seed: int = _setting(
        0,
        "seed for choosing the labelled and unlabelled images; the flag also takes -1, which draws "
        "a seed at random and records it",
        minimum=0,
        below=2**32,
    )
    sup_per_batch: int = _setting(10, "labelled images per class in a batch", minimum=1)
    unsup_batch_size: int = _setting(100, "unlabelled images in a batch", minimum=1)
    augmentation: str = _setting(
        "none",
        "none; photos (shift and flip) or photos_strong (also RandAugment and cutout) for natural "
        "images; digits (affine), digits_mild (half as strong), svhn or stl10; for the labelled "
        "images of digits only: inversion, colouring, framing or blending; true for the recipe's "
        "own augmentation or, if it has none, the default of the data set; false for none",
    )
    # The network.
    architecture: str = _setting(
        "mnist_model",
        "network: mnist_model, svhn_model, stl10_model, stl10_batch_norm_model or dann_model; the "
        "authors' larger ones inception_model, inception_model_small, vgg16_model, "
        "vgg16_model_small and alexnet_model; "
        "keras:NAME for one of keras.applications, such as keras:MobileNetV2; PATH.keras for a "
        "saved Keras model from images to embeddings",
    )
    weights: str | None = _setting(
        None,
        "initial weights of keras:NAME, inception_model, vgg16_model or vgg16_model_small: none "
        "(random), imagenet (downloaded), or a file of weights; "
        "by default imagenet if keras:NAME stays frozen, else none",
    )
    freeze_steps: int = _setting(
        0,
        "number of first steps in which the backbone is frozen and only the layers on top of it "
        "are trained (keras:NAME, PATH.keras, inception_model) or only the classifier (others); -1 "
        "for all steps: then, without augmentation, each image passes through the backbone "
        "(keras:NAME or PATH.keras) once, and its features are cached for later runs",
        minimum=ALWAYS,
    )
    emb_size: int | None = _setting(
        None, "size of the embedding; by default the architecture's", minimum=1
    )
    dropout: float = _setting(
        0.0,
        "dropout rate of the features of keras:NAME or PATH.keras, before the embedding layer",
        minimum=0,
        below=1,
    )
    l2_weight: float | None = _setting(
        None,
        "L2 weight of the network's layers; by default the architecture's (mnist_model 1e-3 as in "
        "the authors' code; the paper says 1e-4). Of keras:NAME and PATH.keras it is that of the "
        "dense layer on top",
        minimum=0,
    )
    batch_norm_decay: float | None = _setting(
        None,
        "momentum of the moving statistics of stl10_batch_norm_model; by default 0.99",
        minimum=0,
        below=1,
    )
    virtual_embeddings: int = _setting(
        0,
        "number of trainable vectors added to the labelled embeddings, each with its own class",
        minimum=0,
    )
    separate_batches: bool = _setting(
        False, "pass labelled and unlabelled images through the network separately (for batch norm)"
    )
    init_from: str | None = _setting(
        None, "take the initial weights from the run in this folder, which has the same network"
    )
    teacher: str | None = _setting(
        None,
        "self-training: add pseudo-labels predicted by the finished run in this folder; not in the "
        "paper",
    )
    teacher_share: float = _setting(
        0.95,
        "share of the unlabelled images that the teacher labels: those it is most confident about",
        above=0,
        maximum=1,
    )
    cluster_share: float = _setting(
        0.0,
        "share of the unlabelled images, the most typical ones of each cluster, that get the class "
        "of their cluster as a pseudo-label; needs a frozen backbone; not in the paper",
        minimum=0,
        maximum=1,
    )
    # The losses.
    similarity: str | None = _setting(
        None,
        "similarity of embeddings: cosine, which works with any network; dot, as in the paper; or "
        "euclidean; by default dot for mnist_model on digits, where it is better, else cosine",
        choices=("dot", "cosine", "euclidean"),
    )
    temperature: float | None = _setting(
        None,
        "temperature, by which the similarities are divided; by default 0.16 for cosine, 1 for the "
        "others",
        above=0,
    )
    walker_weight: float = _setting(1.0, "weight of the walker loss", minimum=0)
    walker_weight_envelope: str = _setting(
        "none",
        "how the weight of the walker loss is ramped up: none (full weight from the first step), "
        "sigmoid or linear",
        choices=_ENVELOPES,
    )
    walker_weight_envelope_steps: int = _setting(
        100, "steps of the ramp, after the delay", minimum=1
    )
    walker_weight_envelope_delay: int = _setting(0, "steps before the ramp", minimum=0)
    visit_weight: float = _setting(1.0, "weight of the visit loss", minimum=0)
    visit_weight_envelope: str | None = _setting(
        None,
        "how the weight of the visit loss is ramped up; by default as the walker's",
        choices=_ENVELOPES,
    )
    visit_weight_envelope_steps: int = _setting(
        -1, "steps of the ramp, after the delay; -1 for as many as the walker's", minimum=-1
    )
    visit_weight_envelope_delay: int = _setting(
        -1, "steps before the ramp; -1 for as many as the walker's", minimum=-1
    )
    logit_weight: float = _setting(1.0, "weight of the classification loss", minimum=0)
    pseudo_label_weight: float = _setting(
        0.0,
        "weight of the loss on the pseudo-labels that the walk assigns to unlabelled images; not "
        "in the paper",
        minimum=0,
    )
    pseudo_label_weight_delay: int = _setting(
        0, "steps before the weight of the pseudo-labels is ramped up", minimum=0
    )
    pseudo_label_weight_steps: int = _setting(1, "steps of the ramp, which is linear", minimum=1)
    vat_weight: float = _setting(
        0.0,
        "weight of virtual adversarial training with entropy minimisation on unlabelled images; "
        "not in the paper",
        minimum=0,
    )
    vat_epsilon: float = _setting(
        0.2, "norm of the adversarial perturbation, relative to the norm of the image", above=0
    )
    label_smoothing: float = _setting(
        0.0,
        "share of each label that is spread over all classes, at least 0 and below 1",
        minimum=0,
        below=1,
    )
    association_scope: str = _setting(
        "global",
        "with several devices, the embeddings that a walk covers: global (those of all devices, as "
        "with one device) or replica (those of one device's share of the batch)",
        choices=("global", "replica"),
    )
    # The training.
    optimizer: str = _setting(
        "adam",
        "adam as in the paper, or muon, which needs fewer steps; not in the paper",
        choices=("adam", "muon"),
    )
    learning_rate: float | None = _setting(
        None,
        "largest learning rate; by default 3e-3 for mnist_model and 1e-3 for all other networks",
        above=0,
    )
    learning_rate_schedule: str = _setting(
        "cosine",
        "step: multiplied by --decay_factor every --decay_steps, as in the authors' code; "
        "cosine: decays to --minimum_learning_rate at the last step",
        choices=("step", "cosine"),
    )
    warmup_share: float = _setting(
        0.125,
        "share of the steps for the linear warm-up of a cosine schedule, below 1",
        minimum=0,
        below=1,
    )
    decay_factor: float = _setting(0.33, "factor of each decay of a step schedule", minimum=0)
    decay_steps: float = _setting(5000, "steps between the decays of a step schedule", minimum=1)
    minimum_learning_rate: float = _setting(1e-6, "lower bound of the learning rate", minimum=0)
    ema: float = _setting(
        0.0,
        "momentum of a moving average of the weights, below 1; if above 0, the averages are "
        "evaluated and saved instead of the weights (statistics of batch norm are not averaged)",
        minimum=0,
        below=1,
    )
    precision: str = _setting(
        "auto",
        "float32, mixed_bfloat16, or auto (mixed_bfloat16 where this machine computes it faster); "
        "a network from PATH.keras keeps its own",
        choices=("auto", "float32", "mixed_bfloat16"),
    )
    max_steps: int = _setting(800, "training steps", minimum=1)
    seed: int = _setting(
        0, "seed of the initial weights and of the order of the images", minimum=0, below=2**32
    )
    compat: str = _setting(
        "none",
        "authors: as a flag, it gives all flags the meaning and the defaults of the authors' code "
        "(docs/migrating.md); as a setting, Adam's epsilon is 1e-8, `new_size` resizes as "
        "TensorFlow 1 did, and inversion also applies to unlabelled images",
        choices=("none", "authors"),
    )
    # The record.
    eval_interval: int = _setting(100, "steps between evaluations on the test images", minimum=1)
    eval_images: int = _setting(
        0,
        "evaluate during training on this many test images, of each class in proportion, to save "
        "time; 0 for all. semisup-eval always evaluates on all",
        minimum=0,
    )
    log_interval: int = _setting(50, "steps between entries in TensorBoard", minimum=1)
    select: str = _setting(
        "last",
        "the evaluation whose weights become model.keras and whose error is the result: last, or "
        "label_free (the best label-free score, which needs no test label)",
        choices=("last", "label_free"),
    )

    def __post_init__(self) -> None:
        kinds = setting_types()
        for field in dataclasses.fields(self):
            value = _plain(field.name, getattr(self, field.name), kinds[field.name])
            object.__setattr__(self, field.name, value)  # of a frozen class
            if value is not None:
                _check(field.name, value, field.metadata)
        if self.visit_weight_envelope_steps == 0:
            raise InputError("`visit_weight_envelope_steps` is 0; it must be at least 1, or -1")
        for loss in ("walker", "visit"):
            delay = getattr(self, f"{loss}_weight_envelope_delay")
            if self.envelope(loss)[0] == "none" and delay > 0:
                raise InputError(
                    f"`{loss}_weight_envelope_delay` is {delay}, but there is no envelope to "
                    f"delay; add `{loss}_weight_envelope=linear`"
                )

    def envelope(self, loss: str) -> tuple[str, int, int]:
        """Kind, steps and delay by which the weight of a loss is ramped up.

        Args:
            loss: "walker", or "visit", which takes the walker's value where its own is not set.
        """
        steps, delay = self.walker_weight_envelope_steps, self.walker_weight_envelope_delay
        if loss == "walker":
            return self.walker_weight_envelope, steps, delay
        own_steps, own_delay = self.visit_weight_envelope_steps, self.visit_weight_envelope_delay
        return (
            self.visit_weight_envelope or self.walker_weight_envelope,
            steps if own_steps == -1 else own_steps,
            delay if own_delay == -1 else own_delay,
        )

    @property
    def frozen_steps(self) -> int:
        """The steps in which the backbone stays frozen, which may be all."""
        return self.max_steps if self.freeze_steps == ALWAYS else self.freeze_steps

    @property
    def associates(self) -> bool:
        """Whether unlabelled images take part: not if no loss on them counts."""
        return any(getattr(self, name) > 0 for name in _UNLABELED_LOSSES)
