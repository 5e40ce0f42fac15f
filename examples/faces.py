import numpy as np

import holdstill
from holdstill.faces import FaceDetector
from holdstill.transforms import from_box

images = np.load("frames.npy")  # or a list of images of any sizes
# (n, k, 2): the same points on each; here 0 and 3 are the outer eye corners
points = np.load("points.npy")
people = np.load("people.npy")  # (n,): who is on each image
model = holdstill.FaceModel.fit(
    images, points=points, eye_corners=(0, 3), users=people, components=4
)

start = from_box(FaceDetector().detect(images[0]), model.shape)
found = holdstill.register(images[0], model, start)
if found.converged:
    face = holdstill.warp(images[0], found.frame_from_canonical, model.shape)
    model = model.enrol("eve", images[0], found.frame_from_canonical)

among = holdstill.identify(images[1], model, found.frame_from_canonical)
print(among.best, among.log_likelihood)
