"""What measurements and results say of the machine that they were made on."""

import platform
from pathlib import Path


def processor() -> str:
    """The name of this machine's processor, as Linux has it; elsewhere as Python has it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
