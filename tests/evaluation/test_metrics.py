import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from semisup.errors import InputError
from semisup.evaluation.metrics import Report, count_mistakes, evaluate, predict
from semisup.evaluation.names import display_width
from semisup.models.associative_model import AssociativeModel

CONFUSION = np.array([[8, 2, 0], [0, 5, 0], [1, 1, 3]])


def test_report_counts_errors():
    report = Report(CONFUSION, ("cat", "dog", "meerkat"))
    assert report.error == pytest.approx(100 * 4 / 20)
    np.testing.assert_allclose(report.error_per_class, [20.0, 0.0, 40.0])
    assert report.balanced_error == pytest.approx(20.0)


def test_report_has_no_error_of_a_class_without_images():
    report = Report(np.array([[4, 0], [0, 0]]), ("a", "b"))
    assert report.error == 0.0
    np.testing.assert_array_equal(report.error_per_class, [0.0, np.nan])
    assert report.balanced_error == 0.0
    assert "-" in report.table().splitlines()[2].split()


def test_predict_takes_fewer_images_at_once_if_they_are_large(monkeypatch):
    network = keras.Sequential([keras.Input((None, None, 1)), keras.layers.GlobalMaxPooling2D()])
    model, sizes = AssociativeModel(network, 2, similarity="dot"), []
    on_batch = model.predict_on_batch
    monkeypatch.setattr(model, "predict_on_batch", lambda x: sizes.append(len(x)) or on_batch(x))
    for side, wanted in ((28, [30]), (640, [5] * 6)):
        images = np.random.default_rng(0).integers(0, 256, (30, side, side, 1), dtype=np.uint8)
        model.predict_function = None
        embeddings = predict(model, images).embeddings
        np.testing.assert_array_equal(embeddings[:, 0], images.max(axis=(1, 2, 3)))
        assert sizes == wanted
        sizes.clear()


@pytest.mark.filterwarnings("ignore:y_pred contains classes")  # scikit-learn's, of class 5
@pytest.mark.parametrize("missing", [[], [2], [2, 5]])
def test_report_agrees_with_scikit_learn(missing):
    """Unequal classes, one of which (5) is never predicted, some without images."""
    random = np.random.default_rng(0)
    labels = random.choice(6, 500, p=[0.4, 0.3, 0.1, 0.1, 0.07, 0.03])
    labels = labels[~np.isin(labels, missing)]
    predicted = np.where(random.random(len(labels)) < 0.6, labels, random.integers(0, 5, 1))
    predicted[predicted == 5] = 0
    report = count_mistakes(labels, predicted, "abcdef")
    balanced = balanced_accuracy_score(labels, predicted)
    assert report.balanced_error == pytest.approx(100 * (1 - balanced))
    f1 = f1_score(labels, predicted, average="macro", zero_division=0)
    assert report.macro_f1 == pytest.approx(f1)
    assert report.error == pytest.approx(100 * (1 - accuracy_score(labels, predicted)))


def test_report_table_shows_names_counts_and_errors():
    table = Report(CONFUSION, ("cat", "dog", "a very long name")).table()
    *lines, below = table.splitlines()
    assert lines[0].split() == ["cat", "dog", "a", "very", "lo…", "error"]
    assert lines[1].split() == ["cat", "8", "2", ".", "20.0%"]
    assert len({len(line) for line in lines}) == 1
    report = Report(CONFUSION, ("cat", "dog", "bee"))
    accuracy = 100 - report.balanced_error
    assert below == f"balanced accuracy {accuracy:.2f} %, macro F1 {report.macro_f1:.4f}"


def test_report_table_of_many_classes_is_a_list():
    confusion = 900 * np.eye(43, dtype=np.int64)
    confusion[2, [5, 7, 8, 9]] = [10, 60, 20, 10]
    class_names = tuple(f"{'speed limit ' * 9}{i}" for i in range(43))
    *lines, _ = Report(confusion, class_names).table().splitlines()
    assert len(lines) == 44
    assert max(map(len, lines)) <= 100
    assert lines[0].split() == ["class", "images", "error", "most", "often", "mistaken", "for"]
    assert len({line[:15] for line in lines[1:]}) == 43
    name = [line[:15].rstrip() for line in lines[1:]]
    assert lines[3].split("  ")[-1] == f"{name[7]} (60), {name[8]} (20), {name[5]} (10)"
    assert "1000" in lines[3]
    assert "10.0%" in lines[3]
    assert lines[1].split()[-1] == "0.0%"


@pytest.mark.parametrize("classes", [2, 10, 16, 17, 20, 25, 43, 100])
def test_report_table_fits_a_terminal(classes):
    confusion = np.random.default_rng(0).integers(0, 1000, (classes, classes))
    class_names = tuple("猫" * 40 + f"_$_{i}\t" for i in range(classes))
    lines = Report(confusion, class_names).table().splitlines()
    assert len(lines) == classes + 2
    assert max(map(display_width, lines)) <= 100


@pytest.mark.parametrize("labels", [[-1, -1], [0, -1], [0, 3], ["cat", "dog"], [0, None]])
def test_count_mistakes_refuses_labels_that_would_be_left_out(labels):
    with pytest.raises(InputError, match="label"):
        count_mistakes(labels, np.zeros(len(labels), int), ("cat", "dog", "bee"))


