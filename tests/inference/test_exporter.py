"""Exports load without this package, and give the run's own probabilities."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from semisup import AssociativeModel
from semisup.errors import InputError
from semisup.inference import exporter, saved_run
from semisup.runs.directory import RunDirectory
from tests.conftest import easy_digits

IMAGES = easy_digits(20, seed=9)[0][..., None]
REAL = easy_digits(30, seed=8)[0][..., None]


@pytest.fixture(scope="module")
def run(finished_run):
    return saved_run.load(RunDirectory(finished_run))


@pytest.fixture(scope="module")
def wanted(run):
    return softmax(run.model.predict_on_batch(IMAGES)["logits"], axis=1)


def test_tflite_runs_one_image_at_a_time(run, wanted, tmp_path):
    path = tmp_path / "digits.tflite"
    exporter.export(run.model, "tflite", path, REAL)
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    [entry], [result] = interpreter.get_input_details(), interpreter.get_output_details()
    assert entry["dtype"] == np.uint8
    for image, probabilities in zip(IMAGES, wanted, strict=True):
        interpreter.set_tensor(entry["index"], image[None])
        interpreter.invoke()
        got = interpreter.get_tensor(result["index"])[0]
        np.testing.assert_allclose(got, probabilities, atol=1e-4)


def test_keras_export_needs_keras_only(run, wanted, tmp_path):
    path = tmp_path / "digits.keras"
    exporter.export(run.model, "keras", path, REAL, dtype="float32")
    with zipfile.ZipFile(path) as file:
        assert "semisup" not in json.dumps(json.loads(file.read("config.json")))
    model = keras.models.load_model(path)
    np.testing.assert_allclose(model.predict_on_batch(IMAGES / 1.0), wanted, atol=1e-6)


@pytest.mark.parametrize("kind", ["keras", "saved_model", "tflite"])
def test_augmentation_inside_a_network_stays_out_of_its_export(kind, tmp_path):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.RandomFlip(), keras.layers.RandomRotation(0.2), keras.layers.Flatten()]
    shape = REAL.shape[1:]
    network = keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(4)])
    model = AssociativeModel(network, 10)
    path = tmp_path / f"digits{exporter.ENDINGS[kind]}"
    exporter.export(model, kind, path, REAL)
    if kind == "keras":  # called, not by `predict`
        wanted = softmax(model.predict(REAL, verbose=0)["logits"], axis=1)
        np.testing.assert_allclose(keras.models.load_model(path)(REAL), wanted, atol=1e-5)


@pytest.mark.parametrize("half", ["bfloat16", "mixed_bfloat16"])
def test_half_precision_of_any_policy_is_exported_in_float32(half, tmp_path):
    layers = [keras.layers.Flatten(dtype=half), keras.layers.Dense(4, dtype=half)]
    model = AssociativeModel(keras.Sequential([keras.Input(REAL.shape[1:]), *layers]), 10)
    exporter.export(model, "tflite", tmp_path / "digits.tflite", REAL)


@pytest.mark.parametrize("similarity", ["dot", "cosine", "euclidean"])
def test_probability_model_gives_the_models_own_probabilities(similarity):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(16)]
    network = keras.Sequential([keras.Input(IMAGES.shape[1:]), *layers])
    model = AssociativeModel(network, 10, similarity=similarity, temperature=0.05)
    wanted = softmax(model.predict_on_batch(IMAGES)["logits"], axis=1)
    got = exporter.probability_model(model, IMAGES.shape[1:]).predict_on_batch(IMAGES)
    assert wanted.max() > 0.15  # else all would be alike
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_images_of_floats_keep_their_fractions(tmp_path):
    """A model of pixels in [0, 1]: as bytes, all of them would be 0 or 1."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input(IMAGES.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(16)]
    model = AssociativeModel(keras.Sequential(layers), 10)
    images = (IMAGES / 255).astype(np.float32)
    wanted = softmax(model.predict_on_batch(images)["logits"], axis=1)
    path = tmp_path / "digits.keras"
    exporter.export(model, "keras", path, images)
    for exported in (keras.models.load_model(path), exporter.probability_model(model, (28, 28, 1))):
        np.testing.assert_allclose(exported.predict_on_batch(images), wanted, atol=1e-5)
    with pytest.raises(InputError, match=r'that uint8 can\'t hold, .* give `dtype="float32"`'):
        exporter.export(model, "keras", path, images, dtype="uint8")
    exporter.export(model, "keras", path, list(IMAGES))
    assert keras.models.load_model(path).input.dtype == "uint8"


