"""Small good files to begin fuzzing with: ``python fuzz/corpus.py FOLDER``, a folder a target."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import holdstill
from holdstill.motion import MotionModel
from holdstill.synthetic import TalkingHead


def main() -> None:
    """Write them."""
    root = Path(sys.argv[1])
    head = TalkingHead(60, size=(64, 80), shape=(24, 24), occlusion=False)
    stack, initial = np.stack(list(head)), head.initial()
    grey = stack[:, :, :, 1].astype(np.float32)

    def place(target: str, name: str) -> Path:
        folder = root / target
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    holdstill.fit(stack[:8], initial[:8], n=8, shape=(24, 24), motion="similarity").save(
        place("dictionary", "d.npz")
    )
    holdstill.FaceModel.fit(grey[:8], initial[:8], shape=(24, 24), components=3).save(
        place("faces", "f.npz")
    )
    MotionModel.fit(initial, 25.0, shape=(24, 24)).save(place("motion", "m.npz"))
    names = ",".join(f"h{k // 3}{k % 3}" for k in range(9))
    rows = [f"{k}," + ",".join(map(str, matrix.ravel())) for k, matrix in enumerate(initial[:4])]
    place("csv", "matrices.csv").write_text("\n".join([f"frame,{names}", *rows]))
    place("csv", "eyes.csv").write_text("source,frame,left_x,left_y,right_x,right_y\na,0,1,2,3,4\n")
    place("points", "p.csv").write_text("frame,point,x,y\n0,0,1.5,2\n0,1,3,4\n")
    points = "\n".join(f"{k} {k}" for k in range(68))
    place("pts", "a.pts").write_text(f"version: 1\nn_points: 68\n{{\n{points}\n}}\n")
    place("manifest", "job.json").write_text(
        '{"format": 1, "rows": 3, "inputs": [["a.mp4", "1 bytes, 2"]], "options": {"mu": 0.1}}'
    )
    np.save(place("stack", "a.npy"), stack[:2])
    from PIL import Image

    for kind in ("png", "jpg", "gif", "tif", "webp", "bmp"):
        Image.fromarray(stack[0]).save(place("image", f"a.{kind}"))
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: initial[:4].reshape(4, 9)[:, k] for k, name in enumerate(names.split(","))}
    pq.write_table(pa.table({"frame": [0, 1, 2, 3], **columns}), place("parquet", "a.parquet"))
    import av

    with av.open(str(place("video", "a.mp4")), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 80, "yuv420p"
        for frame in stack[:4]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
