"""What the pages name is there."""

import ast
import re
from pathlib import Path

import pytest
import recipes_page

from semisup import recipes
from semisup.cli import authors
from semisup.errors import InputError
from semisup.losses import association

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def test_every_equation_has_its_function():
    rows = (ROOT / "docs" / "method.md").read_text(encoding="utf-8").splitlines()
    named = [row.split("|")[-3].strip(" `") for row in rows if re.match(r"\| (\(\d|section)", row)]
    numbers = {int(n) for row in rows for n in re.findall(r"^\| \((\d+)\)", row)}
    assert numbers == set(range(1, 11))
    for name in named:
        text = getattr(association, name).__doc__
        assert re.search(r"equation|section", text), name
    for row in rows:
        if number := re.match(r"\| \((\d+)\)", row):
            name = row.split("|")[-3].strip(" `")
            text = getattr(association, name).__doc__
            assert f"({number[1]})" in text, f"{name} does not name equation ({number[1]})"


def test_every_page_is_in_the_navigation_of_the_site():
    site = (ROOT / "scripts" / "site" / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"- {page.name}\n" in site, f"add {page.name} to nav in scripts/site/mkdocs.yml"


def test_files_and_flags_that_the_pages_name_are_there():
    checked = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for path in re.findall(r"`((?:semisup|scripts|docs)/[\w/]+\.\w+)`", text):
            assert (ROOT / path).is_file(), f"{page.name}: {path}"
        programs = r"^(?:\$ )?(?:\.venv/bin/)?(semisup-\w+|python scripts/\w+\.py)\b(.*)"
        for program, words in re.findall(programs, text, re.MULTILINE):
            flags = re.findall(r"--(\w+)", words)
            unknown = set(flags) - flags_of(program)
            assert not unknown, f"{page.name}: {program} has no --{unknown.pop()}"
            checked |= {program for _ in flags}
    assert {"semisup-train", "semisup-eval", "python scripts/reproduce.py"} <= checked


def flags_of(program):
    """Names of the flags of a program as the pages call it."""
    from dataclasses import fields

    from semisup.config import Recipe

    if program.startswith("semisup-"):
        path = ROOT / "semisup" / f"{program.removeprefix('semisup-')}.py"
    else:
        path = ROOT / program.split()[1]
    text = path.read_text(encoding="utf-8")
    defined = set(re.findall(r'flags\.DEFINE_\w+\(\s*"(\w+)"', text))
    if "define_recipe_flags()" in text:
        defined |= {field.name for field in fields(Recipe)} | {"recipe"}
    for flag in re.findall(r"authors\.define_flags\(authors\.(\w+)\)", text):
        defined |= {theirs.name for theirs in getattr(authors, flag)}
    return defined | {"help"}


def test_imports_go_down_the_layers_of_the_design_page():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    [picture] = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    rows = [re.split(r"\s{2,}", line)[1:] for line in picture.splitlines()]
    layer_of = {name.strip("/"): -row for row, names in enumerate(rows) for name in names}
    assert len(layer_of) == sum(map(len, rows))  # each once
    package = ROOT / "semisup"
    files = [path for path in package.rglob("*.py") if path != package / "__init__.py"]
    packages = {path: path.relative_to(package).parts[0].removesuffix(".py") for path in files}
    assert set(packages.values()) == set(layer_of)
    for path, package in packages.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for imported in imported_packages(node):
                assert layer_of[imported] <= layer_of[package], f"{path.name} imports {imported}"


def imported_packages(node):
    """The packages of ours that an import statement names; none for any other node."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "semisup":
        _, *inside = node.module.split(".")
        return inside[:1] or [alias.name for alias in node.names]
    return []


def test_the_page_of_recipes_is_that_of_their_comments():
    text, source = (
        (ROOT / path).read_text(encoding="utf-8")
        for path in (recipes_page.PAGE, recipes_page.SOURCE)
    )
    found = list(recipes_page.entries(source))
    assert [entry.name for entry in found] == list(recipes.RECIPES)
    assert recipes_page.page(text, found) == text, "run scripts/recipes_page.py"
    assert set(re.findall(r"^semisup-train --recipe=(\w+)", text, re.MULTILINE)) == {
        entry.name for entry in found
    }


def test_a_recipe_without_its_command_is_named():
    source = '    # Digits.\n    # Expected: 3.\n    "mnist": Recipe()'
    with pytest.raises(InputError, match="the comment of mnist needs"):
        list(recipes_page.entries(source))


def test_page_on_performance_is_short():
    lines = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
