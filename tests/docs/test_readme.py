"""The README's Python runs as it stands there, and adds the method in five lines."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parents[2] / "README.md"


def test_python_of_the_readme():
    setup, method, losses = re.findall(
        r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL
    )
    assert len(method.strip().splitlines()) <= 5
    names = {}
    exec(setup, names)
    exec(method.replace("epochs=3", "epochs=2"), names)  # the third is not worth its 10 s here
    digits, model = names["digits"], names["model"]
    results = model.evaluate(digits.test_images, digits.test_labels, verbose=0, return_dict=True)
    assert results["error"] < 10  # labels alone leave about 18
    exec(losses, names)
    assert np.isfinite(names["loss"])


def test_pictures_and_links_of_the_pages_are_there():
    for page in (README, *(README.parent / "docs").glob("*.md")):
        for path in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert path.startswith("https://") or (page.parent / path).is_file(), path


def test_every_data_set_is_in_the_docs():
    from semisup.data.registry import DATASETS

    text = (README.parent / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in DATASETS)
