import pytest
import tensorflow as tf

from semisup.runtime import machine


@pytest.mark.parametrize(
    ("flags", "widest"), [("avx2 avx512f", " (AVX-512)"), ("fpu avx2", " (AVX2 only)"), ("fpu", "")]
)
def test_processor_has_its_name_and_its_widest_instructions(tmp_path, flags, widest):
    (tmp_path / "cpuinfo").write_text(f"model name\t: An Abacus\nflags\t\t: {flags}\n")
    assert machine.processor(tmp_path / "cpuinfo") == f"An Abacus{widest}"


def test_hardware_counts_the_gpus_of_each_name(monkeypatch):
    names = {"0": "Abacus 9", "1": "Abacus 9", "2": None}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(names))
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: {"device_name": names[gpu]}
    )
    monkeypatch.setattr(machine, "processor", lambda: "A Mill")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 8)
    assert machine.hardware() == "8 cores of A Mill, 2 x Abacus 9, 1 x unknown GPU"
