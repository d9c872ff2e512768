"""Write the tables and commands of docs/recipes.md from the comments in semisup/recipes.py.

    .venv/bin/python scripts/recipes_page.py

Each recipe's comment says what it is for, its `Command:` and what is `Expected:`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from semisup.cli.app import run_main
from semisup.errors import InputError
from semisup.runs.files import write_text

PAGE, SOURCE = Path("docs/recipes.md"), Path("semisup/recipes.py")

# The headings of the page, each with the first recipe below it.
_SECTIONS = {"## Few labels": "mnist5k", "## Domain adaptation": "svhn_to_mnist"}

_ENTRY = re.compile(r'((?:    # .*\n)+)    "(\w+)": Recipe\(')
_COMMENT = re.compile(r"(.*?) Commands?: +(.*?) Expected: (.*)")
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
        text = " ".join(line.strip(" #") for line in comment.splitlines())
        parts = _COMMENT.fullmatch(text)
        if parts is None:
            raise InputError(
                f"{SOURCE}: the comment of {name} needs a purpose, `Command:` and `Expected:`"
            )
        purpose, commands, expected = parts.groups()
        first, *others = commands.split("semisup-train")[1:] or [""]
        listed = [f"semisup-train {' '.join(words.split())}".strip() for words in (first, *others)]
        yield Entry(name, purpose.rstrip("."), listed, expected.rstrip("."))


def table(of_section: list[Entry]) -> str:
    """The recipes as a Markdown table, then their commands."""
    lines = ["", "| recipe | what for | error in percent; runtime |", "|---|---|---|"]
    lines += [f"| `{e.name}` | {e.purpose} | {e.expected} |" for e in of_section]
    commands = dict.fromkeys(command for entry in of_section for command in entry.commands)
    return "\n".join([*lines, "", "```sh", *commands, "```", ""])


def page(text: str, found: list[Entry]) -> str:
    """The page with its tables made anew.

    Raises:
        InputError: it lacks one.
    """
    first = [[entry.name for entry in found].index(name) for name in _SECTIONS.values()]
    bounds = [*first, len(found)]
    for i, heading in enumerate(_SECTIONS):
        before, section = text.split(heading)
        old = _TABLE.search(section)
        if old is None:
            raise InputError(f"{PAGE}: there is no table of recipes below {heading!r}")
        new = table(found[bounds[i] : bounds[i + 1]])
        text = before + heading + section.replace(old[0], new, 1)
    return text


def main() -> None:
    found = list(entries(SOURCE.read_text(encoding="utf-8")))
    write_text(PAGE, page(PAGE.read_text(encoding="utf-8"), found))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    run_main(main, __doc__)
