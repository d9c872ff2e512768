"""The exception for invalid input."""

import re
from collections.abc import Sequence


class InputError(ValueError):
    """Raised for invalid input: a file, a flag, a shape or a name.

    The message is one line that says what is wrong, where, and how to correct it.
    The programs print it and exit with status 1, without a traceback.

    Examples:
        >>> try:
        ...     semisup.load_dataset("imagenet")
        ... except semisup.InputError as error:
        ...     print(str(error)[:32])
        unknown data set 'imagenet'; kno
    """


def missing_package(what: str, packages: str, instead: str = "") -> InputError:
    """The error of something that needs packages which a plain installation leaves out.

    Args:
        what: the feature.
        packages: what to install, as pip takes it.
        instead: another way, if there is one.
    """
    other_way = f"; or {instead}" if instead else ""
    return InputError(f"{what} needs more packages: pip install {packages}{other_way}")


def from_graph(error: Exception) -> InputError | None:
    """The InputError of a Python function that a graph called, such as one that reads a file."""
    _, mark, line = str(getattr(error, "message", "")).partition(f"{InputError.__name__}: ")
    return InputError(line.split("\n")[0]) if mark else None


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    return str(error).strip().split("\n")[0]


def few(words: Sequence[object], separator: str = ", ", most: int = 8) -> str:
    """A list in a message: the first few, and how many more."""
    more = [f"and {len(words) - most} more"] if len(words) > most else []
    return separator.join([*map(str, words[:most]), *more])


def reason(error: Exception) -> str:
    """What an error of TensorFlow's says, in a line, without its names of nodes and files."""
    line = first_line(error)
    return re.sub(r"^(\{\{.*\}\} )?(\S+; )?| \[Op:.*", "", line)
