"""3-D networks: their authors' logits and counts, and what holds whatever the weights.

The golden logits follow from a rule. A tensor of the state dict holds standard normal numbers z of
NumPy's frozen generator, seeded by the CRC-32 of the tensor's name:

    running_mean   0.1 z            weight of one dimension   1 + 0.1 z
    running_var    0.5 + 0.5 |z|    two dimensions or more    z / √(numbers of a row)
    num_batches_tracked   0         all others                0.1 z

A clip holds `RandomState(0).random_sample`, and everything is in float64. When the file was made,
each network was compared with its authors' public implementation, weights filled by that rule under
the names there, at the published T and size: no logit differed by 1e-9.
"""

import json
import zlib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.video import r2plus1d_18, r3d_18

from dfer.errors import UserError
from dfer.methods import c3d, i3d, m3dfel, p3d, r3d, resnet3d
from dfer.models.flops import count
from dfer.models.method import make, part_of
from dfer.models.peers.c3d import map_size
from dfer.models.peers.ec_stfl import ec_stfl
from dfer.models.peers.i3d import same
from dfer.models.peers.pooling import AdaptiveMean, MaxPool3d
from dfer.models.peers.r3d import middle
from dfer.models.peers.resnet3d import ShortcutA
from dfer.settings import BackboneSettings

WORDS = tuple("abcdefg")
NO_CLIP = BackboneSettings("none", None)
LABELS = torch.tensor([2, 5])
GOLDEN = json.loads(Path(__file__).with_name("video_golden_nets3d.json").read_text())
SMALL = {"frames": 8, "size": 32}
NETWORKS = {
    "resnet3d": resnet3d.Settings(**SMALL),
    "resnet3d A, EC-STFL": resnet3d.Settings(shortcut="A", ec_stfl=10.0, **SMALL),
    "r3d18": r3d.Settings(network="r3d18", **SMALL),
    "r2plus1d18": r3d.Settings(network="r2plus1d18", **SMALL),
    "r2plus1d18_original": r3d.Settings(network="r2plus1d18_original", **SMALL),
    "c3d": c3d.Settings(**SMALL),
    "i3d": i3d.Settings(**SMALL),
    "p3d": p3d.Settings(**SMALL),
    "m3dfel": m3dfel.Settings(**SMALL),
}


def new(settings):
    torch.manual_seed(0)
    return make(settings, {}, WORDS, torch.zeros(7, 0)).eval()


def clips(settings, batch=2):
    shape = (batch, settings.frames, 3, settings.size, settings.size)
    return torch.from_numpy(np.random.RandomState(0).random_sample(shape))


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def filled(settings):
    """A network in float64, its numbers those of the rule."""
    with torch.device("meta"):
        model = make(settings, {}, WORDS, torch.zeros(7, 0))
    state = {name: value(name, tuple(t.shape)) for name, t in model.state_dict().items()}
    model.load_state_dict(state, assign=True)
    return model.eval()


def value(name, shape):
    z = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if name.endswith("running_var"):
        z = 0.5 + 0.5 * abs(z)
    elif len(shape) >= 2:
        z /= np.sqrt(z.size / shape[0])
    elif name.endswith("weight"):
        z = 1 + 0.1 * z
    else:
        z *= 0.1
    return torch.from_numpy(z)


