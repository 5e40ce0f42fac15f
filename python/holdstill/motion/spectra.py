"""How fast a movement is: its power spectrum and its autocorrelation, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray

LONGEST_WINDOW, MOST_LAGS = 128, 100
"""Frames that a spectrum looks at in one, and lags of an autocorrelation."""


def equal_pieces(stretches: Sequence[FloatArray], length: int) -> FloatArray:
    """Pieces of one length, cut from stretches one after the other.

    Parameters
    ----------
    stretches : sequence of ndarray, shape (n_i, k)
    length : int
        What is left at the end of a stretch is dropped.

    Returns
    -------
    ndarray, shape (pieces, length, k), float64

    Examples
    --------
    >>> equal_pieces([np.zeros((7, 2)), np.zeros((3, 2))], 3).shape
    (3, 3, 2)
    """
    pieces = [
        stretch[first : first + length]
        for stretch in stretches
        for first in range(0, len(stretch) - length + 1, length)
    ]
    return np.array(pieces, dtype=np.float64).reshape(-1, length, stretches[0].shape[1])


def power_spectra(pieces: npt.ArrayLike, fps: float) -> tuple[FloatArray, FloatArray]:
    """Power spectral density of each piece by Welch's method, without its mean.

    Parameters
    ----------
    pieces : array_like, shape (p, n, k)
    fps : float
        Frames per second.

    Returns
    -------
    frequencies : ndarray, shape (f,)
        Hz, from the lowest above 0 to half of `fps`.
    density : ndarray, shape (p, f, k)
        Squares of the parameters' units per Hz.

    Examples
    --------
    >>> sway = np.sin(2 * np.pi * 3.0 * np.arange(250) / 25.0).reshape(1, 250, 1)
    >>> frequencies, density = power_spectra(sway, 25.0)
    >>> round(float(frequencies[density[0, :, 0].argmax()]), 1)
    2.9
    """
    from scipy.signal import welch

    values = np.asarray(pieces, dtype=np.float64)
    window = min(LONGEST_WINDOW, values.shape[1])
    at, density = welch(values, fps, nperseg=window, detrend="constant", axis=1)
    return np.asarray(at[1:]), np.asarray(density[:, 1:])


def autocorrelations(pieces: npt.ArrayLike, fps: float) -> tuple[FloatArray, FloatArray]:
    """Autocorrelation of each piece about its own mean.

    Parameters
    ----------
    pieces : array_like, shape (p, n, k)
    fps : float
        Frames per second.

    Returns
    -------
    lags : ndarray, shape (m,)
        Seconds from 0, at most half of a piece.
    correlation : ndarray, shape (p, m, k)
        1 at lag 0; NaN where a parameter does not move.
    """
    values = np.asarray(pieces, dtype=np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    n = centred.shape[1]
    lags = np.arange(min(max(1, n // 2), MOST_LAGS))
    products = [(centred[:, lag:] * centred[:, : n - lag]).sum(axis=1) for lag in lags]
    power = (centred**2).sum(axis=1)
    power[power <= n * (1e-13 * np.abs(values).max(axis=1)) ** 2] = np.nan
    return lags / fps, np.stack(products, axis=1) / power[:, None]
