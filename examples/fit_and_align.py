import holdstill

video = holdstill.open("interview.mp4")
dictionary = holdstill.fit(video)
for frame, found in zip(video, holdstill.align(video, dictionary), strict=True):
    if found.good:
        face = holdstill.warp(frame.image, found.frame_from_canonical, dictionary.shape)
