"""What measurements and results say of the machine that they were made on."""

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from semisup.runtime.processor import CPUINFO, cpuinfo

# What the speed of a network on a processor depends on most, the best first; as Linux names them.
_INSTRUCTIONS = {
    "amx_bf16": "AMX with bfloat16",
    "avx512_bf16": "AVX-512 with bfloat16",
    "avx512f": "AVX-512",
    "avx2": "AVX2 only",
}


def here_and_now() -> dict[str, Any]:
    """What the record says of anything made by this process: `hardware`, `versions`, `date`."""
    packages = ("semisup", "tensorflow", "keras")
    return {
        "hardware": hardware(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def hardware() -> str:
    """The number of cores and the processor."""
    return f"{os.cpu_count()} cores of {processor()}"


def processor(path: Path = CPUINFO) -> str:
    """The name of this machine's processor and its widest instructions, as Linux has them.

    Elsewhere the name alone, as Python has it.
    """
    said = cpuinfo(path)
    model = said.get("model name", platform.processor() or platform.machine())
    flags = said.get("flags", "").split()
    widest = next((words for flag, words in _INSTRUCTIONS.items() if flag in flags), None)
    return f"{model} ({widest})" if widest else model
