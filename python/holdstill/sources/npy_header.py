"""The header of a ``.npy`` file."""

from __future__ import annotations

import tokenize
from typing import IO, Any, NamedTuple

import numpy as np

BAD_HEADER = (SyntaxError, tokenize.TokenError)
"""What NumPy raises of a damaged header, which is a Python literal, besides ValueError."""

_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class NpyHeader(NamedTuple):
    """What a ``.npy`` file says it holds."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]


def read_npy_header(file: IO[bytes]) -> NpyHeader:
    """Read a header; the file is at the first value then.

    Raises
    ------
    ValueError
        If it is none, damaged, or of an unknown version.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> np.save(file, np.zeros((3, 4), np.uint8))
    >>> _ = file.seek(0)
    >>> read_npy_header(file).shape, len(file.read())
    ((3, 4), 12)
    """
    version = np.lib.format.read_magic(file)
    if version not in _READERS:
        raise ValueError(f"an array of .npy version {version}")
    try:
        return NpyHeader(*_READERS[version](file))
    except BAD_HEADER as error:
        raise ValueError(f"a damaged header: {error}") from error