def test_probability_model_of_a_subclassed_network_that_was_never_called():
    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(4)

        def call(self, images, training=None):
            return self.dense(keras.ops.reshape(images, (-1, 784)))

    model = AssociativeModel(Network(), 3)
    probabilities = exporter.probability_model(model, (28, 28, 1)).predict_on_batch(IMAGES)
    wanted = softmax(model.predict_on_batch(IMAGES)["logits"], axis=1)
    np.testing.assert_allclose(probabilities, wanted, atol=1e-6)


def test_export_refuses_other_models_types_and_images(tmp_path):
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    with pytest.raises(InputError, match="must be an AssociativeModel, but is a Sequential"):
        exporter.probability_model(network, (28, 28, 1))
    with pytest.raises(InputError, match="`dtype` is 'int8'; it must be one of float32, uint8"):
        exporter.probability_model(AssociativeModel(network, 2), (28, 28, 1), "int8")
    for images in (IMAGES[:0], IMAGES[..., 0], IMAGES[0, 0, 0]):
        with pytest.raises(InputError, match=r"`images` must be \[N, H, W, C\] with N at least 1"):
            exporter.export(AssociativeModel(network, 2), "keras", tmp_path / "a.keras", images)


@pytest.mark.parametrize(
    ("kind", "name", "better"),
    [
        ("keras", "model.h5", "model.keras"),
        ("keras", "model", "model.keras"),
        ("keras", "model.v2", "model.v2.keras"),
        ("tflite", "net.keras", "net.tflite"),
        ("tflite", "net.TFLITE", "net.tflite"),
        ("onnx", "net.pb", "net.onnx"),
        ("saved_model", "net.keras", "net"),
        ("saved_model", "net.pb", "net"),
    ],
)
def test_check_name_wants_the_ending_of_the_format(tmp_path, kind, name, better):
    with pytest.raises(InputError, match=rf"`out={re.escape(str(tmp_path / better))}`"):
        exporter.check_name(kind, tmp_path / name)
    exporter.check_name(kind, tmp_path / better)


def test_check_name_wants_a_name():
    with pytest.raises(InputError, match=r"^\. is a folder; `out` names the file or folder"):
        exporter.check_name("tflite", Path())


def test_check_name_refuses_a_saved_model_that_tensorflow_cannot_open(tmp_path):
    with pytest.raises(InputError, match="TensorFlow can't open a SavedModel in"):
        exporter.check_name("saved_model", tmp_path / "lr[3e-3]" / "classifier")
    exporter.check_name("keras", tmp_path / "lr[3e-3]" / "classifier.keras")


def test_classes_file_is_another_for_each_export(tmp_path):
    names = ["animals.v1", "animals.v2", "net.tflite", "net.keras", "net.onnx", "net"]
    assert len({exporter.classes_file(tmp_path / name) for name in names}) == len(names)


def test_keras_export_in_a_folder_whose_name_is_a_pattern(run, wanted, tmp_path):
    path = tmp_path / "lr[3e-3]" / "a[b].keras"
    path.parent.mkdir()
    exporter.export(run.model, "keras", path, REAL)
    assert list(path.parent.iterdir()) == [path]
    np.testing.assert_allclose(
        keras.models.load_model(path).predict_on_batch(IMAGES), wanted, atol=1e-6
    )


def test_saved_model_is_replaced_but_no_other_folder(run, wanted, tmp_path):
    path = tmp_path / "digits"
    for _ in range(2):
        exporter.export(run.model, "saved_model", path, REAL)
    loaded = tf.saved_model.load(str(path))
    np.testing.assert_allclose(loaded.serve(IMAGES), wanted, atol=1e-6)
    assert [entry.name for entry in tmp_path.iterdir()] == ["digits"]
    (tmp_path / "photos").mkdir()
    for kind in ("saved_model", "keras"):
        with pytest.raises(InputError, match="photos is a folder"):
            exporter.export(run.model, kind, tmp_path / "photos", REAL)
    with pytest.raises(InputError, match="there is no folder"):
        exporter.export(run.model, kind, tmp_path / "missing" / "digits.keras", REAL)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(InputError, match="link is a link; choose another `out`"):
        exporter.export(run.model, "saved_model", tmp_path / "link", REAL)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file, but a saved_model export is a folder"):
        exporter.export(run.model, "saved_model", tmp_path / "file", REAL)
    (path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"digits also holds thesis\.tex; choose another `out`"):
        exporter.export(run.model, "saved_model", path, REAL)
    assert (path / "thesis.tex").exists()


