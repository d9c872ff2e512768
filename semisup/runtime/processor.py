"""What Linux says of this machine's processor."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def cpuinfo(path: Path = CPUINFO) -> dict[str, str]:
    """Its properties by Linux's names for them, such as "model name" and "flags".

    All cores are taken to say the same. Empty on other systems, which have no such file.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}
