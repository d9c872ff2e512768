"""The README: its Python runs, its numbers, links and pictures are there, it is short."""

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def run_python_of_the_readme(replacements):
    """Run the README's example, changed; returns the test error of the model that it trains."""
    [code] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 12
    for old, new in replacements.items():
        assert old in code
        code = code.replace(old, new)
    names = {}
    exec(code, names)
    digits = names["digits"]
    results = names["model"].evaluate(
        digits.test_images, digits.test_labels, verbose=0, return_dict=True
    )
    return results["error"]


def test_python_of_the_readme_runs():
    small = "keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), *dense])"
    dense = "dense = [keras.layers.Dense(64)]\nkeras.utils"
    changes = {"semisup.mnist_model()": small, "keras.utils": dense, "epochs=3": "epochs=1"}
    assert run_python_of_the_readme(changes) < 40


@pytest.mark.slow  # scripts/test -m slow; a minute
def test_python_of_the_readme_as_it_stands():
    assert run_python_of_the_readme({}) < 10  # labels alone leave about 18


def test_training_loop_of_the_page_on_the_method_learns():
    import keras
    import numpy as np
    import tensorflow as tf

    import semisup

    page = (README.parent / "docs" / "method.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(with tf\.GradientTape.*?)```", page, re.DOTALL)
    keras.utils.set_random_seed(0)
    images = np.eye(6, dtype=np.float32)
    names = {
        **{"tf": tf, "semisup": semisup, "labels": np.arange(6) % 3},
        **{"labeled_images": images, "unlabeled_images": images[:5]},
        "network": keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)]),
        "classifier": keras.layers.Dense(3),
        "optimizer": keras.optimizers.Adam(0.05),
    }
    losses = []
    for _ in range(20):
        exec(code, names)
        losses.append(float(names["loss"]))
    assert losses[-1] < losses[0] - 0.5


def test_a_script_beside_a_clone_imports_the_package(tmp_path):
    # As scripts/venv.sh installs it: the clone's folder, of the same name, is not taken for it.
    (tmp_path / "semisup").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = "import semisup; print(semisup.load_dataset.__name__)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.stdout == "load_dataset\n", result.stderr


def test_figures_of_the_readme_are_those_of_the_results():
    """Each is that of the recipe named beside it, in the row of table 1 with as many labels."""
    results = (README.parent / "docs" / "results.md").read_text(encoding="utf-8")
    [table_1] = re.findall(r"## Table 1.*?(?=\n## )", results, re.DOTALL)
    rows = [
        line.strip("| ").split(" | ")
        for line in table_1.splitlines()
        if line[:2] == "| " and "](results/" in line
    ]
    last, papers = {}, {}
    for labels, paper, error, *_, recipe, _, _, _ in rows:
        name = re.sub(r"\[`(\w+)`\].*", r"\1", recipe)
        count, _, what = labels.partition(" (")
        name = "mnist_all_labels" if what == "no teacher)" else name
        last.setdefault((count, name), set()).add(error)
        papers.setdefault(count, set()).add(paper)
    text = README.read_text(encoding="utf-8")
    [table] = re.findall(r"^\| labels \|.*\n\|-.*\n((?:\|.*\n)+)", text, re.M)
    checked = 0
    for line in table.splitlines():
        labels, paper, *cells = line.strip("| ").split(" | ")
        count = labels.replace(",", "")
        assert paper in papers[count]
        for cell in cells:
            for error, name in re.findall(r"(\d+\.\d+ \(\d+\.\d+\))\W* \(.*?`(\w+)`\)", cell):
                assert error in last[count, name], (labels, error, name)
                checked += 1
            for error, name in re.findall(r"^\W*(\d+\.\d+) \(one seed, `(\w+)`\)", cell):
                assert error in last[count, name], (labels, error, name)
                checked += 1
    assert checked >= 6


def test_errors_on_photographs_are_those_of_the_record():
    record = json.loads((README.parent / "docs/studies/photos_stl10_4.json").read_text("utf-8"))
    medians = {kind: statistics.median(errors) for kind, errors in record["test_error"].items()}
    text = " ".join(README.read_text(encoding="utf-8").split())
    [shown] = re.findall(r"the test error is (\S+) %, with labels only (\S+) %", text)
    assert shown == (f"{medians['association']:.1f}", f"{medians['labels only']:.1f}")


def test_readme_is_short():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert all(len(line) <= 120 for line in lines)


def test_pictures_and_links_of_the_pages_are_there():
    for page in (README, *(README.parent / "docs").glob("*.md")):
        for path in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert path.startswith("https://") or (page.parent / path).is_file(), path


def test_every_data_set_is_in_the_docs():
    from semisup.data.registry import DATASETS

    text = (README.parent / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in DATASETS)
