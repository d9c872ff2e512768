"""An experiment: the data, the labelled subset, the batches and the model of a recipe."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from semisup.config import NO_WEIGHTS, Recipe, names_a_path
from semisup.data import augmentation, labeled_data, lazy_images, pipeline, splits
from semisup.data.dataset import Dataset, Images
from semisup.errors import InputError
from semisup.experiment.data import (
    compare_classes,
    load_data,
    to_evaluate_on,
    warn_of_known_test_images,
    with_features,
)
from semisup.experiment.model import build_backbone, build_model, make_model, warn_of_untrainable
from semisup.experiment.settings import (
    as_authors,
    compare_similarity,
    initial_weights,
    uses_features,
    with_defaults,
)
from semisup.models import backbones, weights
from semisup.models.associative_model import AssociativeModel
from semisup.runs.directory import RunDirectory


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
        saved = names_a_path("architecture", self.recipe.architecture)
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
        labeled_only = name in augmentation.LABELED_ONLY and not as_authors(self.recipe)
        return None if labeled_only else augmentation.get_augmentation(name)

    def whole_model(self) -> AssociativeModel:
        """The model from images: `model`, on top of the backbone if it is trained on features."""
        if self.backbone is None:
            return self.model
        whole = make_model(self.recipe, self.backbone.network, self.model.num_classes)
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


def _on_top(model: AssociativeModel) -> list[keras.Variable]:
    """The weights on top of the network."""
    network = {id(weight) for weight in model.network.weights}
    return [weight for weight in model.weights if id(weight) not in network]


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
    compare_similarity(recipe)
    recipe = with_defaults(recipe)
    dataset = dataset or load_data(recipe)
    if recipe.init_from:
        compare_classes(RunDirectory(recipe.init_from), dataset)
    augmentation.check_channels(recipe.augmentation, dataset.image_shape[2])
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
    dataset = to_evaluate_on(dataset, recipe.eval_images)
    backbone = None
    if uses_features(recipe):
        backbone = build_backbone(recipe, dataset)
        dataset = with_features(dataset, backbone.features)
    model = build_model(recipe, dataset, backbone)
    left_out = all_test_images - len(dataset.test_labels)
    return Experiment(recipe, labeled_data.LabeledData(dataset, split), model, backbone, left_out)


def warn_at_start(setup: Experiment) -> None:
    """Log warnings of what a new run begins with: fixed layers, test images known before."""
    warn_of_untrainable(setup.recipe, setup.model.network)
    for earlier in filter(None, (setup.recipe.init_from, setup.recipe.teacher)):
        warn_of_known_test_images(RunDirectory(earlier), setup.data.dataset)


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
        if not uses_features(recipe) and initial_weights(recipe) != NO_WEIGHTS:
            recipe = dataclasses.replace(recipe, weights=backbones.RESTORED)
    return recipe
