import cv2

import holdstill

camera = cv2.VideoCapture("interview.mp4")  # 0 is the first camera
live = holdstill.LiveAligner(holdstill.Dictionary.load("aligned/dictionary.npz"))
faces = []
while True:
    arrived, bgr = camera.read()
    if not arrived:
        break
    found = live.align(bgr[:, :, ::-1])
    if found.good:
        faces.append(holdstill.warp(bgr, found.frame_from_canonical, (200, 200)))
camera.release()
