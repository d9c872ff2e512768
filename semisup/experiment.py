"""Build the data, the labelled subset, the batches and the model of a recipe."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from semisup.config import ALWAYS, Recipe
from semisup.data import (
    adaptation,
    augmentation,
    labeled_data,
    lazy_images,
    pipeline,
    registry,
    splits,
)
from semisup.data.dataset import Dataset, Images
from semisup.errors import InputError, reason
from semisup.losses import checks
from semisup.models import architectures, backbones, features, weights
from semisup.models.associative_model import AssociativeModel
from semisup.optimizers import factory, schedules
from semisup.runs.directory import RunDirectory
from semisup.runtime import precision

# Largest learning rates where the recipe has none: for small digits, and for all else.
_LEARNING_RATES, _LEARNING_RATE = {"mnist_model": 3e-3}, 1e-3

# Adam's, where Keras has 1e-7.
_EPSILON_OF_TENSORFLOW_1 = 1e-8


@dataclass(frozen=True)
class Experiment:
    """The data and the model of a run. The same recipe gives the same ones, bit for bit.

    Attributes:
        recipe: the settings; see `with_defaults`.
        data: the data set, which of its images are labelled, and in training its pseudo-labels.
        model: the model, compiled, with its initial weights.
        backbone: the pretrained network, if it stays frozen in all steps; then the images of `data`
            bring its features, on which `model` is trained. Else None.
        test_images_left_out: how many that the data set has, but `data` has not.
    """

    recipe: Recipe
    data: labeled_data.LabeledData
    model: AssociativeModel
    backbone: backbones.Backbone | None = None
    test_images_left_out: int = 0

    @property
    def labeled_in_batch(self) -> int:
        """Labelled images in a batch."""
        classes = self.data.dataset.num_classes - len(self.data.classes_without_labels)
        return classes * self.recipe.sup_per_batch

    @property
    def network_hashes(self) -> dict[str, str | None]:
        """Digests of what a run is given as a file, and can't take from its checkpoints.

        "backbone_hash" is of the weights of the frozen backbone, "layers_hash" of the layers of a
        saved network and their settings; None where there is no such network.
        """
        network = self.backbone.features if self.backbone else self.model.network
        saved = self.recipe.architecture.endswith(backbones.ENDING)
        return {
            "backbone_hash": weights.digest(network) if self.backbone else None,
            "layers_hash": weights.digest_of_layers(network) if saved else None,
        }

    def batches(
        self,
        start_step: int = 0,
        part: int = 0,
        parts: int = 1,
        further_views: Sequence[pipeline.Augment | None] = (),
    ) -> tf.data.Dataset:
        """Endless training batches, or parts of them, from number `start_step` on.

        Args:
            start_step, part, parts: see `pipeline.association_batches`.
            further_views: what changes the unlabelled images of a batch that come again after it.
        """
        images, labels = self.data.training_images_and_labels()
        unlabeled: Images | None = self.data.unlabeled_images if self.recipe.associates else None
        if self.backbone:
            images = lazy_images.network_inputs(images)
            if unlabeled is not None:
                unlabeled = lazy_images.network_inputs(unlabeled)
        return pipeline.association_batches(
            images,
            labels,
            unlabeled,
            sup_per_batch=self.recipe.sup_per_batch,
            unsup_batch_size=self.recipe.unsup_batch_size,
            seed=self.recipe.seed,
            start_step=start_step,
            augment=augmentation.get_augmentation(self.recipe.augmentation),
            augment_unlabeled=[self.augment_unlabeled(), *further_views],
            part=part,
            parts=parts,
        )

    def augment_unlabeled(self) -> pipeline.Augment | None:
        """What changes the unlabelled images of a batch."""
        name = self.recipe.augmentation
        # The authors' trainer changes A and B alike.
        labeled_only = name in augmentation.LABELED_ONLY and not _as_authors(self.recipe)
        return None if labeled_only else augmentation.get_augmentation(name)

    def whole_model(self) -> AssociativeModel:
        """The model from images: `model`, on top of the backbone if it is trained on features."""
        if self.backbone is None:
            return self.model
        whole = _make_model(self.recipe, self.backbone.network, self.model.num_classes)
        self.backbone.head.set_weights(self.model.network.get_weights())
        for ours, trained in zip(_on_top(whole), _on_top(self.model), strict=True):
            ours.assign(trained)
        return whole

    def load_weights(self, path: Path) -> None:
        """Give `model` the weights of a saved one of the same run; InputError if they differ."""
        weights.load(self.model, path)

    def untrained_model(self) -> AssociativeModel:
        """Another model with the same initial weights."""
        return build_model(self.recipe, self.data.dataset, self.backbone)


def build(recipe: Recipe, dataset: Dataset | None = None) -> Experiment:
    """Load the recipe's data and make its model, with its initial weights.

    Args:
        recipe: the settings.
        dataset: what `load_data` gives for it, if it is loaded already.

    Raises:
        InputError: the recipe names something unknown, or its data can't be read.
    """
    augmentation.get_augmentation(recipe.augmentation)  # refuses an unknown one before any loading
    of_source = recipe.augmentation in augmentation.LABELED_ONLY
    if recipe.teacher and recipe.target_dataset and of_source:
        raise InputError(
            f"`augmentation={recipe.augmentation}` is for images of the source alone, but with a "
            "`teacher` images of the target are labelled, too; give another `augmentation`"
        )
    _compare_similarity(recipe)
    recipe = with_defaults(recipe)
    dataset = dataset or load_data(recipe)
    if recipe.init_from:
        _compare_classes(RunDirectory(recipe.init_from), dataset)
    augmentation.check_images(recipe.augmentation, dataset.image_shape[2])
    if recipe.split_file:
        split = splits.read_split(recipe.split_file, dataset)
    else:
        split = splits.choose_split(
            dataset,
            recipe.sup_per_class,
            recipe.unsup_samples,
            recipe.sup_seed,
            fold=recipe.fold,
            exclude_labeled=recipe.exclude_labeled,
            remove_classes=recipe.remove_classes,
        )
    all_test_images = len(dataset.test_labels)
    dataset = _to_evaluate_on(dataset, recipe.eval_images)
    backbone = None
    if uses_features(recipe):
        backbone = _build_backbone(recipe, dataset)
        dataset = _with_features(dataset, backbone.features)
    model = build_model(recipe, dataset, backbone)
    left_out = all_test_images - len(dataset.test_labels)
    return Experiment(recipe, labeled_data.LabeledData(dataset, split), model, backbone, left_out)


def with_defaults(recipe: Recipe) -> Recipe:
    """The recipe with the precision, similarity, temperature and rate that it stands for here.

    Similarity and temperature are those of the run of `init_from`, if it is there. A run records
    what was chosen, since another machine or version may choose otherwise.
    """
    network = recipe.architecture
    on_digits = registry.augmentation_of(recipe.dataset) == "digits"
    suited = "dot" if network == "mnist_model" and on_digits else "cosine"
    similarity, temperature = recipe.similarity or suited, recipe.temperature
    theirs = _recipe_of_first_weights(recipe)
    if theirs and recipe.similarity in (None, theirs.similarity):  # as its classifier has learned
        similarity, temperature = theirs.similarity or suited, temperature or theirs.temperature
    return dataclasses.replace(
        recipe,
        precision=precision.resolve(recipe.precision),
        similarity=similarity,
        temperature=temperature or checks.DEFAULT_TEMPERATURE[similarity],
        learning_rate=recipe.learning_rate or _LEARNING_RATES.get(network, _LEARNING_RATE),
    )


def _recipe_of_first_weights(recipe: Recipe) -> Recipe | None:
    """The settings of the run of `init_from`; None if there is none."""
    if not recipe.init_from or not RunDirectory(recipe.init_from).recipe.is_file():
        return None
    return RunDirectory(recipe.init_from).read_begun_recipe()


def _compare_similarity(recipe: Recipe) -> None:
    """Warn if the classifier of `init_from` has learned on embeddings of another kind."""
    theirs = _recipe_of_first_weights(recipe)
    if theirs and recipe.similarity not in (None, theirs.similarity):
        logging.warning(
            "`similarity=%s`, but the run in %s has %s, on which its classifier was trained",
            *(recipe.similarity, recipe.init_from, theirs.similarity),
        )


def _to_evaluate_on(dataset: Dataset, count: int) -> Dataset:
    """The data set with `count` of its test images, of each class in proportion; 0 for all."""
    labels = dataset.test_labels
    if count == 0 or count >= len(labels):
        return dataset
    by_class = np.argsort(labels, kind="stable")
    chosen = np.sort(by_class[np.linspace(0, len(labels) - 1, count, dtype=int)])
    images = dataset.test_images[chosen]
    return dataclasses.replace(dataset, test_images=images, test_labels=labels[chosen])


def uses_features(recipe: Recipe) -> bool:
    """Whether each image passes the backbone once: it stays frozen, and images do not change."""
    return _backbone_stays_frozen(recipe) and recipe.augmentation == "none"


def _backbone_stays_frozen(recipe: Recipe) -> bool:
    return recipe.freeze_steps == ALWAYS and backbones.is_backbone(recipe.architecture)


def _first_weights(recipe: Recipe) -> str:
    """The initial weights of a network of keras.applications; a frozen one needs trained ones."""
    if recipe.weights is not None:
        return recipe.weights
    of_keras = recipe.architecture.startswith(backbones.PREFIX)
    pretrained = _backbone_stays_frozen(recipe) and of_keras
    return backbones.IMAGENET if pretrained else backbones.NO_WEIGHTS


def _emb_size(recipe: Recipe) -> int | None:
    """The size of the embedding; None for the architecture's. A frozen backbone needs a layer."""
    return recipe.emb_size or (backbones.EMB_SIZE if _backbone_stays_frozen(recipe) else None)


