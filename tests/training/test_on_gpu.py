"""What a GPU must do as the CPU does. Each body takes a device, and runs on the CPU as well."""

import copy
import subprocess
import sys

import pytest
import torch
from conftest import CLASSES

from dfer.clips.loader import EpochBatches, EvaluationClips, train_batches
from dfer.clips.store import ClipStore
from dfer.dag.gpu import gpus
from dfer.models.backbone import normaliser, pixel_statistics
from dfer.models.method import build, image_size, pixels
from dfer.settings import OWN, RunSettings, methods
from dfer.training import inference
from dfer.training import state as kept
from dfer.training.device import pick_device
from dfer.training.inference import logits_of
from dfer.training.loop import train
from dfer.training.recorded import Recorded
from dfer.training.train import read_clips

needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
on_each_device = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=needs_gpu)], indirect=True
)
TEXT = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def device(request):
    """The device by its type, with deterministic kernels."""
    pick_device(1)
    with torch.backends.cudnn.flags(allow_tf32=False):
        yield torch.device(request.param)


def settings(**recipe):
    return RunSettings.from_dict(
        {
            "backbone": {"model": "config/backbone/tiny.json", "weights": None},
            "model": {"frames": 8, "blocks": 1},
            "train": {"epochs": 2, "batch": 6, "lr": 3e-3, "precision": "fp32"} | recipe,
        }
    )


def clips(tiny_store, run):
    folder, splits = tiny_store
    splits.to_parquet(path := folder.parent / f"{folder.name}.parquet")
    store = ClipStore(sorted(folder.glob("*.arrow")))
    return read_clips(path, store, run, classes=CLASSES, fold=1, seed=0)[0]


def batches(tiny_store, device, workers=0):
    data = clips(tiny_store, settings())
    order = EpochBatches(len(data.clips), 6, first=0, last=2, seed=0)
    return [[part.cpu() for part in batch] for batch in train_batches(data, order, device, workers)]


def trained(tiny_store, device, state, run=None, workers=0):
    """Weights and history of a training."""
    run = run or settings()
    model, history = train(
        run,
        clips(tiny_store, run),
        None,
        CLASSES,
        TEXT,
        state,
        fingerprint="f",
        seed=0,
        device=device,
        workers=workers,
    )
    return model.cpu().state_dict(), history


def assert_same(ours, others):
    assert ours[1].equals(others[1])
    assert all(torch.equal(value, others[0][name]) for name, value in ours[0].items())


@on_each_device
def test_logits_and_gradients_are_those_of_double_precision_on_the_cpu(tiny_store, device):
    torch.manual_seed(0)
    run = settings()
    exact = build(run.model, run.backbone, CLASSES, TEXT).double()
    model = copy.deepcopy(exact).float().to(device)
    (frames, labels), *_ = batches(tiny_store, torch.device("cpu"))
    inputs = normaliser(pixel_statistics(run.backbone), device)(frames.to(device))
    ours, expected = model(inputs), exact(inputs.cpu().double())
    torch.testing.assert_close(ours.cpu(), expected.float(), rtol=1e-3, atol=1e-3)
    torch.nn.functional.cross_entropy(ours, labels.to(device)).backward()
    torch.nn.functional.cross_entropy(expected, labels).backward()
    for (name, ours), expected in zip(model.named_parameters(), exact.parameters(), strict=True):
        scale = expected.grad.abs().max().clamp(min=1e-6)
        apart = (ours.grad.cpu().double() - expected.grad).abs().max() / scale
        assert apart < 1e-2, name


@on_each_device
def test_batches_are_those_that_the_cpu_augments(tiny_store, device):
    """The same clips and labels; pixels differ by rounding."""
    here = batches(tiny_store, device)
    there = batches(tiny_store, torch.device("cpu"))
    assert len(here) == len(there)
    for (ours, labels), (others, same_labels) in zip(here, there, strict=True):
        assert ours.shape == others.shape and ours.dtype == torch.uint8
        assert torch.equal(labels, same_labels)
        apart = (ours.int() - others.int()).abs()
        assert apart.max() <= 3 and apart.float().mean() < 0.6


@pytest.mark.slow
@on_each_device
def test_two_runs_give_equal_bytes_whatever_the_workers(tiny_store, tmp_path, device):
    first = trained(tiny_store, device, tmp_path / "a")
    assert_same(first, trained(tiny_store, device, tmp_path / "b", workers=2))


@pytest.fixture
def cut(tiny_store, tmp_path, device, monkeypatch):
    """A function that trains, is killed when it has first saved its state, and goes on."""

    def twice(run=None, workers=0):
        real = kept.write_state

        def write_and_die(path, **state):
            real(path, **state)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(kept, "write_state", write_and_die)
            with pytest.raises(KeyboardInterrupt):
                trained(tiny_store, device, tmp_path / "cut", run)
        return trained(tiny_store, device, tmp_path / "cut", run, workers=workers)

    return twice


@on_each_device
def test_a_resumed_run_gives_the_same_bytes(tiny_store, tmp_path, device, cut):
    assert_same(trained(tiny_store, device, tmp_path / "whole"), cut())


def without_clip(name):
    """Settings of a network on frames alone, as small as it may be."""
    frames = 7 if name == "est" else 8
    model = {"method": name, "frames": frames, "size": 32}
    recipe = {"epochs": 2, "batch": 6, "lr": 1e-4, "precision": "fp32", "drop_last": True}
    return RunSettings.from_dict({"model": model, "train": recipe})


