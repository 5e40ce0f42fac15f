# cython: language_level=3, freethreading_compatible=True
"""Addresses of the BLAS and LAPACK routines that SciPy was built with.

The core calls them through these addresses, so that large products and eigenvalue problems run on SciPy's tuned library.
"""

from scipy.linalg.cython_blas cimport dgemm, dsyrk
from scipy.linalg.cython_lapack cimport dsyevd


# As the core calls them. A SciPy whose BLAS counts in 64 bits does not compile here, where a cast
# alone would let it corrupt memory.
ctypedef void (*Gemm)(char*, char*, int*, int*, int*, double*, double*, int*, double*, int*,
                      double*, double*, int*) noexcept nogil
ctypedef void (*Syrk)(char*, char*, int*, int*, double*, double*, int*, double*, double*,
                      int*) noexcept nogil
ctypedef void (*Syevd)(char*, char*, int*, double*, int*, double*, double*, int*, int*, int*,
                       int*) noexcept nogil


def addresses():
    """Return the routines' addresses by name."""
    # `&dgemm` would be the address of Cython's own pointer variable, not of the routine.
    cdef Gemm gemm = dgemm
    cdef Syrk syrk = dsyrk
    cdef Syevd syevd = dsyevd
    return {"dgemm": <size_t>gemm, "dsyrk": <size_t>syrk, "dsyevd": <size_t>syevd}
