"""How the programs word what the library says, and where they write."""

import json
import os
import subprocess
import sys

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


def test_with_flags_gives_no_advice_on_another_programs_flags(monkeypatch):
    # A program without semisup-train's settings; another test may have defined them.
    monkeypatch.setattr(flags, "FLAGS", flags.FlagValues())
    message = "x.png: no image; mend it (`skip_unreadable` leaves it out)"
    assert app.with_flags(message) == "x.png: no image; mend it"
    assert app.with_flags("`new_size=8` is small") == "semisup-train's --new_size=8 is small"


@pytest.mark.parametrize("kind", ["ResourceExhaustedError", "OtherError"])
def test_run_main_says_that_memory_ran_out(monkeypatch, kind):
    error = type(kind, (Exception,), {})("OOM when allocating tensor")

    def main():
        raise error

    monkeypatch.setattr(app.app, "run", lambda guarded, flags_parser: guarded(["program"]))
    monkeypatch.setattr(app, "_open_streams", lambda: None)
    wanted, message = (SystemExit, "error: out of memory") if kind[0] == "R" else (type(error), "")
    with pytest.raises(wanted, match=message):
        app.run_main(main, "")


def test_streams_go_nowhere_once_nobody_reads_them():
    read, write = os.pipe()
    stream = app._UntilClosed(write, "w")
    assert stream.write(b"first\n") == 6
    assert os.read(read, 99) == b"first\n"
    os.close(read)
    assert stream.write(b"second\n") == 7
    assert stream.write(b"third\n") == 6
    stream.close()


def test_programs_load_tensorflow_as_they_need_it_whatever_the_user_set(tmp_path):
    of_user = {"floatx": "float16", "epsilon": 1e-3, "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps({**of_user, "backend": "torch"}))
    program = """
from semisup.cli.app import load_tensorflow
load_tensorflow()
import keras, tensorflow as tf
print(keras.backend.backend(), keras.config.image_data_format(), keras.config.floatx())
print(tf.config.experimental.tensor_float_32_execution_enabled())
"""
    environment = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["tensorflow channels_last float32", "False"]