def test_onnx(run, wanted, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    exporter.export(run.model, "onnx", tmp_path / "digits.onnx", REAL)
    session = onnxruntime.InferenceSession(tmp_path / "digits.onnx")
    [got] = session.run(None, {"images": IMAGES})
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [("keras", 1e-5), ("saved_model", 1e-5), ("tflite", 1e-4), ("onnx", 1e-4)],
)
def test_an_export_that_predicts_otherwise_is_not_kept(run, tmp_path, monkeypatch, kind, tolerance):
    path = tmp_path / f"digits{exporter.ENDINGS[kind]}"
    own = softmax(run.model.predict_on_batch(REAL)["logits"], axis=1)
    for number, error in enumerate((0.5 * tolerance, 2 * tolerance, np.nan)):
        # Of one probability of one image.
        wrong = own + error * (np.arange(own.size) == 37).reshape(own.shape)
        monkeypatch.setattr(exporter, "_write", written(wrong, number))
        if number == 0:
            found = exporter.export(run.model, kind, path, REAL)
            assert found == pytest.approx(error, rel=0.05)
        else:
            with pytest.raises(InputError, match=r"differs from the model by .* it was not kept"):
                exporter.export(run.model, kind, path, REAL)
        file = path / "saved_model.pb" if kind == "saved_model" else path
        assert file.read_text() == "0"
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def written(probabilities, content):
    """A converter, whose exports have this content and give these probabilities."""

    def write(model, kind, path):
        if kind == "saved_model":
            path.mkdir()
            path /= "saved_model.pb"
        path.write_text(f"{content}")
        return lambda images: probabilities

    return write


def test_half_precision_is_exported_and_compared_in_float32(tmp_path, caplog):
    from semisup.models import architectures

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        keras.utils.set_random_seed(0)
        network = architectures.build("mnist_model", (28, 28, 1))
        model = AssociativeModel(network, 10)
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("embedding").compute_dtype == "bfloat16"
    written = tmp_path / "digits.tflite"
    difference = exporter.export(model, "tflite", written, REAL)
    assert difference < exporter.TOLERANCES["tflite"]
    own = softmax(model.predict_on_batch(REAL)["logits"], axis=1)
    found = exporter._open_tflite(written)(REAL)
    assert 0 < np.abs(found - own).max() < 0.05  # bfloat16 rounds
    caplog.clear()
    model.classifier.kernel.assign(100 * model.classifier.kernel)  # and so do the probabilities
    exporter.export(model, "tflite", written, REAL)
    assert "half precision: a probability of the" in caplog.text


def test_an_earlier_export_comes_back_if_the_new_one_can_not_take_its_place(tmp_path):
    out, aside = tmp_path / "digits", tmp_path / "aside"
    out.mkdir()
    (out / "saved_model.pb").write_text("earlier")
    with pytest.raises(FileNotFoundError):
        exporter._replace(out, tmp_path / "missing", aside)
    assert (out / "saved_model.pb").read_text() == "earlier"
    assert not aside.exists()


def test_exports_to_one_folder_do_not_share_a_name(run, tmp_path, monkeypatch):
    write, places = exporter._write, []

    def noted(model, kind, path):
        places.append(path)
        return write(model, kind, path)

    monkeypatch.setattr(exporter, "_write", noted)
    for name in ("lr[1e-3].tflite", "lr[3e-3].tflite"):  # which TensorFlow can't open
        exporter.export(run.model, "tflite", tmp_path / name, REAL)
    assert places[0] != places[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "lr[1e-3].tflite",
        "lr[3e-3].tflite",
    ]


@pytest.mark.parametrize(("kind", "name"), [("tflite", "digits.tflite"), ("saved_model", "digits")])
def test_exports_take_layers_of_any_name(kind, name, tmp_path):
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(2, 5, name="_conv")])
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            inner,
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="_top"),
        ]
    )
    model = AssociativeModel(network, num_classes=10)
    path = tmp_path / name
    exporter.export(model, kind, path, REAL)
    assert path.exists()
    assert [layer.name for layer in inner.layers] == ["_conv"]


def test_unfinished_folders_are_named(tmp_path, finished_run):
    shutil.copy(finished_run / "recipe.json", tmp_path)
    with pytest.raises(InputError, match="no whole checkpoint"):
        saved_run.load(RunDirectory(tmp_path))
