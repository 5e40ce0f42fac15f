"""Numbers as arguments: what was asked for, or refused by name."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray


def number(name: str, value: Any) -> float:
    """A real number.

    Parameters
    ----------
    name : str
        The argument.
    value
        What it was given.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If it is something else.

    Examples
    --------
    >>> number("sigma", 1)
    1.0
    """
    if not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    return float(value)


def positive(name: str, value: Any) -> float:
    """A finite number above 0.

    Parameters
    ----------
    name : str
        The argument.
    value
        What it was given.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If it is something else.

    Examples
    --------
    >>> positive("tolerance", 1)
    1.0
    >>> positive("tolerance", "1")
    Traceback (most recent call last):
    ...
    ValueError: tolerance: expected a positive number, got '1'
    """
    if not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise ValueError(f"{name}: expected a positive number, got {value!r}")
    return float(value)


def at_least_zero(name: str, value: Any) -> float:
    """A finite number of at least 0.

    Parameters
    ----------
    name : str
        The argument.
    value
        What it was given.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If it is something else.

    Examples
    --------
    >>> at_least_zero("mu", 0)
    0.0
    """
    if not isinstance(value, Real) or not 0 <= float(value) < math.inf:
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
    return float(value)


def integer(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """An integer in a range.

    Parameters
    ----------
    name : str
        The argument.
    value
        What it was given.
    least, most : int, int or None
        Ends of the range, included; None is no end.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is something else.

    Examples
    --------
    >>> integer("levels", 2, 1, 3)
    2
    >>> integer("levels", 4, 1, 3)
    Traceback (most recent call last):
    ...
    ValueError: levels: expected 1 to 3, got 4
    """
    integral = isinstance(value, Real) and float(value).is_integer()
    if not integral or value < least or (most is not None and value > most):
        expected = f"an integer of at least {least}" if most is None else f"{least} to {most}"
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return int(value)


def floats(name: str, values: npt.ArrayLike, shape: str) -> FloatArray:
    """An array of numbers.

    Parameters
    ----------
    name : str
        The argument.
    values : array_like
        What it was given.
    shape : str
        What shape it should have, for the message.

    Returns
    -------
    ndarray, float64
        Of any shape.

    Raises
    ------
    ValueError
        If it is something else.

    Examples
    --------
    >>> floats("initial", [[1, 0], "ab"], "(2, 2)")
    Traceback (most recent call last):
    ...
    ValueError: initial: expected numbers of shape (2, 2)
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected numbers of shape {shape}") from None


def refuse_fractions(name: str, values: npt.ArrayLike) -> None:
    """Refuse positions that are fractions of a frame: none of them lies beyond 2 pixels.

    Parameters
    ----------
    name : str
        The argument or the file.
    values : array_like
        Coordinates; NaN where there are none.

    Raises
    ------
    ValueError
        If the largest is above 0 and at most 2. Where all are 0 they stand for nothing found.

    Examples
    --------
    >>> refuse_fractions("points", [[0.25, 0.5], [0.75, 0.5]])
    Traceback (most recent call last):
    ...
    ValueError: points: expected pixels, got fractions; multiply by the image's width and height
    """
    if 0.0 < np.max(np.nan_to_num(np.asarray(values, dtype=np.float64)), initial=0.0) <= 2.0:
        raise ValueError(
            f"{name}: expected pixels, got fractions; multiply by the image's width and height"
        )