@pytest.mark.parametrize(("labels", "predicted"), [([1], [0, 1]), ([0, 1, 1], [1]), ([], [0])])
def test_count_mistakes_refuses_labels_that_are_not_one_for_each_image(labels, predicted):
    with pytest.raises(InputError, match="give one for each image"):
        count_mistakes(labels, np.array(predicted), ("cat", "dog"))


@pytest.mark.parametrize("predicted", [[0, 2], [-1, 0]])
def test_count_mistakes_refuses_predictions_of_other_classes(predicted):
    with pytest.raises(InputError, match="but `class_names` has 2 names"):
        count_mistakes([0, 1], np.array(predicted), ("cat", "dog"))


def test_count_mistakes_takes_whole_numbers_of_any_type_and_no_others():
    for dtype in (np.uint8, np.uint64, np.int32):
        report = count_mistakes(np.array([0, 1], dtype), np.array([1, 1], dtype), ("cat", "dog"))
        assert report.confusion.tolist() == [[0, 1], [0, 1]]
    assert count_mistakes([], [], ("cat", "dog")).confusion.sum() == 0
    with pytest.raises(InputError, match="predicted classes must be whole numbers, but are"):
        count_mistakes([0, 1], np.array([1.0, 1.0]), ("cat", "dog"))


def test_predict_of_no_image_needs_no_shape_of_the_network():
    class Network(keras.Model):
        def call(self, images):
            return keras.ops.reshape(images, (-1, 16))

    model = AssociativeModel(Network(), 3)  # not built yet
    embeddings, logits = predict(model, np.zeros((0, 4, 4, 1), np.float32))
    assert (embeddings.shape, logits.shape) == ((0, 16), (0, 3))


def test_evaluate_equals_a_count_over_predictions():
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    model = AssociativeModel(network, 3, similarity="dot")
    random = np.random.default_rng(0)
    # Not a whole number of batches.
    images = random.integers(0, 256, (1203, 4, 4, 1), dtype=np.uint8)
    labels = random.integers(0, 3, 1203)
    found = evaluate(model, images, labels, ("a", "b", "c"))
    report = found.report
    outputs = predict(model, images)
    assert model.predict_function.experimental_get_tracing_count() == 1
    predicted = outputs.logits.argmax(axis=1)
    for true in range(3):
        for guess in range(3):
            count = np.sum((labels == true) & (predicted == guess))
            assert report.confusion[true, guess] == count
    assert report.error == pytest.approx(100 * np.mean(predicted != labels))
    np.testing.assert_allclose(outputs.embeddings, images.reshape(1203, 16), rtol=1e-6)
    np.testing.assert_array_equal(found.embeddings, outputs.embeddings)
    np.testing.assert_array_equal(found.logits, outputs.logits)


def test_a_report_is_its_table_and_needs_no_names():
    model = AssociativeModel(keras.Sequential([keras.Input((2,))]), 2)
    report = evaluate(model, np.eye(2, dtype=np.float32), [0, 1]).report
    assert report.class_names == ("0", "1")
    assert str(report) == report.table()


def classifier(classes=3):
    network = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    return AssociativeModel(network, classes)


def test_evaluate_refuses_fewer_names_than_classes():
    wanted = "`class_names` has 2 names, but the model has 3 classes; give one for each"
    with pytest.raises(InputError, match=wanted):
        evaluate(classifier(), np.zeros((3, 4, 4, 1)), [0, 1, 2], ["cat", "dog"])


def test_evaluate_takes_images_in_lists_and_tensors():
    model, images = classifier(), np.random.default_rng(0).random((6, 4, 4, 1), np.float32)
    wanted = evaluate(model, images, np.arange(6) % 3)
    for given in (list(images), images.tolist(), tf.constant(images)):
        found = evaluate(model, given, np.arange(6) % 3)
        np.testing.assert_array_equal(found.logits, wanted.logits)


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (
            [np.zeros((4, 4, 1)), np.zeros((5, 4, 1))],
            "the images differ in size; bring them to one",
        ),
        (None, r"the images must be an array \[N, ...\], but are a NoneType"),
        (tf.data.Dataset.range(3), "but are a _RangeDataset"),
        ([None, None], "but are a list"),
    ],
)
def test_evaluate_refuses_what_are_no_images_of_one_size(images, line):
    with pytest.raises(InputError, match=line):
        evaluate(classifier(), images, [0, 1])


def test_evaluate_and_predict_refuse_another_model():
    plain, images = keras.Sequential([keras.Input((4, 4, 1))]), np.zeros((2, 4, 4, 1))
    wanted = "`model` is a Sequential, but it must be an AssociativeModel"
    with pytest.raises(InputError, match=wanted):
        evaluate(plain, images, [0, 1])
    with pytest.raises(InputError, match=wanted):
        predict(plain, images)


def test_report_of_no_images_knows_no_error():
    report = count_mistakes(np.empty(0, int), np.empty(0, int), ["a", "b"])
    for value in (report.error, report.balanced_error, report.macro_f1):
        assert np.isnan(value)
    assert report.error_text == "unknown (no test images)"
    for text in (report.error_text, report.table()):
        assert "nan" not in text
        assert "0.0" not in text
