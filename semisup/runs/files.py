"""Files that are written whole or not at all: under another name first, then renamed."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from semisup.errors import InputError

TEMPORARY = ".tmp."  # begins the name of a file that is being written


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: it holds something else, or is damaged.
        FileNotFoundError: there is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: it holds no JSON object")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all: a line for each setting, or for each list."""
    text = json.dumps(content, indent=2)
    if any(isinstance(value, list) for value in content.values()):
        rows = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
        text = "{\n" + ",\n".join(rows) + "\n}"
    write_text(path, text + "\n")


def json_number(value: float) -> float | None:
    """A number as JSON can have it: None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    with (
        whole(path) as temporary,
        # Names of files may be no UTF-8.
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        write_through(file, text)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Another name to write a file under; at the end it gets its own, if all went well.

    If not, it is deleted. Neither name is followed if it is a link, which may lead out of the
    run's folder.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_through(file: TextIO, text: str) -> None:
    """Write to the disk itself, so that a machine that goes down does not lose it."""
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
