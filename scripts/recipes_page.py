"""Write the tables and commands of docs/recipes.md from the comments in semisup/recipes.py.

    .venv/bin/python scripts/recipes_page.py

Each recipe's comment says what it is for, its `Command:` and what is `Expected:`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from reproduction.details import line

from semisup.cli.app import run_main
from semisup.errors import InputError
from semisup.runs.files import write_text

PAGE, SOURCE = Path("docs/recipes.md"), Path("semisup/recipes.py")

# The page has a table of the recipes before this one, and one of it and those after it.
_FIRST_TO_ADAPT = "svhn_to_mnist"

_ENTRY = re.compile(r'((?:    # .*\n)+)    "(\w+)": Recipe\(')
_COMMENT = re.compile(r"(.*?) Command: +(.*?) Expected: (.*)")
_TABLE = re.compile(r"\n\| recipe \|.*?\n```\n", re.DOTALL)


class Entry(NamedTuple):
    """A recipe as its comment describes it."""

    name: str
    purpose: str
    commands: list[str]
    expected: str


def entries(source: str) -> Iterator[Entry]:
    """Read the entries of `semisup.recipes.RECIPES`.

    Raises:
        InputError: a comment lacks a part.
    """
    for comment, name in _ENTRY.findall(source):
        text = " ".join(part.strip(" #") for part in comment.splitlines())
        parts = _COMMENT.fullmatch(text)
        if parts is None:
            raise InputError(
                f"{SOURCE}: the comment of {name} needs a purpose, `Command:` and `Expected:`"
            )
        purpose, commands, expected = parts.groups()
        each = commands.split("semisup-train")[1:]
        listed = [f"semisup-train {' '.join(words.split())}" for words in each]
        yield Entry(name, purpose.rstrip("."), listed, expected.rstrip("."))


def table(of_section: list[Entry]) -> str:
    """The recipes as a Markdown table, then their commands."""
    lines = ["", line(["recipe", "what for", "error in percent; runtime"]), "|---|---|---|"]
    lines += [line([f"`{e.name}`", e.purpose, e.expected]) for e in of_section]
    commands = dict.fromkeys(command for entry in of_section for command in entry.commands)
    return "\n".join([*lines, "", "```sh", *commands, "```", ""])


def page(text: str, found: list[Entry]) -> str:
    """The page with its tables made anew.

    Raises:
        InputError: it has not two.
    """
    first = [entry.name for entry in found].index(_FIRST_TO_ADAPT)
    tables = iter((table(found[:first]), table(found[first:])))
    if len(_TABLE.findall(text)) != 2:
        raise InputError(f"{PAGE} must have two tables of recipes, each with commands below it")
    return _TABLE.sub(lambda _: next(tables), text)


def main() -> None:
    found = list(entries(SOURCE.read_text(encoding="utf-8")))
    write_text(PAGE, page(PAGE.read_text(encoding="utf-8"), found))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    run_main(main, __doc__)
