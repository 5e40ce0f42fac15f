"""Pictures of results, as matplotlib Axes (the extra ``[plot]``).

They have no background and are legible on white and on black.
"""

from holdstill.plot.figures import accumulated_variance, convergence, eye_corner_scatter
from holdstill.plot.head import head_movement, head_pose, head_spectra
from holdstill.plot.mouth import mouth_montage, mouth_path
from holdstill.plot.over_time import timeline, transforms
from holdstill.plot.pictures import decomposition, dictionary_atoms, mean_images, montage

__all__ = [
    "accumulated_variance",
    "convergence",
    "decomposition",
    "dictionary_atoms",
    "eye_corner_scatter",
    "head_movement",
    "head_pose",
    "head_spectra",
    "mean_images",
    "montage",
    "mouth_montage",
    "mouth_path",
    "timeline",
    "transforms",
]
