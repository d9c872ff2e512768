"""Pseudo-labels from clusters of the features, for very few labels. Not in the paper.

With one label a class, a labelled image often lies nearer to the images of another class than to
those of its own. Then the walk learns two classes swapped, and no loss can tell. The features of
a pretrained network fall into clusters that know nothing of the labels; matching them to the
classes one to one settles most of these cases (docs/studies).
"""

import math

import numpy as np
from absl import logging

from semisup.data.dataset import evenly_spaced
from semisup.data.labeled_data import LabeledData, PseudoLabels
from semisup.data.lazy_images import network_inputs
from semisup.evaluation.neighbors import unit_rows

# More unlabelled images than these, drawn evenly, do not make the clusters better.
_IMAGES = 10_000

# With fewer images a cluster, there is nothing to learn from it.
_IMAGES_OF_CLUSTER = 5

# If a smaller share of the labelled images lies in the cluster of their class, the clusters are
# not the classes, and their labels do harm (docs/studies: CIFAR-10).
_AGREEMENT = 0.75


def predict_cluster_labels(data: LabeledData, share: float) -> PseudoLabels:
    """Label the most typical images of each cluster of the unlabelled ones.

    k-means finds as many clusters of the features, scaled to unit length, as there are labelled
    classes. Each is matched to one class so that the mean cosines of the labelled images of the
    class with the centre sum to the most. The typical images of a cluster are those with the
    largest margin between the distances to the second nearest centre and to their own.

    Args:
        data: images with features, and which of them are labelled and unlabelled.
        share: how many images of each cluster get its class, in (0, 1].

    Returns:
        The labels; none, and a warning, if more than a quarter of the labelled images lie in the
        cluster of another class: then the clusters are not the classes.
    """
    # Both take a second to import, and most runs have no use for them.
    from scipy.optimize import linear_sum_assignment
    from sklearn.cluster import KMeans

    candidates = data.candidates
    classes, labels = np.unique(data.labeled_labels, return_inverse=True)
    none = PseudoLabels(candidates[:0], candidates[:0])
    if len(candidates) < _IMAGES_OF_CLUSTER * len(classes):
        logging.warning(
            f"no pseudo-labels from clusters: {len(candidates)} images without a label are too few "
            f"for {len(classes)} classes, of which each needs {_IMAGES_OF_CLUSTER}"
        )
        return none
    images = unit_rows(network_inputs(data.dataset.unlabeled_pool[candidates]))
    some = images[evenly_spaced(len(images), _IMAGES)]
    centres = unit_rows(KMeans(len(classes), n_init=10, random_state=0).fit(some).cluster_centers_)
    of_labeled = unit_rows(network_inputs(data.labeled_images)) @ centres.T
    cosines = np.stack([of_labeled[labels == c].mean(axis=0) for c in range(len(classes))])
    cluster_of = linear_sum_assignment(-cosines)[1]
    found = of_labeled.argmax(axis=1) == cluster_of[labels]
    if found.mean() < _AGREEMENT:
        logging.warning(
            f"no pseudo-labels from clusters: only {found.sum()} of {len(found)} labelled images "
            "lie in the cluster of their class"
        )
        return none
    chosen, chosen_labels = [], []
    cosines = images @ centres.T
    nearest = cosines.argmax(axis=1)
    margins = np.ptp(np.sort(cosines, axis=1)[:, -2:], axis=1)
    for class_, cluster in zip(classes, cluster_of, strict=True):
        members = np.flatnonzero(nearest == cluster)
        typical = members[np.argsort(-margins[members], kind="stable")]
        chosen.append(typical[: math.ceil(share * len(members))])
        chosen_labels.append(np.full(len(chosen[-1]), class_, np.int64))
    places, of_places = np.concatenate(chosen), np.concatenate(chosen_labels)
    order = np.argsort(places)
    return PseudoLabels(candidates[places[order]], of_places[order])
