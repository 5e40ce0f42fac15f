import numpy as np

import holdstill
from holdstill.transforms import from_eye_corners

corners = np.load("corners.npy")  # (n, 2, 2): outer corners at the image's left and right, x and y


def initial(frame):
    left, right = corners[frame.frame]
    return from_eye_corners(left, right)


dictionary = holdstill.fit("interview.mp4", initial)
found = list(holdstill.align("interview.mp4", dictionary, initial))