@on_each_device
def test_dropout_is_the_same_in_a_resumed_run(tiny_store, tmp_path, device, cut):
    run = without_clip("est")
    assert_same(trained(tiny_store, device, tmp_path / "whole", run), cut(run, workers=1))


ON_CLIP = {  # another method → its settings; the tiny CLIP reads 16 tokens
    "zero_shot": {},
    "coop": {"context": 4},
    "cocoop": {"context": 4, "init": ""},
    "dfer_clip": {"context": 4, "descriptors": {name: f"{name} eyes" for name in CLASSES}},
    "cliper": {"subclasses": 2},
}


def of_method(name):
    """Settings of a training by any method; its last batch is a smaller one."""
    if name == OWN:
        return settings(batch=5)
    if name not in ON_CLIP:
        return without_clip(name)
    run = settings(batch=5).to_dict()
    return RunSettings.from_dict(run | {"model": {"method": name, "frames": 8} | ON_CLIP[name]})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", [n for n in methods() if n != "zero_shot"])
def test_each_method_can_be_recorded_and_has_a_deterministic_gradient(tiny_store, tmp_path, name):
    """Two recorded runs are equal; of what has no deterministic gradient torch refuses one."""
    device = pick_device(1)
    first = trained(tiny_store, device, tmp_path / "a", of_method(name))
    assert_same(first, trained(tiny_store, device, tmp_path / "b", of_method(name)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", [OWN, "cliper", "ial"])
def test_a_recorded_step_is_the_step_itself(tiny_store, tmp_path, name, monkeypatch):
    """On whole batches and on a smaller last one, running means of batch norm among it."""
    device, run = pick_device(1), of_method(name)
    weights, history = trained(tiny_store, device, tmp_path / "recorded", run)
    monkeypatch.setattr(Recorded, "__call__", lambda self, *inputs: self.compute(*inputs))
    expected, its_history = trained(tiny_store, device, tmp_path / "plain", run)
    assert history.loss.tolist() == pytest.approx(its_history.loss.tolist(), rel=1e-4)
    for key, value in weights.items():
        torch.testing.assert_close(value, expected[key], rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", methods())
def test_recorded_predictions_are_the_predictions_themselves(
    tiny_store, name, precision, monkeypatch
):
    """Of nine whole batches, and of eight and a smaller last one."""
    device, run = pick_device(1), of_method(name)
    model = build(run.model, run.backbone, CLASSES, TEXT).to(device)
    normalise = normaliser(pixels(run.model, run.backbone), device)
    folder, splits = tiny_store
    store = ClipStore(sorted(folder.glob("*.arrow")))
    names = splits["clip"][(splits.fold == 1) & (splits.split == "test")].tolist()
    frames, size = run.model.frames, image_size(run.model, run.backbone)
    for count in (18, 17):
        data = EvaluationClips(store, names[:count], [0] * count, frames=frames, size=size)
        words = (model, data, normalise, precision)
        recorded = logits_of(*words, batch=2, workers=0)
        with monkeypatch.context() as patch:
            patch.setattr(inference, "RECORDED", 1000)
            assert torch.equal(logits_of(*words, batch=2, workers=0), recorded)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("recipe", [{"prior": 1.0}, {"balanced": True}])
@pytest.mark.parametrize("name", [OWN, "cliper", "ial"])
def test_what_is_done_for_rare_classes_is_done_in_recorded_steps(
    tiny_store, tmp_path, name, recipe, monkeypatch
):
    device, settings = pick_device(1), of_method(name).to_dict()
    run = RunSettings.from_dict(settings | {"train": settings["train"] | recipe})
    recorded = trained(tiny_store, device, tmp_path / "recorded", run)
    assert_same(recorded, trained(tiny_store, device, tmp_path / "again", run))
    monkeypatch.setattr(Recorded, "__call__", lambda self, *inputs: self.compute(*inputs))
    _, history = trained(tiny_store, device, tmp_path / "plain", run)
    assert recorded[1].loss.tolist() == pytest.approx(history.loss.tolist(), rel=1e-4)


@on_each_device
def test_bf16_trains_weights_in_float32_to_about_the_same_loss(tiny_store, tmp_path, device):
    plain = trained(tiny_store, device, tmp_path / "fp32")[1]
    weights, history = trained(tiny_store, device, tmp_path / "bf16", settings(precision="bf16"))
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert history.loss.tolist() == pytest.approx(plain.loss.tolist(), rel=0.1)
    assert history.loss.tolist() != plain.loss.tolist()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_jobs_side_by_side_have_a_card_each(tmp_path, monkeypatch):
    """As many as there are cards; each sees one, and no two the same."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    says = (
        "import os, sys, torch; print(torch.cuda.device_count(), "
        "os.environ['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-m", "dfer.dag.gpu", "1", sys.executable, "-c", says]
    jobs = [subprocess.Popen(command, stdin=-1, stdout=-1, text=True) for _ in gpus()]
    seen = [[job.stdout.readline(), job.stdout.readline()][1].split() for job in jobs]
    for job in jobs:
        job.communicate()
    assert {count for count, _ in seen} == {"1"}
    assert len({card for _, card in seen}) == len(jobs)