def _build_backbone(recipe: Recipe, dataset: Dataset) -> backbones.Backbone:
    of_keras = recipe.architecture.startswith(backbones.PREFIX)
    if of_keras and _first_weights(recipe) == backbones.NO_WEIGHTS:
        logging.warning(
            "%s stays frozen with random weights, so its features mean little; give pretrained "
            "ones by `weights`, or train it (`freeze_steps=0`)",
            recipe.architecture,
        )
    architectures.check_batch_norm_decay(recipe.architecture, recipe.batch_norm_decay)
    keras.utils.set_random_seed(recipe.seed)
    with precision.policy(recipe.precision):
        return backbones.build(
            recipe.architecture,
            dataset.image_shape,
            _emb_size(recipe),
            _first_weights(recipe),
            recipe.l2_weight,
            recipe.dropout,
        )


def _with_features(dataset: Dataset, backbone: keras.Model) -> Dataset:
    """The data set whose images bring their features."""
    cache = features.default_cache()
    kinds = {"train_images": "training", "test_images": "test", "unlabeled_images": "unlabelled"}
    changes: dict[str, Any] = {}
    for name, kind in kinds.items():
        images = getattr(dataset, name)
        if images is not None:
            extracted = features.extract(backbone, images, cache, f"{kind} images")
            changes[name] = lazy_images.with_features(images, extracted)
    return dataclasses.replace(dataset, **changes)


