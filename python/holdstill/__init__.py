"""Sub-pixel alignment of images of one linearly correlated thing."""

from . import _blas, _core

_core.install_blas(**_blas.addresses())
