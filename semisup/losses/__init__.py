"""Losses on embeddings and logits: learning by association, and additional losses.

    losses = semisup.losses.association_losses(A, B, labels, similarity="cosine", temperature=0.1)
    loss = losses.walker + losses.visit

A are labelled embeddings [N, D], B unlabelled ones [M, D]. All functions are pure.
`association_losses` is what training needs; `walk`, `similarity_matrix`, `walker_loss` and
`visit_loss` are its parts, one for each equation of the paper. Modules:

    association      equations (1)-(10), classification loss, total loss
    blockwise        the same walk without its [N, M] matrices, for large batches
    checks           of what the functions are given
    pseudo_labels    cross-entropy with the classes that the walk assigns to unlabelled samples
    virtual_adversarial  sensitivity of the predictions to small changes of the images
"""

from semisup.losses.association import (
    AssociationLosses,
    Walk,
    association_losses,
    classification_loss,
    similarity_matrix,
    total_loss,
    visit_loss,
    walk,
    walker_loss,
)
from semisup.losses.pseudo_labels import class_mass, pseudo_label_loss

__all__ = [
    "AssociationLosses",
    "Walk",
    "association_losses",
    "class_mass",
    "classification_loss",
    "pseudo_label_loss",
    "similarity_matrix",
    "total_loss",
    "visit_loss",
    "walk",
    "walker_loss",
]
