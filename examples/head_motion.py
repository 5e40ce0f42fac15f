import holdstill
from holdstill.animation import animate
from holdstill.motion import MotionModel, decompose

run = holdstill.read_run("aligned")
model = MotionModel.fit(run)
model.save("speaker.npz")

minute = model.sample(round(60 * model.fps), seed=0, start=run.frame_from_canonical[run.good][0])
x, y, rotation, scale, stretch, shear = decompose(minute, shape=model.shape).T

animate("portrait.jpg", model, "portrait.mp4", seconds=1)
