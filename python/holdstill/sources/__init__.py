"""Where frames come from: videos, images and arrays, on disk, in memory or behind a URL.

`open` turns any of them into a `FrameSource`: a sequence of `Frame` with random access, whose
ranges can be read by several threads at once. What counts as grey is stated in
`holdstill.sources.grey`.
"""

from .errors import SourceError
from .frame import Frame
from .grey import LUMA_WEIGHTS, grey_from_rgb
from .source import FrameSource, open
from .stream import Stream

__all__ = [
    "LUMA_WEIGHTS",
    "Frame",
    "FrameSource",
    "SourceError",
    "Stream",
    "grey_from_rgb",
    "open",
]
