"""Sub-pixel alignment of images of one linearly correlated thing, above all a talking face.

`fit` learns a low-rank dictionary from a small sample by RASL; `align` then aligns every further
frame on its own, in constant memory.
"""

from importlib.metadata import version as _version

from holdstill import _blas, _core

_core.install_blas(**_blas.addresses())

from holdstill.alignment import (  # noqa: E402  (the core needs its BLAS first)
    Alignment,
    AlignmentBatch,
    align_batch,
    align_frame,
    warp,
)
from holdstill.applying import apply  # noqa: E402
from holdstill.config import show_config  # noqa: E402
from holdstill.dictionary import Dictionary  # noqa: E402
from holdstill.evaluate import Evaluation, evaluate_run  # noqa: E402
from holdstill.face_model import FaceModel  # noqa: E402
from holdstill.fitting import NothingToAlignError, fit  # noqa: E402
from holdstill.l1 import l1_least_squares  # noqa: E402
from holdstill.live import LiveAligner  # noqa: E402
from holdstill.progress import progress_bar  # noqa: E402
from holdstill.rasl import RaslResult, rasl  # noqa: E402
from holdstill.reference.l1 import L1Result  # noqa: E402
from holdstill.registration import Identification, Registration, identify, register  # noqa: E402
from holdstill.run_folder import Run, read_run  # noqa: E402
from holdstill.sources import Frame, FrameSource, SourceError, open  # noqa: E402
from holdstill.streaming import align  # noqa: E402
from holdstill.talking import MouthReplacement, replace_mouth  # noqa: E402
from holdstill.transforms import read_transforms  # noqa: E402

__version__ = _version("holdstill")

__all__ = [
    "Alignment",
    "AlignmentBatch",
    "Dictionary",
    "Evaluation",
    "FaceModel",
    "Frame",
    "FrameSource",
    "Identification",
    "L1Result",
    "LiveAligner",
    "MouthReplacement",
    "NothingToAlignError",
    "RaslResult",
    "Registration",
    "Run",
    "SourceError",
    "__version__",
    "align",
    "align_batch",
    "align_frame",
    "apply",
    "evaluate_run",
    "fit",
    "identify",
    "l1_least_squares",
    "open",
    "progress_bar",
    "rasl",
    "read_run",
    "read_transforms",
    "register",
    "replace_mouth",
    "show_config",
    "warp",
]