def rebuild(recipe: Recipe, run: RunDirectory, first_weights: bool = False) -> Experiment:
    """Build the experiment of an earlier run, whose weights are about to be restored.

    Args:
        recipe: the run's settings.
        run: its folder, from where a split that the run was given is taken.
        first_weights: give the model the run's initial weights, too. What they came from, the
            run of `init_from` or a file of weights, must then still be there.

    Raises:
        InputError: as `build`, or the network of `architecture` is not the one that the run had.
    """
    setup = build(from_run(recipe, run, first_weights))
    run.check_network(setup.network_hashes)
    return setup


def from_run(recipe: Recipe, run: RunDirectory, first_weights: bool = False) -> Recipe:
    """The recipe of an earlier run, which takes what it can from the run's folder.

    Its split, and with a checkpoint its weights: what they came from may be gone. A frozen backbone
    whose features are used is not in a checkpoint, so its weights are still loaded.

    Args:
        recipe, run, first_weights: as of `rebuild`.
    """
    if recipe.split_file:
        recipe = dataclasses.replace(recipe, split_file=str(run.split))
    if not first_weights:
        recipe = dataclasses.replace(recipe, init_from=None)
        if not uses_features(recipe) and _first_weights(recipe) != backbones.NO_WEIGHTS:
            recipe = dataclasses.replace(recipe, weights=backbones.RESTORED)
    return recipe


