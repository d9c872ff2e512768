"""The notebook docs/tutorial.ipynb: runs from top to bottom, and keeps its outputs."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.docs.test_docs import flags_of

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def test_notebook_keeps_its_outputs_and_names_flags_that_there_are():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", ()) for output in outputs) >= 2
    assert NOTEBOOK.stat().st_size < 1e6
    source = "\n".join("".join(cell["source"]) for cell in cells)
    commands = re.findall(r"^!(semisup-\w+)(.*)", source, re.MULTILINE)
    assert len(commands) == 4
    for program, words in commands:
        assert set(re.findall(r"--(\w+)", words)) <= flags_of(program)


@pytest.mark.slow  # scripts/test -m slow; minutes
def test_notebook_runs(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    programs = tmp_path / "bin"
    programs.mkdir()
    for program in ("train", "eval", "predict", "export"):
        script = programs / f"semisup-{program}"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m semisup.{program} "$@"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    # Keras would download the weights. A small network with random ones will do.
    for cell in notebook.cells:
        cell.source = cell.source.replace("keras:EfficientNetV2B0", "keras:MobileNetV3Small")
        cell.source = cell.source.replace("--recipe=photos ", "--recipe=photos --weights=none ")
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=1800, resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = "".join(output.get("text", "") for output in outputs)
    assert float(re.search(r"test error with association: ([\d.]+) %", printed)[1]) < 10
    assert (tmp_path / "classes.csv").read_text().count("\n") == 21
    assert (tmp_path / "classifier.tflite.classes.txt").read_text() == "china\nflower\n"
