"""The machine that a run or a measurement is made on."""

import os
import platform
from collections import Counter
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")

# What the speed of a network on a processor depends on most, the best first; as Linux names them.
_INSTRUCTIONS = {
    "amx_bf16": "AMX with bfloat16",
    "avx512_bf16": "AVX-512 with bfloat16",
    "avx512f": "AVX-512",
    "avx2": "AVX2 only",
}


def here_and_now() -> dict[str, Any]:
    """What a record says of anything made by this process: `hardware`, `versions`, `date`.

    The date is that of Greenwich (UTC), as YYYY-MM-DD.
    """
    date = datetime.now(timezone.utc).date().isoformat()
    return {"hardware": hardware(), "versions": versions(), "date": date}


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that a result may depend on."""
    packages = ("semisup", "tensorflow", "keras")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # such as a clone that is only on Python's path
        return "not installed"


def hardware() -> str:
    """The number of cores, the processor, and the GPUs that TensorFlow uses here."""
    import tensorflow as tf  # here, since a run's folder is read before TensorFlow is imported

    details = tf.config.experimental.get_device_details
    names = (details(gpu).get("device_name") for gpu in tf.config.list_physical_devices("GPU"))
    gpus = Counter(name or "unknown GPU" for name in names)
    words = [f"{os.cpu_count()} cores of {processor()}"]
    return ", ".join(words + [f"{count} x {name}" for name, count in gpus.items()])


def processor(path: Path = CPUINFO) -> str:
    """The name of this machine's processor and its widest instructions, as Linux has them.

    Elsewhere the name alone, as Python has it.
    """
    said = cpuinfo(path)
    model = said.get("model name", platform.processor() or platform.machine())
    flags = said.get("flags", "").split()
    widest = next((words for flag, words in _INSTRUCTIONS.items() if flag in flags), None)
    return f"{model} ({widest})" if widest else model


def cpuinfo(path: Path = CPUINFO) -> dict[str, str]:
    """Properties of the processor by Linux's names, such as "model name" and "flags".

    All cores are assumed to have the same. Empty on other systems, which have no such file.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}
