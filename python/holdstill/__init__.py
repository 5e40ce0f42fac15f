"""Sub-pixel alignment of images of one linearly correlated thing, above all a talking face.

`fit` learns a low-rank dictionary from a small sample by RASL; `align` then aligns every further
frame on its own, in constant memory.
"""

from holdstill._core import __version__
from holdstill.alignment import (
    Alignment,
    AlignmentBatch,
    align_batch,
    align_frame,
    warp,
)
from holdstill.applying import apply
from holdstill.config import show_config
from holdstill.dictionary import Dictionary
from holdstill.evaluate import Evaluation, evaluate_run
from holdstill.l1 import l1_least_squares
from holdstill.learning.fitting import NothingToAlignError, fit
from holdstill.learning.rasl import RaslResult, rasl
from holdstill.live import LiveAligner
from holdstill.progress import progress_bar
from holdstill.reference.l1 import L1Result
from holdstill.registration.model import FaceModel
from holdstill.registration.registering import Identification, Registration, identify, register
from holdstill.run_folder import Run, read_run
from holdstill.sources import Frame, FrameSource, SourceError, open
from holdstill.streaming import align
from holdstill.talking import MouthReplacement, replace_mouth
from holdstill.transforms import read_transforms

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
