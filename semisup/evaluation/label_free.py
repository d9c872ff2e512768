"""Label-free statistics of how consistent a model is.

They do not rank runs reliably by their accuracy (docs/results.md).

A few labelled images (A) and many unlabelled ones (B) are embedded and walked on:

    p_correct       probability of a correct walk A -> B -> A, equation (4)
    visit_entropy   entropy of the visits over its greatest value, log(M)
    agreement       share of B to which the classifier gives the class that the association
                    gives: the class whose labelled images a step B -> A most likely ends on
    score           the geometric mean of the three: it falls if any one of them does

All are in [0, 1], and higher is better. They measure consistency, not accuracy: a
model that exchanges two whole classes scores high.
"""

import math
from typing import NamedTuple

import numpy as np

from semisup.data.dataset import Images
from semisup.data.labeled_data import LabeledData
from semisup.data.lazy_images import in_memory
from semisup.evaluation.metrics import predict
from semisup.losses import association
from semisup.losses.pseudo_labels import class_mass
from semisup.models.associative_model import AssociativeModel

# As they stand in metrics.jsonl.
PREFIX = "label_free_"
NAMES = tuple(PREFIX + name for name in ("p_correct", "visit_entropy", "agreement", "score"))
SCORE = NAMES[-1]


class Probe(NamedTuple):
    """Images to evaluate a model on: A [N, H, W, C] with labels [N], B [M, H, W, C] without."""

    A: Images
    labels: np.ndarray
    B: Images


def choose_probe(data: LabeledData, per_class: int = 10, unlabeled: int = 1000) -> Probe:
    """Choose training images for `scores`, the same at every call.

    Args:
        data: where from.
        per_class: labelled images of each class, at most.
        unlabeled: unlabelled images, at most.
    """
    dataset, split = data.dataset, data.split
    labeled = data.first_of_each_class(per_class)
    count = min(unlabeled, len(split.unlabeled))
    drawn = np.sort(np.random.default_rng(0).choice(split.unlabeled, count, replace=False))
    return Probe(
        in_memory(dataset.train_images[labeled]),
        dataset.train_labels[labeled],
        in_memory(dataset.unlabeled_pool[drawn]),
    )


def scores(model: AssociativeModel, probe: Probe) -> dict[str, float]:
    """The model's label-free statistics on the probe, by their names in `NAMES`, in [0, 1]."""
    A = predict(model, probe.A).embeddings
    B, logits = predict(model, probe.B)
    # Not the matrices, which of thousands of classes are too large.
    losses = association.association_losses(
        A, B, probe.labels, model.similarity, temperature=model.temperature
    )
    p_correct, entropy = float(losses.p_correct), float(losses.visit_entropy)
    mass = class_mass(
        A, B, probe.labels, model.num_classes, model.similarity, temperature=model.temperature
    )
    associated = np.argmax(mass, axis=1)
    agreement = float(np.mean(associated == logits.argmax(axis=1)))
    parts = [p_correct, entropy / math.log(max(len(probe.B), 2)), agreement]
    # Sums of many small float32 numbers, which may end a hair outside.
    parts = [min(max(part, 0.0), 1.0) for part in parts]
    return dict(zip(NAMES, [*parts, math.prod(parts) ** (1 / 3)], strict=True))
