"""What `holdstill model` and `holdstill register` accept."""

from __future__ import annotations

import argparse
from typing import Any

from holdstill.cli.parsing import (
    add_initial,
    add_run,
    add_sampling,
    add_sources,
    add_threads,
    command,
    parse_components,
    parse_indices,
    parse_npz,
    parse_rho,
    parse_shape,
)
from holdstill.face_run import register_to_folder
from holdstill.reference.registration import SEARCHES
from holdstill.registration.learning import FACE_SHAPE
from holdstill.registration.model import FaceModel
from holdstill.registration.starts import FACES

TRAIN_OPTIONS = ("shape", "features", "sigma", "roi", "components", "rho")
"""Options of the command line that are keywords of `holdstill.FaceModel.fit`."""

REGISTER_OPTIONS = ("search", "user", "face", "minimum_size", "picture_shape", "threads")
"""Options of the command line that are keywords of `holdstill.face_run.register_to_folder`."""


def add_model(commands: Any) -> None:
    """``holdstill model train`` and ``holdstill model enrol``."""
    parser = commands.add_parser(
        "model",
        help="Train a face model, or enrol a user in one.",
        description="Train a face model, or enrol a user in one.",
        epilog="example:\n  holdstill model train people/ --points points.npy --out faces.npz",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_train(actions)
    _add_enrol(actions)


def _add_train(actions: Any) -> None:
    parser = command(
        actions,
        "train",
        "Learn what registered faces look like.",
        "holdstill model train people/ --points points.npy --landmarks 21,13,25,17,39,43 "
        "--out faces.npz",
        FaceModel.fit,
    )
    add_sources(parser)
    parser.add_argument(
        "--out", required=True, type=parse_npz, metavar="MODEL.npz", help="the model"
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--points",
        metavar="FILE",
        help=".npy (n, k, 2) in the order of the images, CSV frame,point,x,y or "
        "frame,x_0,...,y_0,..., or a folder of .pts files: the same points of every face, the "
        "outer eye corners, image left and right, first",
    )
    where.add_argument(
        "--initial",
        metavar="FILE",
        help="CSV or Parquet of transforms, eye points or boxes; a run's folder",
    )
    where.add_argument(
        "--registered", action="store_true", help="the images are canonical pictures already"
    )
    parser.add_argument(
        "--landmarks",
        type=parse_indices,
        metavar="OUTER_L,OUTER_R,...",
        help="which of the points to register by, the outer eye corners first",
    )
    parser.add_argument(
        "--users",
        metavar="FILE|folders",
        help="CSV of user and frame or source: who is on each image; "
        "or each image's folder has the user's name",
    )
    group = parser.add_argument_group("model")
    height, width = FACE_SHAPE
    add_sampling(group, f"{height}x{width}; with --registered that of the images")
    group.add_argument(
        "--components", type=parse_components, help="how many, or below 1 their share of variance"
    )
    group.add_argument(
        "--rho", type=parse_rho, help="variance beside the subspace: existing, all, or a number"
    )


def _add_enrol(actions: Any) -> None:
    parser = command(
        actions,
        "enrol",
        "Add a user to a model: one image is enough. A user who is enrolled is replaced.",
        "holdstill model enrol --model faces.npz --user ann ann.jpg --out faces.npz",
    )
    add_sources(parser)
    parser.add_argument("--model", required=True, metavar="MODEL.npz", help="trained with --users")
    parser.add_argument("--user", required=True, metavar="NAME", help="who is on the images")
    parser.add_argument(
        "--out",
        required=True,
        type=parse_npz,
        metavar="MODEL.npz",
        help="the model with the user; may be the same file",
    )
    _add_starts(parser)


def add_register(commands: Any) -> None:
    """``holdstill register``."""
    parser = command(
        commands,
        "register",
        "Register the faces of photographs or videos to a face model.",
        "holdstill register photographs/ --model faces.npz --face all --out registered",
        register_to_folder,
    )
    add_sources(parser)
    parser.add_argument("--model", required=True, metavar="MODEL.npz", help="of 'holdstill model'")
    add_run(parser)
    _add_starts(parser)
    parser.add_argument("--face", choices=FACES, help="which faces, where there are several")
    parser.add_argument("--search", choices=SEARCHES, help="how the best transform is looked for")
    parser.add_argument(
        "--user", metavar="NAME|all", help="register to this user; all: to the likeliest of them"
    )
    add_threads(parser)
    parser.add_argument(
        "--picture-shape",
        type=parse_shape,
        metavar="HxW",
        help="size of the images in DIR/faces (default: the model's)",
    )
    parser.add_argument(
        "--no-pictures", action="store_true", default=False, help="no faces, no contact sheet"
    )


def _add_starts(parser: argparse.ArgumentParser) -> None:
    add_initial(parser)
    parser.add_argument(
        "--minimum-size",
        type=float,
        metavar="PIXELS",
        help="smallest face box to detect (default: a tenth of the shorter side)",
    )
