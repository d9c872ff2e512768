"""Find image files in folders and decode them with Pillow; the files are not trusted.

find_images(folder)             the images in a folder, and what was left out and why
read_image(path, size)          uint8 pixels, the right way up
read_images(paths, size)        those of many, on all cores
read_image_as(path, shape)      one as a network takes it
on_all_cores(function, paths)   what it returns for each of many
range_of(statistics)            which values become black and white, of more than 8 bits
"""

from semisup.data.image_io.finding import (
    Found,
    children,
    describe_skipped,
    find_images,
    is_unlabeled_folder,
    is_visible,
    path_kind,
    skipped_reason,
)
from semisup.data.image_io.parallel import on_all_cores, read_images
from semisup.data.image_io.reading import (
    AS_USUAL,
    MAX_MEGAPIXELS,
    Box,
    Reading,
    as_rgb,
    read_header,
    read_image,
    read_image_as,
    read_values,
    shaped,
)
from semisup.data.image_io.values import FULL, ValueRange, range_of

__all__ = [
    "AS_USUAL",
    "FULL",
    "MAX_MEGAPIXELS",
    "Box",
    "Found",
    "Reading",
    "ValueRange",
    "as_rgb",
    "children",
    "describe_skipped",
    "find_images",
    "is_unlabeled_folder",
    "is_visible",
    "on_all_cores",
    "path_kind",
    "range_of",
    "read_header",
    "read_image",
    "read_image_as",
    "read_images",
    "read_values",
    "shaped",
    "skipped_reason",
]
