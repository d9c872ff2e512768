"""Which precision is used where."""

import keras
import numpy as np
import pytest

from semisup import experiment, recipes
from semisup.errors import InputError
from semisup.models import architectures, imagenet_networks
from semisup.runtime import precision


def test_named_precisions_are_taken_at_their_word():
    assert precision.resolve("float32") == "float32"
    assert precision.resolve("mixed_bfloat16") == "mixed_bfloat16"
    with pytest.raises(InputError, match="unknown `precision` 'half'; known: auto, float32, mixed"):
        precision.resolve("half")


@pytest.mark.parametrize(
    ("cpuinfo", "fast"),
    [
        ("vendor_id\t: AuthenticAMD\nmodel name : X\nflags\t\t: fpu avx512_bf16 sse\n", True),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512_bf16 sse\n", False),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512_bf16 amx_bf16\n", True),
        ("flags : fpu amx_bf16\n", True),
        ("Features : fp asimd bf16\n", True),
        ("flags : fpu avx512f\n", False),
        ("model name : has avx512_bf16 in its name\nflags : fpu\n", False),
        ("", False),
    ],
)
def test_processor_says_whether_it_has_fast_bfloat16(tmp_path, cpuinfo, fast):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert precision._processor_has_fast_bfloat16(tmp_path / "cpuinfo") is fast


@pytest.mark.parametrize(
    ("capabilities", "wanted"),
    [([(8, 0)], "mixed_bfloat16"), ([(7, 5)], "float32"), ([(9, 0), (7, 0)], "float32")],
)
def test_gpus_decide_where_there_are_any(monkeypatch, capabilities, wanted):
    config = precision.tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: capabilities)
    details = lambda gpu: {"compute_capability": gpu}  # noqa: E731
    monkeypatch.setattr(config.experimental, "get_device_details", details)
    assert precision.resolve("auto") == wanted


def test_layers_inside_the_policy_only():
    before = keras.config.dtype_policy().name
    with pytest.raises(RuntimeError), precision.policy("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
        raise RuntimeError
    assert keras.config.dtype_policy().name == before
    assert keras.layers.Dense(1).compute_dtype == "float32"


# The large ones are put together in the same way, and take seconds each.
SMALL = [name for name in architectures.ARCHITECTURES if name not in imagenet_networks.SMALLEST]


@pytest.mark.parametrize("name", SMALL)
def test_networks_compute_in_bfloat16_and_the_model_in_float32(name):
    shape = (32, 32, 3)
    images = np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8)
    outputs = []
    for numbers in ("float32", "mixed_bfloat16"):
        keras.utils.set_random_seed(0)
        with precision.policy(numbers):
            network = architectures.build(name, shape)
        assert all(weight.dtype == "float32" for weight in network.weights)
        outputs.append(network(images))
    assert network.get_layer("embedding").compute_dtype == "bfloat16"
    assert [output.dtype.name for output in outputs] == ["float32", "float32"]
    exact, coarse = (output.numpy() for output in outputs)
    assert 0 < np.abs(exact - coarse).max() < 0.05 * np.abs(exact).max()


def test_losses_stay_float32(mnist_dir):
    recipe = recipes.get("mnist", data_dir=str(mnist_dir), precision="mixed_bfloat16")
    model = experiment.build(recipe).model
    assert model.network.get_layer("embedding").compute_dtype == "bfloat16"
    assert model.classifier.compute_dtype == "float32"
    outputs = model(np.zeros((4, 28, 28, 1), np.uint8))
    assert {output.dtype.name for output in outputs.values()} == {"float32"}
    assert model.compute_loss(y=np.array([3, 2, -1, -1]), y_pred=outputs).dtype == "float32"
    assert {metric.dtype for metric in model.metrics} == {"float32"}
