"""A trained model as a file for use elsewhere: images in, class probabilities out.

Each export takes images [N, H, W, C], with pixels in the range of the training images, and gives
softmax probabilities, float32 [N, classes]. None of them needs this package to run.
"""

import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from scipy.special import softmax

from semisup.data.image_io import is_visible
from semisup.data.lazy_images import as_images
from semisup.errors import InputError, check_known, few, first_line, missing_package
from semisup.evaluation.metrics import predict
from semisup.models.associative_model import AssociativeModel
from semisup.models.building_blocks import one_tensor
from semisup.runs.directory import CLASSES_ENDING, EXPORT_PREFIX, OF_SAVED_MODELS
from semisup.runs.directory import EXPORT_ENDINGS as ENDINGS
from semisup.runtime import paths

Run = Callable[[np.ndarray], np.ndarray]

# Endings by which people, and Keras, know what a file is.
_OF_FILES = frozenset((".keras", ".h5", ".hdf5", ".pb", ".tflite", ".lite", ".onnx"))

# Types of the pixels that an export takes.
PIXELS = ("float32", "uint8")

# Largest difference of any probability from the same network in float32. TensorFlow runs the first
# two with the same kernels; the others have kernels of their own.
TOLERANCES = {"keras": 1e-5, "saved_model": 1e-5, "tflite": 1e-4, "onnx": 1e-4}

# A model trained in half precision is exported, and so compared, in float32. Where its own
# probabilities differ from these by more, a warning says so.
_ROUNDING = 0.05


def probability_model(
    model: AssociativeModel, image_shape: tuple[int, int, int], dtype: str = "float32"
) -> keras.Model:
    """A plain Keras model from images to class probabilities, in float32.

    Args:
        model: a trained model.
        image_shape: (H, W, C) of the images it takes, whose pixels are in the range of the training
            images.
        dtype: of its input, "float32" or "uint8". Keras converts what it is given: float32 takes
            images of any type, uint8 loses the fractions of pixels.

    Raises:
        InputError: `model` is no AssociativeModel, or the type is another.
    """
    if not isinstance(model, AssociativeModel):
        raise InputError(f"`model` must be an AssociativeModel, but is a {type(model).__name__}")
    if dtype not in PIXELS:
        raise InputError(f"`dtype` is {dtype!r}; it must be one of {', '.join(PIXELS)}")
    network = _in_float32(model.network)
    images = keras.Input(image_shape, dtype=dtype, name="images")
    exact = {"dtype": "float32"}  # whatever Keras's policy is
    classifier = keras.layers.Dense(model.num_classes, name="classifier", **exact)
    if not model.built:  # a subclassed network that was never called
        model.build((None, *image_shape))
    # Layers of augmentation change images unless they are told that this is no training.
    embedding = one_tensor(network(keras.ops.cast(images, "float32"), training=False))
    if model.similarity == "cosine":
        embedding = keras.layers.UnitNormalization(axis=1, **exact)(embedding)
        embedding = keras.layers.Rescaling(model.temperature**-0.5, **exact)(embedding)
    logits = classifier(embedding)
    classifier.set_weights(model.classifier.get_weights())
    return keras.Model(images, keras.layers.Softmax(name="probabilities", **exact)(logits))


