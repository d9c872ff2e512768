"""What measurements and results say of the machine that they were made on."""

import platform
from pathlib import Path

from semisup.runtime.processor import CPUINFO, cpuinfo

# What the speed of a network on a processor depends on most, the best first; as Linux names them.
_INSTRUCTIONS = {
    "amx_bf16": "AMX with bfloat16",
    "avx512_bf16": "AVX-512 with bfloat16",
    "avx512f": "AVX-512",
    "avx2": "AVX2 only",
}


def processor(path: Path = CPUINFO) -> str:
    """The name of this machine's processor and its widest instructions, as Linux has them.

    Elsewhere the name alone, as Python has it.
    """
    said = cpuinfo(path)
    model = said.get("model name", platform.processor() or platform.machine())
    flags = said.get("flags", "").split()
    widest = next((words for flag, words in _INSTRUCTIONS.items() if flag in flags), None)
    return f"{model} ({widest})" if widest else model
