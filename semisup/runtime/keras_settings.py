"""Settings of Keras's that people have in their environment or in keras.json."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from semisup.errors import InputError

_BACKEND = "tensorflow"
_EXTRAS = ("sklearn", "pandas", "matplotlib.pyplot")


def prepare_environment() -> None:
    """For a program of ours: let Keras compute with TensorFlow. Call it before any import."""
    os.environ["KERAS_BACKEND"] = _BACKEND
    # tf.keras would be Keras 2, a package that need not be there; TensorBoard's asks for it.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)


@contextmanager
def without_extras() -> Iterator[None]:
    """For a program of ours: import Keras in here, and it leaves out what it can do without.

    Its wrappers for scikit-learn, data frames and galleries, which no program uses, would import
    all of scikit-learn, pandas and pyplot, for a second or more.
    """
    absent = [name for name in _EXTRAS if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # which makes its import fail
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def use_defaults() -> None:
    """For a program of ours: Keras's own defaults, whatever keras.json says."""
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


@contextmanager
def channels_last() -> Iterator[None]:
    """Context manager: layers take images [batch, H, W, C] unless told otherwise."""
    import keras

    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def check_backend(keras: ModuleType | None) -> None:
    """Check that Keras computes with TensorFlow.

    Args:
        keras: the package; None if its import failed.

    Raises:
        InputError: it computes, or wants to compute, with another backend.
    """
    backend, where = os.environ.get("KERAS_BACKEND"), "the environment variable KERAS_BACKEND"
    if not backend:
        backend, where = _backend_in_file()
    if keras is not None:
        backend = keras.config.backend()
    if backend != _BACKEND:
        raise InputError(
            f"Keras's backend is {backend} ({where}), but semisup needs {_BACKEND}; set "
            f"KERAS_BACKEND={_BACKEND} in the environment before Python starts"
        )


def _backend_in_file() -> tuple[str, str]:
    """The backend that keras.json names, and the file; TensorFlow if it names none."""
    folder = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    file = Path(folder) / "keras.json"
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["backend"]), str(file)
    except (OSError, ValueError, KeyError, TypeError):
        return _BACKEND, str(file)
