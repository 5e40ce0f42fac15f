import cv2

import holdstill

run = holdstill.read_run("aligned")
height, width = run.shape  # of the canonical frame
flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
with run.open_frames() as frames:
    for frame, matrix, good in zip(frames, run.frame_from_canonical, run.good, strict=True):
        if good:
            face = cv2.warpAffine(frame.image, matrix[:2], (width, height), flags=flags)
