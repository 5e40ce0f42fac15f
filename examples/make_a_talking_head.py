from pathlib import Path

import numpy as np

import holdstill
from holdstill import plot
from holdstill.animation import animate
from holdstill.motion import MotionModel
from holdstill.picture_files import write_pictures
from holdstill.report import write_report
from holdstill.run import align_to_folder
from holdstill.synthetic import TalkingHead
from holdstill.talking import MouthSpace

video = "interview.mp4"
if not Path(video).exists():  # without a recording of your own, a head made of formulas
    head = TalkingHead(75, size=(320, 400), occlusion=False)
    write_pictures(iter(head), video, len(head), head.fps)

# Align, and look whether it went well.
with holdstill.open(video) as frames:
    dictionary = holdstill.fit(frames, n=40, roi="eyes-nose")
    align_to_folder(frames, dictionary, "aligned", facts={"sources": video})
run = holdstill.read_run("aligned")
print(write_report(run)["verdict"])

# Learn how the head moves, and how fast the frames follow one another.
model = MotionModel.fit(run)
model.save("speaker.npz")

# Choose lips for what is to be said: here what was said, backwards.
space = MouthSpace.fit(video, run, components=5)
known = np.flatnonzero(np.isfinite(space.scores[:, 0]))
path = space.scores[known[np.linspace(len(known) - 1, 0, len(run)).round().astype(int)]]
np.save("path.npy", path)

# Put them onto the head that keeps its own motion.
replacement = holdstill.replace_mouth(video, run, path)
pictures = (picture for _, picture in replacement)
write_pictures(pictures, "talking.mp4", len(run), model.fps)

# Let the head move in another way.
animate("talking.mp4", model, "moving.mp4", seed=1, initial=run)

# The face alone, held still: lips that swim would show here.
faces = (face for _, face in holdstill.apply("talking.mp4", run, shape=(400, 400)))
write_pictures(faces, "face.mp4", len(run), model.fps)

plot.mouth_montage(run, replacement, n=6)[0, 0].figure.savefig("mouth.png")
plot.mouth_path(space, path, replacement.lips)[0].figure.savefig("path.png")
movement = model.sample(15000, seed=0)
plot.head_movement(run, movement)[0].figure.savefig("movement.png")
plot.head_spectra(run, movement)[0, 0].figure.savefig("spectra.png")
print("look at aligned/report.html, talking.mp4, moving.mp4, mouth.png")
