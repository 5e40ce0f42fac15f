import numpy as np

import holdstill

frames = np.load("frames.npy")  # (n, height, width), grey
initial = np.load("initial.npy")  # (n, 3, 3), where each alignment begins
n = min(100, len(frames))
dictionary = holdstill.fit(frames, initial, n=n, motion="similarity", features="grey", roi="full")
batch = holdstill.align_batch(frames, dictionary, initial)
np.save("aligned.npy", batch.frame_from_canonical[batch.good])
