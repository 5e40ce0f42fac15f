"""Claim: the likelihood of edges peaks more sharply than that of grey levels, and no farther from
where a face is; grey levels reach farther on one octave.

    python benchmarks/shr_landscape.py [--faces 20]

IMM, frontal pictures at 50 pixels interocular: half of the people train a model for each feature;
every face of the others is moved away from its manual registration in scale and along x, and
DIFS + DFFS is taken at each place of a grid (the finest octave alone). Draws paper B's Fig. 2,
level sets and sections, into docs/images/search_landscape.png.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import imm_faces as imm
import numpy as np
from common import Claims, FloatArray, data_folder, parser_of, print_table
from shr_trials import SHAPE, model_of

from holdstill import _core
from holdstill.reference.subspace import distances
from holdstill.registration.model import FaceModel

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "search_landscape.png"
SHIFTS = np.linspace(-0.4, 0.4, 41)
"""Along x, in interocular distances."""
SCALES = np.geomspace(1 / 1.4, 1.4, 41)
FEATURES = ("grey", "edges")


def landscape(face: imm.Face, model: FaceModel) -> FloatArray:
    """DIFS + DFFS over scale (rows) and x-shift (columns), about the manual registration."""
    octave, level = model.octaves[0], model.gaussians()[0]
    corners = model.landmarks
    middle = corners.mean(axis=0)
    eyes = np.linalg.norm(corners[[0, 2]].mean(axis=0) - corners[[1, 3]].mean(axis=0))
    home = imm.truth(face, corners)
    found = np.empty((len(SCALES), len(SHIFTS)))
    for row, scale in enumerate(SCALES):
        for column, shift in enumerate(SHIFTS):
            away = np.diag([scale, scale, 1.0])
            away[:2, 2] = middle - scale * middle + [shift * eyes, 0.0]
            seen = _core.linearize(
                face.picture, home @ away, shape=SHAPE, motion="similarity",
                features=model.features, sigma=model.sigma, roi=octave.roi,
            )  # fmt: skip
            found[row, column] = sum(distances(seen.vector, level.subspace))
    return found


def basin(found: FloatArray) -> FloatArray:
    """Which places of the grid the steepest way down leads to the lowest one from."""
    rows, columns = found.shape
    best = np.unravel_index(np.argmin(found), found.shape)
    leads = np.zeros(found.shape)
    leads[best] = 1.0
    for flat in np.argsort(found, axis=None):  # a neighbour below has been decided already
        row, column = np.unravel_index(flat, found.shape)
        around = [
            (r, c)
            for r in range(max(0, row - 1), min(rows, row + 2))
            for c in range(max(0, column - 1), min(columns, column + 2))
        ]
        lowest = min(around, key=lambda place: found[place])
        if found[lowest] < found[row, column]:
            leads[row, column] = leads[lowest]
    return leads


def half_width(found: FloatArray) -> float:
    """Along x through the lowest place: width where half of the depth is reached, in % of it all.

    The depth is that below the median of the landscape.
    """
    row, _ = np.unravel_index(np.argmin(found), found.shape)
    half = 0.5 * (found.min() + np.median(found))
    return float((found[row] < half).mean() * np.ptp(SHIFTS) * 100.0)


def normalised(found: FloatArray) -> FloatArray:
    """0 at the lowest place, 1 at the median of all."""
    return np.asarray((found - found.min()) / (np.median(found) - found.min()))


def draw(means: dict[str, FloatArray]) -> None:
    """Level sets for each feature, and sections through the manual registration."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, 4, figsize=(12, 3.3), layout="constrained", width_ratios=[4, 4, 3, 3]
    )
    levels = [0.1, *(k / 5 for k in range(1, 13))]
    for axis, (name, mean) in zip(axes, means.items(), strict=False):
        drawn = axis.contour(100 * SHIFTS, SCALES, mean, levels=levels, cmap="viridis")
        axis.clabel(drawn, levels=[0.2, 0.6, 1.0], fontsize=7)
        axis.plot(0, 1, "k+", markersize=9)
        axis.set(title=name, xlabel="shift along x, % of the interocular distance", ylabel="scale")
        axis.set_yscale("log")
        axis.set_yticks([0.75, 1.0, 1.25], ["0.75", "1", "1.25"])
        axis.minorticks_off()
    for name, mean in means.items():
        axes[2].plot(100 * SHIFTS, mean[len(SCALES) // 2], label=name)
        axes[3].plot(SCALES, mean[:, len(SHIFTS) // 2], label=name)
    axes[2].set(title="at scale 1", xlabel="shift along x, %", ylabel="DIFS + DFFS, 1: median")
    axes[3].set(title="at shift 0", xlabel="scale")
    axes[2].legend(frameon=False)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=110)


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--faces", type=int, default=20, help="unseen people to draw")
    arguments = parser.parse_args()
    folder = data_folder("imm")
    if folder is None:
        return 0
    faces = [imm.reduced(face, 50.0) for face in imm.read_faces(folder, imm.FRONTAL)]
    train_people, _ = imm.split([face.person for face in faces], seed=0)
    train = [face for face in faces if face.person in train_people]
    test = [face for face in faces if face.person not in train_people and face.kind == 1]
    test = test[: arguments.faces]
    claims, rows, means, offs, widths, reach = Claims(), [], {}, {}, {}, {}
    for features in FEATURES:
        model = model_of(train, features=features)
        found = [landscape(face, model) for face in test]
        lowest = [np.unravel_index(np.argmin(one), one.shape) for one in found]
        off: Any = np.array([[100 * SHIFTS[c], 100 * (SCALES[r] - 1)] for r, c in lowest])
        offs[features] = float(np.hypot(off[:, 0], off[:, 1]).mean())
        widths[features] = float(np.mean([half_width(one) for one in found]))
        reach[features] = 100 * float(np.mean([basin(one).mean() for one in found]))
        means[features] = np.mean([normalised(one) for one in found], axis=0)
        rows.append([
            features, f"{np.abs(off[:, 0]).mean():.1f}", f"{np.abs(off[:, 1]).mean():.1f}",
            f"{widths[features]:.0f}", f"{reach[features]:.0f} %",
        ])  # fmt: skip
    print_table(
        f"IMM at 50 pixels, {len(test)} unseen people: the lowest place of DIFS + DFFS over scale "
        "(1/1.4 to 1.4) and x-shift (40 % of the interocular distance either way)",
        ["", "shift off, %", "scale off, %", "width at half depth, %", "leads there"],
        rows,
        packages=["matplotlib"],
    )
    draw(means)
    claims.check(
        offs["edges"] <= offs["grey"],
        f"edges are lowest {offs['edges']:.1f} % off the manual registration, grey levels "
        f"{offs['grey']:.1f} %",
    )
    claims.check(
        widths["edges"] < widths["grey"],
        f"the valley of edges is {widths['edges'] / widths['grey']:.2f} times as wide",
    )
    claims.check(
        reach["edges"] < reach["grey"],
        f"the steepest way leads to the lowest place from {reach['grey']:.0f} % of the places for "
        f"grey levels, {reach['edges']:.0f} % for edges",
    )
    return claims.exit_code()


if __name__ == "__main__":
    sys.exit(main())
