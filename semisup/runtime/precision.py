"""The precision of a network's layers. Association, softmax and losses are always float32."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from semisup.errors import check_known
from semisup.runtime import machine

PRECISIONS = ("auto", "float32", "mixed_bfloat16")

# What Linux calls the instructions that multiply bfloat16: x86's matrix units, and Arm's.
_INSTRUCTIONS = frozenset(("amx_bf16", "bf16"))

# AMD's processors multiply it fast in vectors too. Intel's that have these instructions but not
# AMX (or whose virtual machine hides AMX) took twice as long as in float32: BUILD_NOTES.md.
_AMD, _IN_VECTORS = "AuthenticAMD", "avx512_bf16"

# NVIDIA's GPUs multiply bfloat16 from this compute capability on.
_COMPUTE_CAPABILITY = (8, 0)


def resolve(precision: str) -> str:
    """The Keras dtype policy of a precision on this machine.

    Args:
        precision: "float32"; "mixed_bfloat16" (weights float32, layers compute in
            bfloat16); "auto" for the latter where the GPU, or without one the
            processor, computes it faster than float32, else float32.

    Returns:
        "float32" or "mixed_bfloat16".

    Raises:
        InputError: the precision is unknown.
    """
    check_known("`precision`", precision, PRECISIONS)
    if precision != "auto":
        return precision
    gpus = tf.config.list_physical_devices("GPU")
    fast = all(map(_gpu_has_bfloat16, gpus)) if gpus else _processor_has_fast_bfloat16()
    return "mixed_bfloat16" if fast else "float32"


@contextmanager
def policy(precision: str) -> Iterator[None]:
    """A context in which layers are made with this precision; see `resolve`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(resolve(precision))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _gpu_has_bfloat16(gpu: tf.config.PhysicalDevice) -> bool:
    details = tf.config.experimental.get_device_details(gpu)
    return details.get("compute_capability", (0, 0)) >= _COMPUTE_CAPABILITY


def _processor_has_fast_bfloat16(cpuinfo: Path = machine.CPUINFO) -> bool:
    if platform.system() != "Linux":
        return False  # no other system has it in a file; there it takes precision="mixed_bfloat16"
    properties = machine.cpuinfo(cpuinfo)
    # x86's, and Arm's.
    flags = {*properties.get("flags", "").split(), *properties.get("Features", "").split()}
    vectors = properties.get("vendor_id") == _AMD and _IN_VECTORS in flags
    return vectors or bool(flags & _INSTRUCTIONS)
