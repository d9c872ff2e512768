"""Every name of the package has an example in its docstring, and each does what it says."""

import doctest

import numpy as np
import pytest

import semisup


@pytest.mark.parametrize("name", semisup.__all__)
def test_example_of(name):
    names = {"semisup": semisup, "np": np}
    finder = doctest.DocTestFinder(recurse=False)
    tests = finder.find(getattr(semisup, name), name, globs=names)
    assert sum(len(test.examples) for test in tests) > 0, f"{name} has no example"
    for test in tests:
        assert doctest.DocTestRunner().run(test).failed == 0
