# cython: language_level=3, freethreading_compatible=True
"""Addresses of the BLAS and LAPACK routines that SciPy was built with.

The core calls them through these addresses, so that large products and eigenvalue problems run on SciPy's tuned library.
"""

from scipy.linalg.cython_blas cimport dgemm, dsyrk
from scipy.linalg.cython_lapack cimport dsyevd


def addresses():
    """Return the routines' addresses by name."""
    # `&dgemm` would be the address of Cython's own pointer variable, not of the routine.
    return {
        "dgemm": <size_t><void*>dgemm,
        "dsyrk": <size_t><void*>dsyrk,
        "dsyevd": <size_t><void*>dsyevd,
    }