REFERENCES = {
    "resnet3d": resnet3d.Settings(),
    "c3d": c3d.Settings(size=48),  # smaller than published, to take less time
    "i3d": i3d.Settings(),
    "p3d": p3d.Settings(),
    "m3dfel": m3dfel.Settings(size=48),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_logits_are_those_of_the_authors_network(one_thread, name):
    model, golden = filled(REFERENCES[name]), torch.tensor(GOLDEN[name], dtype=torch.float64)
    with torch.inference_mode():
        logits = model.head(model.features(clips(model.settings, len(golden))))
    torch.testing.assert_close(logits, golden, rtol=0, atol=1e-9)


COUNTS = [  # parameters and multiply–accumulates of one clip, counted on the authors' own modules
    (resnet3d.Settings(), 33_207_495, 8_307_805_696),
    (resnet3d.Settings(shortcut="A"), 33_033_671, 8_296_074_752),
    (r3d.Settings(network="r3d18"), 33_169_863, 40_696_352_256),
    (r3d.Settings(network="r2plus1d18"), 31_303_716, 40_518_879_744),
    (r3d.Settings(network="r2plus1d18_original"), 33_182_188, 42_142_474_752),
    (c3d.Settings(), 78_029_959, 38_546_993_152),
    (i3d.Settings(), 12_294_439, 27_787_576_320),
    (i3d.Settings(size=112), 12_294_439, 6_982_557_696),
    (p3d.Settings(), 24_939_975, 8_441_051_136),
    (p3d.Settings(size=112), 24_939_975, 4_192_155_648),
    (p3d.Settings(size=224), 24_939_975, 16_544_446_464),
    (m3dfel.Settings(), 46_823_384, 43_191_487_488),
]


@pytest.mark.parametrize("case", COUNTS, ids=lambda case: f"{case[0].name}-{case[2]}")
def test_parameters_and_operations(case):
    settings, parameters, macs = case
    found = count(settings, NO_CLIP, WORDS)
    assert (found.parameters, found.trained, found.macs_true) == (parameters, parameters, macs)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_has_a_gradient_and_a_part(name):
    """In eval mode: batch norm of a batch takes a convolution's bias out again."""
    model = new(NETWORKS[name])
    loss, logits = model.loss_of_clips(clips(model.settings).float(), LABELS)
    assert logits.shape == (2, 7) and logits.dtype == torch.float32
    loss.backward()
    for name, parameter in model.named_parameters():
        assert part_of(name) in model.settings.parts
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


@pytest.mark.parametrize("name", NETWORKS)
def test_odd_sizes_and_clips_of_a_batch_that_do_not_see_each_other(name):
    frames = 12 if name == "m3dfel" else 5
    settings = type(NETWORKS[name])(**vars(NETWORKS[name]) | {"frames": frames, "size": 45})
    model, both = new(settings), clips(settings).float()
    for parameter in model.parameters():
        if parameter.ndim == 5:  # else what differs fades from layer to layer
            nn.init.kaiming_normal_(parameter)
    with torch.inference_mode():
        alone = torch.cat([model(clip) for clip in both.split(1)])
        torch.testing.assert_close(model(both), alone, rtol=1e-4, atol=1e-5)
        assert (alone[0] - alone[1]).abs().max() > 1e-4
    with pytest.raises(UserError, match=rf"T = {frames}\b"):
        model(both[:, 1:])


def test_ec_stfl_of_six_clips():
    """Two pairs and a clip alone: 7.204497825244168 / 35.70401804780281."""
    v = torch.tensor(np.random.RandomState(1).standard_normal((6, 4)), requires_grad=True)
    found = ec_stfl(v, torch.tensor([0, 0, 1, 1, 1, 2]))
    assert found.item() == pytest.approx(0.20178395091550558, abs=1e-14)
    found.backward()
    assert v.grad.isfinite().all() and v.grad.any(dim=1).all()


def test_ec_stfl_draws_together_what_is_alike_and_apart_what_is_not():
    v = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 2.0]], requires_grad=True)
    ec_stfl(v, torch.tensor([0, 0, 1])).backward()
    x, y = (-v.grad).unbind(dim=1)  # where a step goes
    assert x[0] > 0 > x[1] and y[2] > 0


def test_clips_of_equal_features_have_a_gradient_too():
    v = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    ec_stfl(v, torch.tensor([0, 0, 1])).backward()
    assert v.grad.isfinite().all()


def test_ec_stfl_is_added_to_cross_entropy_unless_there_is_one_class():
    model = new(NETWORKS["resnet3d A, EC-STFL"])
    v, criterion = torch.randn(6, 512), nn.CrossEntropyLoss(label_smoothing=0.1)
    for labels in (torch.tensor([0, 0, 1, 1, 1, 2]), torch.full((6,), 3)):
        loss, logits = model.loss(v, labels, criterion)
        term = ec_stfl(v, labels)
        torch.testing.assert_close(loss, criterion(logits, labels) + 10 * term)
        assert (term == 0) == (len(labels.unique()) == 1)
    plain, _ = new(NETWORKS["resnet3d"]).loss(v, labels, criterion)
    assert plain.ndim == 0


def test_shortcut_a_is_every_second_place_and_zeros():
    x = torch.randn(2, 3, 5, 4, 7)
    out = ShortcutA()(x)
    assert out.shape == (2, 6, 3, 2, 4)
    assert torch.equal(out[:, :3], x[:, :, ::2, ::2, ::2]) and not out[:, 3:].any()


@pytest.mark.parametrize(("name", "theirs"), [("r3d18", r3d_18), ("r2plus1d18", r2plus1d_18)])
def test_networks_of_torchvision_are_as_they_are(name, theirs):
    settings = NETWORKS[name]
    ours, x = new(settings), clips(settings).float()
    torch.manual_seed(0)
    theirs = theirs(num_classes=7).eval()
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x.transpose(1, 2)))


