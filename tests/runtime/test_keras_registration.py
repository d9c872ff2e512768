"""Our classes in Keras's registry, whatever is imported first. Each test has its own process."""

import importlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import semisup
from semisup import AssociativeModel, Envelope, Muon
from semisup.optimizers.freezing import LateAdam
from semisup.optimizers.schedules import StepDecay
from semisup.runtime import keras_registration

# Exits with a traceback if the model of argv[1] does not load with all its classes.
LOAD = """
model = keras.models.load_model(sys.argv[1] + "/muon.keras", safe_mode=True)
kind = lambda thing: f"{type(thing).__module__}.{type(thing).__name__}"
assert kind(model) == "semisup.models.associative_model.AssociativeModel", kind(model)
assert kind(model.optimizer) == "semisup.optimizers.muon.Muon", kind(model.optimizer)
rate = model.optimizer._learning_rate
assert kind(rate) == "semisup.optimizers.schedules.StepDecay", kind(rate)
assert float(rate(10**6)) == np.float32(1e-4)
weight = model.loss_schedules["visit_weight"]
assert kind(weight) == "semisup.optimizers.schedules.Envelope", kind(weight)
assert weight.get_config()["steps"] == 7
assert int(model.optimizer.iterations) == 1
late = keras.models.load_model(sys.argv[1] + "/late.keras")
assert kind(late.optimizer) == "semisup.optimizers.freezing.LateAdam", kind(late.optimizer)
assert late.optimizer.late_by == 3
# From here on all is as if the classes had been imported first.
from semisup.runtime import keras_registration
registry = keras.utils.get_custom_objects()
for name, module in keras_registration.CLASSES.items():
    assert registry[f"semisup>{name}"] is getattr(sys.modules[module], name), name
assert pickle.loads(pickle.dumps(model)).get_config().keys() == model.get_config().keys()
assert type(keras.models.clone_model(model)) is type(model)
model.save(sys.argv[1] + "/again.keras")
assert type(keras.models.load_model(sys.argv[1] + "/again.keras")) is type(model)
print("loaded")
"""

ORDERS = {
    "keras first": "import keras, semisup",
    "semisup first": """
import semisup
assert not {"keras", "tensorflow", "numpy", "semisup.losses"} & set(sys.modules)
assert importlib.util.find_spec("keras").loader.get_filename("keras")  # a look is no import
import keras
assert type(keras.__spec__.loader) is importlib.machinery.SourceFileLoader
assert not any("semisup" in type(finder).__module__ for finder in sys.meta_path)
assert "semisup.models.associative_model" not in sys.modules
""",
    "tensorflow first": "import tensorflow as tf, semisup; keras = tf.keras",
    "one of our modules first": "import semisup.optimizers.schedules, keras",
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with two models that hold all of our classes."""
    folder = tmp_path_factory.mktemp("saved")
    late = LateAdam(1e-3, late=[0], late_by=3)
    for name, optimizer in (("muon", Muon(StepDecay(1e-3, 10, 0.5, 1e-4))), ("late", late)):
        network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
        model = AssociativeModel(network, 2, visit_weight=Envelope(1.0, "linear", 7))
        model.compile(optimizer)
        model.train_on_batch(np.ones((6, 6)), np.array([0, 1, 0, 1, -1, -1]))
        model.save(folder / f"{name}.keras")
    return folder


LONG = ("tensorflow first", "one of our modules first")


@pytest.mark.parametrize(
    "order",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in ORDERS],
)
def test_load_model_finds_our_classes_with(order, saved, tmp_path):
    program = f"import importlib.util, pickle, sys\n{ORDERS[order]}\nimport numpy as np\n{LOAD}"
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "loaded"


def test_classes_are_all_that_we_register():
    for module in ("models.associative_model", "optimizers.freezing", "optimizers.schedules"):
        importlib.import_module(f"semisup.{module}")
    registered = {name for name in keras.saving.get_custom_objects() if name[:8] == "semisup>"}
    assert registered == {f"semisup>{name}" for name in keras_registration.CLASSES}


def test_namespaces_are_attributes_though_nobody_imported_them(monkeypatch):
    for name in ("data", "evaluation", "losses", "models", "optimizers", "visualization"):
        monkeypatch.delattr(semisup, name, raising=False)  # as after `import semisup` alone
        assert name in dir(semisup)
        namespace = getattr(semisup, name)
        assert namespace.__name__ == f"semisup.{name}"
        assert namespace.__doc__
        for member in namespace.__all__:
            getattr(namespace, member)
    assert semisup.losses.walk is semisup.walk
    with pytest.raises(AttributeError, match=r"^module 'semisup' has no attribute 'loses'$"):
        semisup.loses  # noqa: B018
