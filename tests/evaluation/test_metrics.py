import keras
import numpy as np
import pytest

from semisup.evaluation.metrics import Report, evaluate, predict
from semisup.models.associative_model import AssociativeModel

CONFUSION = np.array([[8, 2, 0], [0, 5, 0], [1, 1, 3]])


def test_errors_are_counted_by_hand():
    report = Report(CONFUSION, ("cat", "dog", "meerkat"))
    assert report.error == pytest.approx(100 * 4 / 20)
    np.testing.assert_allclose(report.error_per_class, [20.0, 0.0, 40.0])


def test_class_without_images_has_no_error():
    report = Report(np.array([[4, 0], [0, 0]]), ("a", "b"))
    assert report.error == 0.0
    np.testing.assert_array_equal(report.error_per_class, [0.0, np.nan])


def test_table_shows_names_counts_and_errors():
    lines = Report(CONFUSION, ("cat", "dog", "a very long name")).table().splitlines()
    assert lines[0].split() == ["cat", "dog", "a", "very", "lon", "error"]
    assert lines[1].split() == ["cat", "8", "2", ".", "20.0%"]
    assert len({len(line) for line in lines}) == 1


def test_evaluate_equals_a_count_over_predictions():
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    model = AssociativeModel(network, 3)
    random = np.random.default_rng(0)
    images = random.integers(
        0, 256, (1203, 4, 4, 1), dtype=np.uint8
    )  # not a whole number of batches
    labels = random.integers(0, 3, 1203)
    report = evaluate(model, images, labels, ("a", "b", "c"))
    outputs = predict(model, images)
    predicted = outputs["logits"].argmax(axis=1)
    for true in range(3):
        for guess in range(3):
            count = np.sum((labels == true) & (predicted == guess))
            assert report.confusion[true, guess] == count
    assert report.error == pytest.approx(100 * np.mean(predicted != labels))
    np.testing.assert_allclose(outputs["embedding"], images.reshape(1203, 16), rtol=1e-6)
