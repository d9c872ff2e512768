"""Which image formats are read: those of Pillow that run no other program, and of its plugins."""

import functools
import importlib
from collections.abc import Iterable
from contextlib import suppress

from PIL import Image

# What Pillow may take a file for, whatever its name. It has readers that run other
# programs (EPS starts Ghostscript), which an untrusted file must not reach.
_ANY_NAME = (
    *("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000", "PSD", "QOI"),
    *("ICO", "ICNS", "DDS", "SGI", "SUN"),
)

# What Pillow takes a file for only if its name ends so: these begin with no mark of their own.
_BY_NAME = ("DIB", "TGA", "PCX", "XBM", "XPM", "MSP", "PIXAR")

# Pillow's other readers: of programs, of films, and of data that is no picture.
_NOT_READ = frozenset(
    (
        *("EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "FLI", "IPTC", "MCIDAS", "PCD", "SPIDER"),
        *("BLP", "CUR", "DCX", "FTEX", "GBR", "IM", "IMT", "XVTHUMB"),
        "FITS",  # whose scale and signs Pillow ignores
    )
)

# Packages that add readers to Pillow, and the endings that want them.
_PLUGINS = {
    "pillow-heif": ("pillow_heif", (".heic", ".heif", ".hif", ".heics", ".heifs")),
    "pillow-avif-plugin": ("pillow_avif", (".avif", ".avifs")),
    "pillow-jxl-plugin": ("pillow_jxl", (".jxl",)),
}


@functools.cache
def _readers() -> dict[str, str]:
    """The format of each ending that can be read here; plugins that are installed are loaded."""
    Image.init()
    for module, _ in _PLUGINS.values():
        with suppress(Exception):  # missing, or built for another Pillow
            plugin = importlib.import_module(module)
            if register := getattr(plugin, "register_heif_opener", None):
                register()
    return {
        ending.lower(): name
        for ending, name in Image.registered_extensions().items()
        if name in Image.OPEN and name not in _NOT_READ
    }


def endings() -> Iterable[str]:
    """The endings of image files that can be read, in lower case, with the dot."""
    return _readers().keys()


def candidates(ending: str) -> list[str]:
    """Pillow's names of the formats that a file with this ending may be in."""
    of_plugins = set(_readers().values()) - {*_ANY_NAME, *_BY_NAME}
    own = _readers().get(ending.lower())
    own_too = [own] if own in _BY_NAME else []
    return [*(name for name in _ANY_NAME if name in Image.OPEN), *sorted(of_plugins), *own_too]


def missing_plugin(ending: str) -> str | None:
    """Name the package that would let files with this ending be read, if there is one."""
    if ending.lower() in _readers():
        return None
    for package, (_, its_endings) in _PLUGINS.items():
        if ending.lower() in its_endings:
            return package
    return None