def export(
    model: AssociativeModel,
    kind: str,
    out: str | Path,
    images: np.ndarray,
    dtype: str | None = None,
) -> float:
    """Export the model to another format, and check that it makes the same predictions.

    It is written under another name, loaded again by the format's own library, and run on
    real images; only then does it get its name.

    Args:
        model: a trained model.
        kind: one of `ENDINGS`.
        out: the file to write (a folder for saved_model), replaced if it is there.
        images: [N, H, W, C] with N at least 1, of the kind that the model was trained on.
        dtype: of the pixels it will take, "uint8" or "float32"; None for uint8 if `images` are,
            else float32.

    Returns:
        The largest difference of any probability from that of the same network in float32.

    Raises:
        InputError: the format is unknown, its library is missing or can't convert this
            network, the export predicts otherwise, `out` does not end as the format wants or
            is a folder of other things, there are no images [N, H, W, C], or these are not of the
            type.
    """
    out = Path(out)
    pixels = np.asarray(as_images(images))
    if pixels.ndim != 4 or len(pixels) == 0:
        raise InputError(
            f"`images` must be [N, H, W, C] with N at least 1, but have shape {pixels.shape}"
        )
    dtype = dtype or ("uint8" if pixels.dtype == np.uint8 else "float32")
    check_known("format", kind, ENDINGS)
    if out.is_dir():
        _check_replaceable(kind, out)
    elif out.exists() and not ENDINGS[kind]:
        raise InputError(f"{out} is a file, but a {kind} export is a folder; choose another `out`")
    check_name(kind, out)
    if not paths.real(out).parent.is_dir():
        raise InputError(f"there is no folder {out.parent} to write {out.name} in")
    with np.errstate(invalid="ignore"):  # of NaN, which the comparison finds
        whole = pixels.astype(np.uint8)
    if dtype == "uint8" and not np.array_equal(whole, pixels):
        raise InputError(
            "`images` have pixels that uint8 can't hold, whole numbers in [0, 255]; "
            'give `dtype="float32"`'
        )
    with paths.plain(paths.real(out).parent) as folder:
        return _export(model, kind, out, pixels, dtype, folder)


def _check_replaceable(kind: str, folder: Path) -> None:
    """Raise InputError if a folder is more than an earlier export, which would be lost."""
    if kind != "saved_model":
        raise InputError(
            f"{folder} is a folder, but a {kind} export is a file; choose another `out`"
        )
    if not (folder / "saved_model.pb").is_file():
        raise InputError(f"{folder} is a folder that holds no SavedModel; choose another `out`")
    names = {path.name for path in folder.iterdir() if is_visible(path.name)}
    others = sorted(names - OF_SAVED_MODELS)
    if others or folder.is_symlink():
        what = f"also holds {few(others)}" if others else "is a link"
        raise InputError(f"{folder} {what}; choose another `out`")


def check_name(kind: str, out: Path) -> None:
    """Check that an export's name fits its format, before anything is begun.

    Raises:
        InputError: it ends otherwise, or TensorFlow could not open it.
    """
    if not out.name:
        raise InputError(f"{out} is a folder; `out` names the file or folder to write")
    ending = ENDINGS[kind]
    of_another = out.suffix.lower() in _OF_FILES
    if ending and out.suffix != ending:
        better = out.with_suffix(ending) if of_another else out.with_name(f"{out.name}{ending}")
        raise InputError(
            f"the name of a file in the format {kind} must end in {ending}: `out={better}`"
        )
    if not ending and of_another:
        raise InputError(
            f"a {kind} export is a folder, whose name must not end in {out.suffix}: "
            f"`out={out.with_suffix('')}`"
        )
    if kind == "saved_model" and not paths.is_plain(out):
        raise InputError(
            f"TensorFlow can't open a SavedModel in {out}, because its name contains [, ], *, ? or "
            "\\ or bytes that are not UTF-8; choose another `out`"
        )


def classes_file(out: Path) -> Path:
    """The file beside an export that has the names of its classes, one in a line."""
    return out.with_name(f"{out.name}{CLASSES_ENDING}")


def _export(
    model: AssociativeModel, kind: str, out: Path, images: np.ndarray, dtype: str, folder: Path
) -> float:
    """As `export`, in a folder whose path TensorFlow takes."""
    own = softmax(predict(model, images).logits, axis=1)
    with tempfile.TemporaryDirectory(prefix=EXPORT_PREFIX, dir=folder) as place:
        temporary = Path(place) / f"export{ENDINGS[kind]}"
        exported = probability_model(model, images.shape[1:], dtype)
        pixels = images.astype(dtype)
        in_float32 = exported.predict_on_batch(pixels)  # Keras exports no model never called, too
        wanted = in_float32 if _is_half(model.network) else own
        run = _write(exported, kind, temporary)
        difference = float(np.abs(run(pixels) - wanted).max())
        if not difference <= TOLERANCES[kind]:  # "not <=" is true of NaN too
            raise InputError(
                f"the {kind} export differs from the model by {difference:.2g} in a probability, "
                f"more than {TOLERANCES[kind]:g}; it was not kept"
            )
        rounding = float(np.abs(in_float32 - own).max())
        if rounding > _ROUNDING:
            logging.warning(
                "the export computes in float32, the run in half precision: a probability of the "
                f"{len(images)} images that were compared differs by {rounding:.2g}"
            )
        _replace(out, temporary, Path(place) / "earlier")
    return difference


