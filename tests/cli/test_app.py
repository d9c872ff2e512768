"""How the programs word what the library says."""

import pytest
from absl import flags

from semisup.cli import app


@pytest.fixture
def size_flag():
    flags.DEFINE_integer("size_of_a_test", 3, "a flag of this test alone")
    yield
    delattr(flags.FLAGS, "size_of_a_test")


def test_with_flags_names_arguments_as_flags(size_flag):
    message = "`size_of_a_test` is 0; try `size_of_a_test=N` or `other=2`, not ``"
    wanted = "--size_of_a_test is 0; try --size_of_a_test=N or `other=2`, not ``"
    assert app.with_flags(message) == wanted