@pytest.mark.parametrize("shape", [(3, 64, 7), (64, 64, 3), (64, 128, 3), (256, 512, 3)])
def test_a_split_convolution_is_as_wide_as_the_parameters_of_the_whole_allow(shape):
    inputs, outputs, size = shape
    between = middle(*shape)
    whole, each = 3 * size**2 * inputs * outputs, size**2 * inputs + 3 * outputs
    assert between * each <= whole < (between + 1) * each


@pytest.mark.parametrize(
    "settings",
    [
        r3d.Settings(network="r3d18", weights="some"),
        r3d.Settings(network="r2plus1d18", weights="some"),
        m3dfel.Settings(weights="some"),
    ],
    ids=lambda settings: f"{settings.name}-{getattr(settings, 'network', '')}",
)
def test_weights_go_where_torchvision_has_their_names(monkeypatch, settings):
    loaded = []
    monkeypatch.setattr(
        import_module(settings.module),
        "load",
        lambda module, weights: loaded.append((set(module.state_dict()), weights)),
    )
    theirs = r2plus1d_18 if getattr(settings, "network", "") == "r2plus1d18" else r3d_18
    with torch.device("meta"):
        for model in (type(settings)(), settings):
            make(model, {}, WORDS, torch.zeros(7, 0)).start_from(NO_CLIP)
        names = {name for name in theirs().state_dict() if not name.startswith("fc.")}
    assert loaded == [(names, "some")]


@pytest.mark.parametrize("frames", [1, 7, 8, 16, 17])
@pytest.mark.parametrize("size", [16, 45, 64, 112, 120])
def test_c3d_s_linear_layer_is_of_the_map_s_size(frames, size):
    settings = c3d.Settings(frames=frames, size=size)
    with torch.device("meta"):
        body = make(settings, {}, WORDS, torch.zeros(7, 0)).eval().body
        convolutions = body[: [type(layer) for layer in body].index(nn.Flatten)]
        found = convolutions(torch.empty(1, 3, frames, size, size)).numel()
    assert found == map_size(frames, size)


@pytest.mark.parametrize("n", range(1, 10))
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 1), (3, 2), (2, 2), (1, 1)])
def test_same_padding_is_tensorflow_s(n, kernel, stride):
    """⌈n/s⌉ places, and no more zeros than they need, the odd one behind."""
    padded = same(torch.ones(1, 1, n, 1, 1), (kernel, 1, 1), (stride, 1, 1)).flatten()
    zeros = len(padded) - n
    places = (len(padded) - kernel) // stride + 1
    assert places == -(-n // stride)
    assert zeros in (0, (places - 1) * stride + kernel - n)
    assert padded.tolist() == F.pad(torch.ones(n), (zeros // 2, zeros - zeros // 2)).tolist()


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (p3d.Settings(frames=1), "frames: .* 2 or more"),
        (m3dfel.Settings(frames=10), "frames: 10 do not divide into 4"),
        (m3dfel.Settings(instances=1), "instances: 2 or more"),
        (r3d.Settings(network="r2plus1d18_original", weights="some"), "weights: .* do not fit"),
    ],
)
def test_what_cannot_work_is_said(settings, fault):
    with pytest.raises(UserError, match=rf"model\.{fault}"), torch.device("meta"):
        make(settings, {}, WORDS, torch.zeros(7, 0))


@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": (1, 2, 2), "ceil_mode": True},
        {"kernel_size": 2, "padding": (0, 1, 1), "ceil_mode": True},
        {"kernel_size": (2, 3, 3), "stride": 2, "padding": (0, 1, 1)},
    ],
)
def test_the_pool_over_space_and_then_time_is_torch_s(arguments):
    """Of the maxima and of their gradients."""
    x = torch.randn(2, 3, 7, 9, 10, dtype=torch.double, requires_grad=True)
    theirs, ours = torch.nn.MaxPool3d(**arguments)(x), MaxPool3d(**arguments)(x)
    assert torch.equal(ours, theirs)
    weights = torch.randn_like(ours)
    (expected,) = torch.autograd.grad((theirs * weights).sum(), x, retain_graph=True)
    (found,) = torch.autograd.grad((ours * weights).sum(), x)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (1, 3), (10, 24), (5, 6)])
def test_the_adaptive_mean_is_torch_s(height, width):
    x = torch.randn(2, 3, height, width, dtype=torch.double)
    expected = torch.nn.AdaptiveAvgPool2d(7)(x)
    torch.testing.assert_close(AdaptiveMean(7)(x), expected, rtol=0, atol=1e-12)