def load_data(recipe: Recipe) -> Dataset:
    """The recipe's data set; with a target, its unlabelled and test images instead.

    Raises:
        InputError: a `target_data_dir` without a target; or as `load_dataset` and `adapted`.
    """
    if recipe.target_data_dir is not None and recipe.target_dataset is None:
        raise InputError("`target_data_dir` is given without a target; add `target_dataset=NAME`")
    options: dict[str, Any] = {
        "new_size": recipe.new_size,
        "skip_unreadable": recipe.skip_unreadable,
        "max_megapixels": recipe.max_megapixels,
        # Where the cache has their features, only the few that are drawn are ever resized.
        "resize_lazily": uses_features(recipe),
    }
    source = _loaded(recipe, recipe.dataset, recipe.data_dir, options)
    if recipe.target_dataset is None:
        return dataclasses.replace(source, train_in_pool=recipe.train_in_pool)
    target = _loaded(recipe, recipe.target_dataset, recipe.target_data_dir, options)
    target = dataclasses.replace(target, train_in_pool=recipe.train_in_pool)
    return adaptation.adapted(source, target)


def _loaded(recipe: Recipe, name: str, data_dir: str | None, options: dict[str, Any]) -> Dataset:
    """One data set, resized as the recipe says."""
    if not resizes_as_tensorflow_1(recipe, name):
        return registry.load_dataset(name, data_dir, **options)
    dataset = registry.load_dataset(name, data_dir, **{**options, "new_size": 0})
    return adaptation.resized_as_tensorflow_1(dataset, recipe.new_size)


def resizes_as_tensorflow_1(recipe: Recipe, name: str) -> bool:
    """Whether images of the data set `name` are resized as in the authors' code.

    Not those of folders and .npz files, which are resized as they are read.
    """
    return recipe.new_size > 0 and _as_authors(recipe) and not registry.is_own(name)


def _as_authors(recipe: Recipe) -> bool:
    return recipe.compat == "authors"


def build_model(
    recipe: Recipe, dataset: Dataset, backbone: backbones.Backbone | None = None
) -> AssociativeModel:
    """The recipe's model, compiled, with the initial weights that its seed gives.

    Args:
        recipe: the settings.
        dataset: for the shape of its images and its classes.
        backbone: to make a model of the features of this one, not of the images.

    Raises:
        InputError: its network is unknown, does not fit the images, or not into the memory.
    """
    try:
        return _build_model(with_defaults(recipe), dataset, backbone)
    except tf.errors.ResourceExhaustedError as error:
        raise InputError(
            f"the model does not fit into the memory: {reason(error)}; try a smaller `emb_size`, "
            "`new_size` or `architecture`"
        ) from None


def _build_model(
    recipe: Recipe, dataset: Dataset, backbone: backbones.Backbone | None
) -> AssociativeModel:
    keras.utils.set_random_seed(recipe.seed)
    if backbone:
        network = keras.models.clone_model(backbone.head)
    else:
        with precision.policy(recipe.precision):
            network = architectures.build(
                recipe.architecture,
                dataset.image_shape,
                _emb_size(recipe),
                recipe.l2_weight,
                _first_weights(recipe),
                recipe.dropout,
                recipe.batch_norm_decay,
            )
    if recipe.l2_weight and not network.losses:
        raise InputError(
            f"`l2_weight={recipe.l2_weight}` reaches no layer of {recipe.architecture}; "
            "`l2_weight=0` leaves it out, `emb_size=N` adds a dense layer on top, which it reaches"
        )
    model = _make_model(recipe, network, dataset.num_classes)
    options: dict[str, Any] = {}
    if recipe.ema:
        options |= {"use_ema": True, "ema_momentum": recipe.ema}
    if _as_authors(recipe):
        options["epsilon"] = _EPSILON_OF_TENSORFLOW_1
    rate = _learning_rate(recipe)
    late = 0 if backbone else recipe.frozen_steps
    model.compile(factory.make_optimizer(recipe.optimizer, rate, model, late, **options))
    model.optimizer.build(model.trainable_variables)
    if recipe.init_from:
        _load_weights(recipe, RunDirectory(recipe.init_from), model, backbone)
    return model


