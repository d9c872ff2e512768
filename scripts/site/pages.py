"""Hooks of MkDocs: pages that are no files in docs/, and links that point out of it."""

import base64
import dataclasses
import json
import re
import sys
from pathlib import Path
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

# Pages of the repository that the site has too, and their names there.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "BUILD_NOTES.md": "build_notes.md",
    "CHANGELOG.md": "changelog.md",
}

# Pages of the API reference, each of a module.
MODULES = {
    "semisup": "semisup",
    **{
        name: f"semisup.{name}"
        for name in (
            "losses",
            "models",
            "optimizers",
            "data",
            "evaluation",
            "inference",
            "visualization",
        )
    },
    "association": "semisup.losses.association",
    "distribution": "semisup.runtime.distribution",
}

# Names in tables are not broken; columns are as narrow as their words, so that few tables scroll.
CSS = """
.md-typeset td code { word-break: normal; }
.md-typeset table:not([class]) th { min-width: 0; }
.md-typeset table:not([class]) :is(th, td) { padding: 0.5em 0.8em; }
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files in docs/, and let the notebook be one."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        for generated in _notebook_page(notebook, config):
            files.append(generated)
    for source, name in PAGES.items():
        content = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=content))
    for name, module in MODULES.items():
        content = f"# {module}\n\n::: {module}\n"
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    files.append(File.generated(config, "reference/config.md", content=_settings_page()))
    files.append(File.generated(config, "tables.css", content=CSS))
    return files


def _settings_page() -> str:
    """The fields of `Recipe`, by group, with defaults and help."""
    sys.path.insert(0, str(ROOT))  # the package need not be installed
    from semisup.config import GROUPS, Recipe

    first = {field: group for group, field in GROUPS.items()}
    lines = ["# Settings", "", "Each is a field of `semisup.config.Recipe` and a flag of "]
    lines[-1] += "`semisup-train`. The defaults are those of `Recipe()`; a recipe sets others."
    for field in dataclasses.fields(Recipe):
        if field.name in first:
            lines += ["", f"## {first[field.name]}", "", "| setting | default | |", "|---|---|---|"]
        default = "none" if field.default is None else field.default
        lines.append(f"| `{field.name}` | {default} | {field.metadata['help']} |")
    return "\n".join(lines) + "\n"


def _notebook_page(notebook: File, config: MkDocsConfig) -> list[File]:
    """A notebook as a page of Markdown, and the pictures that it shows."""
    parts: list[str] = []
    made: list[File] = []
    stem = notebook.src_uri.removesuffix(".ipynb")
    for cell in json.loads(notebook.content_string)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            shown = output.get("data", {})
            if png := shown.get("image/png"):
                name = f"{stem}_{len(made)}.png"
                made.append(File.generated(config, name, content=base64.b64decode(png)))
                parts.append(f"![output]({name})")
            elif text := output.get("text", shown.get("text/plain")):
                parts.append(f"```text\n{''.join(text).rstrip()}\n```")
    return [File.generated(config, f"{stem}.md", content="\n\n".join(parts)), *made]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links between the repository's files be links between pages of the site."""
    sources = {name: source for source, name in PAGES.items()}
    here = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def to_page(match: re.Match[str]) -> str:
        text, target = match[1], match[2]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, _, anchor = target.partition("#")
        place = normpath(f"{here}/../{path}")
        if place.startswith("semisup/"):
            name = place.split("/")[1].removesuffix(".py")
            place = f"reference/{name}.md"
        else:
            place = PAGES.get(place, place.removeprefix("docs/").replace(".ipynb", ".md"))
        if not files.get_file_from_path(place):
            return text  # a file of the repository that the site has not
        start = page.file.src_uri.rpartition("/")[0] or "."
        return f"[{text}]({relpath(place, start)}{'#' * bool(anchor)}{anchor})"

    return re.sub(r"\[((?:!\[[^]]*\]\([^)]*\)|[^][])*)\]\(([^)\s]+)\)", to_page, markdown)