def _replace(out: Path, new: Path, aside: Path) -> None:
    """Put `new` where `out` is; an earlier export goes aside, and comes back if that fails."""
    if not out.is_dir():
        new.replace(out)
        return
    out.rename(aside)
    try:
        new.rename(out)
    except BaseException:
        aside.rename(out)
        raise


def _write(model: keras.Model, kind: str, path: Path) -> Run:
    """Write `model` to `path`; returns what runs the written file on images."""
    write, open_it = {
        "keras": (lambda: model.save(path), _open_keras),
        "saved_model": (
            lambda: _with_plain_names(model).export(path, verbose=False),
            _open_saved_model,
        ),
        "tflite": (lambda: _export_tflite(model, path), _open_tflite),
        "onnx": (lambda: _with_plain_names(model).export(path, "onnx", verbose=False), _open_onnx),
    }[kind]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the converters use and will have to change
            write()
            return open_it(path)
    except ImportError as error:
        if kind == "onnx":
            raise missing_package("the format onnx", "onnxruntime tf2onnx") from None
        raise InputError(f"{kind} needs a package that is missing: {error}") from None
    except OSError as error:  # a full disk, say
        raise InputError(f"cannot export to {path}: {error.strerror or error}") from None
    except Exception as error:  # converters fail in ways of their own
        raise InputError(f"this network can't be exported as {kind}: {first_line(error)}") from None


def _export_tflite(model: keras.Model, path: Path) -> None:
    # By way of a SavedModel, since Keras 3.12 knows no "litert" yet.
    with tempfile.TemporaryDirectory() as folder:
        _with_plain_names(model).export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        # Only operations that every TFLite runtime has: no Flex delegate is needed.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        path.write_bytes(converter.convert())


def _with_plain_names(model: keras.Model) -> keras.Model:
    """The model with names of layers that TensorFlow can take for scopes: none begins with "_"."""
    if not any(layer.name.startswith("_") for layer in model._flatten_layers()):
        return model

    def renamed(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if config["name"].startswith("_"):
            config["name"] = f"layer{config['name']}"
        return layer.__class__.from_config(config)

    result = keras.models.clone_model(model, clone_function=renamed, recursive=True)
    result.set_weights(model.get_weights())
    return result


def _open_keras(path: Path) -> Run:
    return keras.models.load_model(path).predict_on_batch


def _open_saved_model(path: Path) -> Run:
    loaded = tf.saved_model.load(str(path))
    return lambda images: loaded.serve(images).numpy()


def _open_tflite(path: Path) -> Run:
    interpreter = tf.lite.Interpreter(str(path))

    def run(images: np.ndarray) -> np.ndarray:
        place = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(place, images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(place, images)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run


def _open_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return lambda images: session.run(None, {session.get_inputs()[0].name: images})[0]


def _is_half(network: keras.Model) -> bool:
    return any(layer.compute_dtype != "float32" for layer in network._flatten_layers())


def _in_float32(network: keras.Model) -> keras.Model:
    """The network, computing in float32: converters know no bfloat16."""
    if not _is_half(network):
        return network
    config = json.dumps(keras.saving.serialize_keras_object(network))
    for half in ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16"):
        config = config.replace(f'"{half}"', '"float32"')
    copy = keras.saving.deserialize_keras_object(json.loads(config))
    copy.set_weights(network.get_weights())
    return copy
