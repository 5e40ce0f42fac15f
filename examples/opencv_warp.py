import cv2

import holdstill

rows = holdstill.read_transforms("aligned")
video = holdstill.open("interview.mp4")
width, height = 200, 200  # of the canonical frame
for row, frame in enumerate(video):
    if rows["status"][row] == "converged":
        matrix = rows["frame_from_canonical"][row]
        face = cv2.warpAffine(
            frame.image, matrix[:2], (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
