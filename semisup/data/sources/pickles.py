"""Arrays out of pickle files, without running what a pickle may ask to run.

A pickle is a program that may call any function. Here it may make NumPy arrays, their scalars and
types, and plain containers; whatever else it names, is refused before anything of it is called.
"""

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from semisup.data.sources.compressed import read_bytes
from semisup.errors import InputError, first_line


def read_pickle(path: Path) -> dict[str, Any]:
    """Read a dictionary of arrays and plain values, as Python 2 or 3 pickled it.

    Args:
        path: the file; it is unzipped if its name ends in .gz.

    Raises:
        InputError: the file is missing or damaged, asks for something else than arrays, or is no
            dictionary.
    """
    content = read_bytes(path)
    try:
        # latin1 is how NumPy's arrays come over from Python 2.
        loaded = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except InputError as error:
        raise InputError(f"{path} {error}") from None
    except Exception as error:  # a damaged pickle fails in as many ways as there are opcodes
        raise InputError(
            f"{path} is not a pickle of arrays, or is damaged ({type(error).__name__}: "
            f"{first_line(error)})"
        ) from None
    if not isinstance(loaded, dict):
        raise InputError(f"{path} holds a {type(loaded).__name__}, wanted a dictionary of arrays")
    return {
        key.decode("latin1") if isinstance(key, bytes) else str(key): value
        for key, value in loaded.items()
    }


def images_in(content: dict[str, Any], key: str, path: Path) -> np.ndarray:
    """The images under a key, uint8 [N, H, W, C]; InputError if they are something else."""
    images = _as_array(content, key, path)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise InputError(
            f"{path}: {key} is {images.dtype} {images.shape}, wanted bytes [N, H, W, C]"
        )
    return images


def labels_in(content: dict[str, Any], key: str, path: Path) -> np.ndarray:
    """The labels under a key, int64 [N], whether numbers, their texts, or rows with a single 1."""
    labels = _as_array(content, key, path)
    if (
        labels.ndim == 2
        and labels.shape[1] > 1
        and labels.dtype.kind in "buif"
        and np.all((labels == 0) | (labels == 1))
        and np.all(labels.sum(axis=1) == 1)
    ):
        return labels.argmax(axis=1).astype(np.int64)
    try:
        if labels.ndim == 1:
            numbers = labels.astype(np.int64)
            if labels.dtype.kind not in "fc" or np.all(numbers == labels):
                return numbers
    except (ValueError, TypeError, OverflowError):
        pass
    raise InputError(f"{path}: {key} is {labels.dtype} {labels.shape}, wanted whole numbers [N]")


class _Kind:
    """The type of an array's numbers. NumPy's own believes whatever a pickle says of its memory."""

    __slots__ = ("dtype",)

    def __init__(self, text: Any) -> None:
        if not isinstance(text, str) or not _PLAIN_TYPES.fullmatch(text):
            raise InputError(f"holds an array of {text!r}, which are not plain numbers or strings")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        _, order, *fields = state
        if order not in ("<", ">", "|", "=") or any(field is not None for field in fields[:3]):
            raise InputError("holds an array of records; wanted plain numbers or strings")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array that takes its type from a `_Kind`; `numpy.asarray` makes an ordinary one of it."""

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, by_columns, content = state
        super().__setstate__((version, shape, _dtype_of(kind), by_columns, content))


def _dtype_of(kind: Any) -> np.dtype:
    if not isinstance(kind, _Kind):
        raise InputError("holds an array without a type")
    return kind.dtype


# What a pickle may call. Functions, no classes: it could change those.


def _kind(text: Any, *_: Any) -> _Kind:
    return _Kind(text)


def _empty_array(*_: Any) -> np.ndarray:
    """What an array begins as; its size, type and bytes follow. The arguments are not trusted."""
    return _Array((0,), "b")


def _scalar(kind: Any, content: Any = b"") -> Any:
    if _dtype_of(kind).hasobject:
        raise InputError("holds a scalar that is a Python object, which is refused")
    data = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(data, _dtype_of(kind))[0]


def _array_of_buffer(buffer: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    """What NumPy pickles arrays as since protocol 5."""
    return np.frombuffer(buffer, _dtype_of(kind)).reshape(shape, order=order)


def _as_bytes(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 writes bytes. Other codecs can unpack to any size, and are refused."""
    if encoding.lower().replace("-", "") != "latin1":
        raise InputError(f"holds a string encoded in {encoding!r}, which is refused")
    return text.encode("latin1")


# Truth values, whole and real and complex numbers, bytes, texts, and objects, which are again
# what a pickle may hold.
_PLAIN_TYPES = re.compile(r"[biufcSU]\d+|O8?")

# By the names that NumPy has had for its modules.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "an argument of _reconstruct",
    ("numpy", "dtype"): _kind,
    ("_codecs", "encode"): _as_bytes,
    **{
        (f"numpy.{core}.{module}", name): function
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", _empty_array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _array_of_buffer),
        )
    },
}


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that finds nothing but what arrays are made of."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise InputError(
                f"asks for {module}.{name}, which is not an array and is refused, since a pickle "
                "can run any program; store the arrays with numpy.savez instead"
            ) from None


def _as_array(content: dict[str, Any], key: str, path: Path) -> np.ndarray:
    try:
        return np.asarray(content[key])
    except ValueError:
        raise InputError(f"{path}: {key} is a list of parts of different sizes") from None
