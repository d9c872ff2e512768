"""The exception for invalid input, and the checks and words that its messages share."""

import operator
import re
from collections.abc import Iterable, Sequence


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


def check_known(what: str, name: object, known: Iterable[str]) -> None:
    """Raise InputError if a name, of the kind `what`, is not one of those that are known."""
    known = tuple(known)
    if name not in known:
        raise InputError(f"unknown {what} {name!r}; known: {', '.join(known)}")


def check_bounds(
    name: str,
    value: float,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
) -> None:
    """Raise InputError if the number of an argument or setting is out of its bounds, or NaN."""
    for bound, is_within, words in (
        (minimum, operator.ge, "at least"),
        (above, operator.gt, "above"),
        (maximum, operator.le, "at most"),
        (below, operator.lt, "below"),
    ):
        if bound is not None and not is_within(value, bound):
            raise InputError(f"`{name}` is {value}; it must be {words} {bound}")
