import numpy as np

import holdstill

run = holdstill.read_run("aligned")
total = np.zeros((400, 400, 3))
for _, face in holdstill.apply("interview.mp4", run, shape=(400, 400)):
    total += face
np.save("mean_face.npy", total / len(run))
