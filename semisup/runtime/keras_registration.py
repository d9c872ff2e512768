"""Registers our classes with Keras, without importing them, Keras or TensorFlow.

`keras.models.load_model` finds the classes of a saved model in Keras's registry, under names such
as "semisup>Muon". A class gets there when its module is imported, which takes the seconds that
TensorFlow takes. So the registry first holds a stand-in under each name, which imports the class
when a model is loaded; the import puts the class in its stand-in's place.

The same hook refuses a Keras with another backend, before anything of ours fails with it.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from semisup.runtime import keras_settings

# Each class decorated with register_keras_serializable(package="semisup"), and its module.
CLASSES = {
    "AssociativeModel": "semisup.models.associative_model",
    "Envelope": "semisup.optimizers.schedules",
    "LateAdam": "semisup.optimizers.freezing",
    "Muon": "semisup.optimizers.muon",
    "StepDecay": "semisup.optimizers.schedules",
}


def register() -> None:
    """Register stand-ins for `CLASSES`: now if Keras is imported, else as soon as it is.

    Raises:
        InputError: Keras is imported, with another backend than TensorFlow.
    """
    keras = sys.modules.get("keras")
    if keras is not None:
        keras_settings.check_backend(keras)
        _add_stand_ins(keras)
    else:
        sys.meta_path.insert(0, _KerasFinder())


def _add_stand_ins(keras: ModuleType) -> None:
    registry = keras.saving.get_custom_objects()
    for name, module in CLASSES.items():
        registry.setdefault(f"semisup>{name}", _stand_in(name, module))


def _stand_in(name: str, module: str) -> type:
    """A class whose `from_config` imports the class `name` of `module` and calls that one's."""

    # No `custom_objects`: Keras then has those of its caller in scope.
    def from_config(config: dict[str, Any]) -> Any:
        return getattr(importlib.import_module(module), name).from_config(config)

    return type(name, (), {"__module__": module, "from_config": staticmethod(from_config)})


class _KerasFinder(MetaPathFinder):
    """Finds Keras as the other finders do, and adds the stand-ins when it has been imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        spec = self._spec_of_others(name, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_register(keras: ModuleType) -> None:
                try:
                    run(keras)
                except Exception:  # its backend may be missing
                    keras_settings.check_backend(None)
                    raise
                keras_settings.check_backend(keras)
                _add_stand_ins(keras)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)

            # Of this loader alone, and nothing else of it: tools ask it for source and data.
            setattr(spec.loader, "exec_module", run_and_register)  # noqa: B010
        return spec

    def _spec_of_others(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None
