"""What the tests of the scripts share."""

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest


@pytest.fixture
def imported() -> Iterator[Callable[[str], ModuleType]]:
    """A function that imports a script; it and its flags are gone afterwards, others as before."""
    from absl import flags
    from absl.testing import flagsaver

    before, parsed, names = flagsaver.save_flag_values(), flags.FLAGS.is_parsed(), []

    def script(name: str) -> ModuleType:
        names.append(name)
        module = importlib.import_module(name)
        flags.FLAGS.mark_as_parsed()
        return module

    yield script
    for name in names:
        del sys.modules[name]
    flagsaver.restore_flag_values(before)
    if not parsed:
        flags.FLAGS.unparse_flags()
