"""Classify new images, and find the most similar labelled image of each."""

from typing import NamedTuple

from scipy.special import softmax

from semisup.data.dataset import Images
from semisup.evaluation.metrics import predict
from semisup.evaluation.neighbors import nearest
from semisup.inference.saved_run import SavedRun

# Of semisup-predict's CSV: the fields of a `Prediction`.
COLUMNS = ("path", "class", "probability", "nearest_labeled", "nearest_class", "cosine_similarity")


class Prediction(NamedTuple):
    """A model's prediction for one image.

    Attributes:
        path: the image's name.
        predicted_class: the most probable class.
        probability: its probability by the classifier, in [0, 1].
        nearest_labeled: the labelled image with the most similar embedding.
        nearest_class: the class of that.
        cosine_similarity: of the two embeddings, in [-1, 1]; 1 for the same direction.
    """

    path: str
    predicted_class: str
    probability: float
    nearest_labeled: str
    nearest_class: str
    cosine_similarity: float


def predict_images(run: SavedRun, names: list[str], images: Images) -> list[Prediction]:
    """Classify images and find their nearest labelled ones, as in the paper's figure 4.

    Where `predicted_class` and `nearest_class` differ, classifier and association
    disagree: such an image is worth a look.

    Args:
        run: from `semisup.inference.saved_run.load`.
        names: of the images.
        images: uint8 or float in [0, 255], [N, H, W, C] of the run's shape.
    """
    labeled = run.labeled
    outputs = predict(run.model, images)
    P, classes = softmax(outputs.logits, axis=1), outputs.logits.argmax(axis=1)
    indices, similarity = nearest(outputs.embeddings, labeled.embeddings, 1)
    return [
        Prediction(
            name,
            str(labeled.class_names[c]),
            float(P[i, c]),
            str(labeled.names[n]),
            str(labeled.class_names[labeled.labels[n]]),
            float(similarity[i, 0]),
        )
        for i, (name, c, n) in enumerate(zip(names, classes, indices[:, 0], strict=True))
    ]
