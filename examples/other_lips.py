import numpy as np

import holdstill
from holdstill.talking import MouthSpace

run = holdstill.read_run("aligned")
replacement = holdstill.replace_mouth("interview.mp4", run, range(4, 8))
print(f"{replacement.replaced.sum()} of {len(replacement)} frames get other lips")
pictures = [picture for _, picture in replacement]  # (H, W, 3) each, the frame's size

space = MouthSpace.fit("interview.mp4", run, components=3)
path = space.scores[::-1]  # what the person said, backwards: one point for each frame
np.save("path.npy", path)
chosen = holdstill.replace_mouth("interview.mp4", run, "path.npy").lips
