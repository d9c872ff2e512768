"""The properties of this machine's processor, where Linux lists them."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def cpuinfo(path: Path = CPUINFO) -> dict[str, str]:
    """Properties of the processor by Linux's names, such as "model name" and "flags".

    All cores are assumed to have the same. Empty on other systems, which have no such file.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}