def _load_weights(
    recipe: Recipe,
    run: RunDirectory,
    model: AssociativeModel,
    backbone: backbones.Backbone | None,
) -> None:
    """Give the model the weights of a run; an error names the run's network if it is another."""
    # With `select`, an unfinished run has the model of its best evaluation so far.
    if not run.model.is_file() or (run.has_checkpoint() and run.read_result() is None):
        raise InputError(
            f"there is no finished run in {run}; `init_from` must name the folder of one"
        )
    try:
        weights.load(model, run.model, backbone)
    except InputError as error:
        theirs = run.read_recipe() if run.recipe.is_file() else recipe
        if theirs.architecture == recipe.architecture:
            raise
        raise InputError(f"{error} (`architecture={theirs.architecture}`)") from None


def _compare_classes(run: RunDirectory, dataset: Dataset) -> None:
    """Refuse the classes of `init_from` in another order; warn of classes with other names."""
    theirs, ours = run.read_class_names(), dataset.class_names
    if len(theirs) != len(ours):  # no weights fit
        return
    found = adaptation.compare_class_names(theirs, ours)
    if found is None:
        return
    if found.reordered:
        raise InputError(
            f"the run in {run} has the classes of {dataset.name} in another order; rename them so "
            "that both come in one order, or leave out `init_from`"
        )
    logging.warning(
        "the classes of the run in %s have other names than those of %s: class %d is %r there, %r "
        "here; the classifier begins with its weights in their order",
        *(run, dataset.name, found.first, theirs[found.first], ours[found.first]),
    )


def _make_model(recipe: Recipe, network: keras.Model, num_classes: int) -> AssociativeModel:
    assert recipe.similarity is not None  # `with_defaults`
    return AssociativeModel(
        network,
        num_classes,
        walker_weight=schedules.Envelope(recipe.walker_weight, *recipe.envelope("walker")),
        visit_weight=schedules.Envelope(recipe.visit_weight, *recipe.envelope("visit")),
        logit_weight=recipe.logit_weight,
        pseudo_label_weight=schedules.Envelope(
            recipe.pseudo_label_weight,
            kind="linear",
            steps=recipe.pseudo_label_weight_steps,
            delay=recipe.pseudo_label_weight_delay,
        ),
        vat_weight=recipe.vat_weight,
        vat_epsilon=recipe.vat_epsilon,
        similarity=recipe.similarity,
        temperature=recipe.temperature,
        label_smoothing=recipe.label_smoothing,
        virtual_embeddings=recipe.virtual_embeddings,
        separate_batches=recipe.separate_batches and recipe.associates,
        association_scope=recipe.association_scope,
    )


def _on_top(model: AssociativeModel) -> list[keras.Variable]:
    """The weights on top of the network."""
    network = {id(weight) for weight in model.network.weights}
    return [weight for weight in model.weights if id(weight) not in network]


def _learning_rate(recipe: Recipe) -> keras.optimizers.schedules.LearningRateSchedule:
    rate, minimum = recipe.learning_rate, recipe.minimum_learning_rate
    assert rate is not None  # `with_defaults`
    if not _as_authors(recipe):  # whose rate rises to it
        minimum = min(minimum, rate)
    if recipe.learning_rate_schedule == "cosine":
        return schedules.cosine_with_warmup(
            rate,
            recipe.max_steps,
            int(recipe.warmup_share * recipe.max_steps),
            minimum,
        )
    return schedules.StepDecay(
        rate,
        recipe.decay_steps,
        recipe.decay_factor,
        minimum,
    )
