import numpy as np

import holdstill

run = holdstill.read_run("aligned")
faces = holdstill.apply("interview.mp4", run, shape=(400, 400))
mouths = np.stack([face[260:400, 90:310] for _, face in faces])
np.save("mouths.npy", mouths[run.good])
