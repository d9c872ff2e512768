"""Evaluation: predictions, test errors, label-free scores and nearest neighbours.

evaluate(model, images, labels, class_names)    an Evaluation: embeddings, logits, Report
predict(model, images)                          Predictions: embeddings, logits
Report.error, .balanced_error, .macro_f1        of labelled images; .table() is text to read
label_free.scores(model, probe)                 without any test label
nearest(queries, embeddings, count)             Neighbors, by cosine
"""

from semisup.evaluation import label_free
from semisup.evaluation.metrics import (
    Evaluation,
    Predictions,
    Report,
    count_mistakes,
    evaluate,
    predict,
)
from semisup.evaluation.neighbors import Neighbors, nearest

__all__ = [
    "Evaluation",
    "Neighbors",
    "Predictions",
    "Report",
    "count_mistakes",
    "evaluate",
    "label_free",
    "nearest",
    "predict",
]
