"""Every name of the package has an example in its docstring, and each does what it says."""

import doctest
import pkgutil

import numpy as np
import pytest

import semisup

# Others that have one.
INNER = (
    "data.labeled_data.LabeledData",
    "evaluation.evaluate",
    "evaluation.names.shorten",
    "losses.similarity_matrix",
    "runs.directory.RunDirectory",
    "runtime.arguments.whole_number",
)


@pytest.mark.parametrize("name", [*semisup.__all__, *INNER])
def test_example_of(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no run is
    thing = pkgutil.resolve_name(f"semisup.{name}")
    names = {"semisup": semisup, "np": np, thing.__name__: thing}
    tests = doctest.DocTestFinder(recurse=False).find(thing, name, globs=names)
    assert sum(len(test.examples) for test in tests) > 0, f"{name} has no example"
    for test in tests:
        assert doctest.DocTestRunner().run(test).failed == 0
