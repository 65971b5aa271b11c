"""Networks on frames: ResNet18-LSTM, ResNet18-ViT, Former-DFER, IAL, EST, LSTPNet, VGG13-LSTM.

The stored outputs, float64, are of weights and clips that a rule gives. The seed of a tensor is the
CRC-32 of its name, z the normal numbers of NumPy's frozen generator; running means are 0.1 z,
running variances 0.5 + 0.5 |z|, other weights of one dimension 1 + 0.1 z, other tensors of one
0.1 z, all others z / √(numbers a row). Clips are uniform in 0…1, of seed 0. When the file was made,
each network agreed to 1e-9 with its authors' public implementation on such weights.
"""

import json
import zlib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from dfer.errors import UserError
from dfer.methods import est, former_dfer, freq_hd, ial, lstpnet, resnet_lstm, resnet_vit
from dfer.models.flops import AsDefined, count_module
from dfer.models.method import make
from dfer.models.peers.est import ORDERS, sinusoids
from dfer.models.peers.ial import intensity_aware

GOLDEN = json.loads(Path(__file__).with_name("video_golden_netsframe.json").read_text())
WORDS = tuple("abcdefghijk")
LABELS = torch.tensor([2, 5])


def build(settings, classes=7):
    """A network; what is random in it is the same in each test."""
    torch.manual_seed(0)
    return make(settings, {}, WORDS[:classes], torch.empty(classes, 0))


def fill(model):
    """The weights of the rule, float64."""
    state = {}
    for name, tensor in model.state_dict().items():
        z = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tensor.shape)
        if name.endswith("num_batches_tracked"):
            z = 0
        elif name.endswith("running_mean"):
            z *= 0.1
        elif name.endswith("running_var"):
            z = 0.5 + 0.5 * abs(z)
        elif tensor.ndim == 1:
            z = 1 + 0.1 * z if name.endswith("weight") else 0.1 * z
        else:
            z /= np.sqrt(z.size / len(z))
        state[name] = torch.as_tensor(z)
    model.double().load_state_dict(state)
    return model.eval()


def clips(*shape):
    return torch.tensor(np.random.RandomState(0).random_sample(shape))


def small(shape):
    return clips(*shape).float()


def outputs(name):
    """All that the stored file has of a network, in float64."""
    settings = import_module(f"dfer.methods.{name}").Settings(**GOLDEN[name]["settings"])
    with torch.device("meta"):
        model = make(settings, {}, WORDS[:7], torch.empty(7, 0))
    model = fill(build(settings) if name == "est" else model.to_empty(device="cpu"))
    body, head = model.body, model.head
    x = clips(GOLDEN[name]["clips"], settings.frames, 3, settings.size, settings.size)
    with torch.inference_mode():
        if name == "ial":
            logits = head(body(x, found := []))
            stages = zip(("stage2", "stage3"), head.auxiliary, found, strict=True)
            return {"logits": logits} | {n: layer(g.mean(dim=1)) for n, layer, g in stages}
        if name == "est":
            s = body.snippets(x)
            e = body.answer(s)
            places = ORDERS[GOLDEN[name]["orders"]].unsqueeze(2).expand_as(s)
            order = head.order((s.gather(1, places) + e.unsqueeze(1)).flatten(1))
            return {"logits": head(e), "order_logits": order}
        return {"logits": head(body(x))}


@pytest.mark.parametrize("name", GOLDEN)
def test_outputs_are_those_of_the_authors_code(name):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = outputs(name)
    torch.set_num_threads(threads)
    for key, values in found.items():
        expected = torch.tensor(GOLDEN[name][key], dtype=torch.float64)
        torch.testing.assert_close(values, expected, rtol=0, atol=1e-9)


AUXILIARY = 169_216  # multiply–accumulates of IAL's further classifiers, which the authors' have
ORDER = 8_393_728  # of EST's order, likewise
TABLE = 3_584  # of EST's positions, which are none of our parameters
COUNTS = [  # settings, classes, parameters, multiply–accumulates
    (resnet_lstm.Settings(), 7, 13_281_351, 7_791_119_872),
    (resnet_vit.Settings(), 7, 17_497_671, 7_865_408_000),
    (resnet_vit.Settings(layers=1), 7, 13_292_103, None),
    (former_dfer.Settings(), 7, 18_031_943, 8_296_118_784),
    (ial.Settings(), 7, 18_936_775, 5_624_133_376 - AUXILIARY),
    (est.Settings(), 7, 42_779_345 - TABLE, 63_608_249_792 - ORDER),
    (est.Settings(), 11, 42_779_605 - TABLE, None),
    (lstpnet.Settings(), 7, 24_619_686, 32_915_820_032),
    (freq_hd.Settings(), 7, 133_411_143, None),
]


@pytest.mark.parametrize("case", COUNTS, ids=lambda case: f"{case[0].name}-{case[2]}")
def test_parameters_and_operations(case):
    settings, classes, parameters, macs = case
    text = torch.empty(classes, 0, device="meta")
    found = count_module(
        lambda: AsDefined(make(settings, {}, WORDS[:classes], text)),
        (1, settings.frames, 3, settings.size, settings.size),
    )
    assert found.parameters == found.trained == parameters
    assert macs in (None, found.macs_true)


def test_what_only_training_computes_is_the_rest_of_the_operations():
    with torch.device("meta"):
        auxiliary = make(ial.Settings(), {}, WORDS[:7], torch.empty(7, 0)).head.auxiliary
        order = make(est.Settings(), {}, WORDS[:7], torch.empty(7, 0)).head.order
    for layers, macs in ((auxiliary, AUXILIARY), (order, ORDER)):
        linear = [m for m in layers.modules() if isinstance(m, nn.Linear)]
        assert sum(m.weight.numel() for m in linear) == macs


SMALL = {  # of other numbers of frames and other sizes than published
    "resnet_lstm": resnet_lstm.Settings(frames=3, size=40),
    "resnet_vit": resnet_vit.Settings(frames=3, size=40, layers=2, heads=4, mlp_width=96),
    "former_dfer": former_dfer.Settings(frames=3, size=40),
    "ial": ial.Settings(frames=3, size=40, auxiliary_weights=(0.05, 0.1)),
    "est": est.Settings(frames=7, size=40),
    "lstpnet": lstpnet.Settings(frames=3, size=40),
    "freq_hd": freq_hd.Settings(frames=3, size=40),
}


@pytest.mark.parametrize("name", SMALL)
def test_clips_of_other_shapes_train_and_a_clip_can_be_alone(name):
    """Gradients reach all that is trained, and in evaluation clips do not see each other."""
    settings = SMALL[name]
    model = build(settings)
    batch = small((2, settings.frames, 3, settings.size, settings.size))
    with torch.inference_mode():
        model.eval()
        together = model(batch)
        assert together.shape == (2, 7)
        alone = torch.cat([model(clip) for clip in batch.split(1)])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
        assert (together[0] - together[1]).abs().max() > 1e-6
    loss, logits = model.train().loss_of_clips(batch, LABELS)
    assert logits.shape == (2, 7) and logits.dtype == torch.float32
    loss.backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert {n.partition(".")[0] for n, _ in model.named_parameters()} == {"body", "head"}


@pytest.mark.parametrize("name", sorted(SMALL.keys() - {"est"}))
def test_the_order_of_frames_matters(name):
    settings = SMALL[name]
    model = fill(build(settings)) if name != "freq_hd" else build(settings).eval().double()
    x = clips(1, settings.frames, 3, settings.size, settings.size)
    with torch.inference_mode():
        v = model.body(x)
        assert (v - model.body(x.flip(1))).abs().max() > 1e-5 * v.abs().max()


@pytest.mark.parametrize("size", [33, 64])
def test_sizes_that_do_not_halve_evenly(size):
    for settings in (former_dfer.Settings(8, size), ial.Settings(8, size)):
        with torch.device("meta"):
            model = make(settings, {}, WORDS[:7], torch.empty(7, 0)).eval()
            assert model(torch.empty(1, 8, 3, size, size)).shape == (1, 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (est.Settings(frames=8), r"model\.frames: 7 snippets need a multiple of 7\."),
        (est.Settings(frames=0), r"model\.frames: 7 snippets"),
        (ial.Settings(frames=1), r"model\.frames: differences of frames need two\."),
        (resnet_vit.Settings(heads=7), r"model\.heads: a width of 512 does not divide into 7"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, message):
    with pytest.raises(UserError, match=message), torch.device("meta"):
        make(settings, {}, WORDS[:7], torch.empty(7, 0))


@pytest.mark.parametrize(
    ("settings", "part", "reference", "last"),
    [
        (resnet_lstm.Settings(), "resnet", torchvision.models.resnet18, "fc."),
        (resnet_vit.Settings(), "resnet", torchvision.models.resnet18, "fc."),
        (est.Settings(), "resnet", torchvision.models.resnet18, "fc."),
        (freq_hd.Settings(), "vgg", torchvision.models.vgg13, "classifier.6."),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_can_start_from_weights_has_torchvision_s_names(settings, part, reference, last):
    with torch.device("meta"):
        own = getattr(make(settings, {}, WORDS[:7], torch.empty(7, 0)).body, part).state_dict()
        names = {n: t.shape for n, t in reference().state_dict().items()}
    assert {n: t.shape for n, t in own.items()} == {
        n: shape for n, shape in names.items() if not n.startswith(last)
    }


def test_resnet_lstm_is_a_recurrence_over_torchvision_s_features():
    model = build(resnet_lstm.Settings(frames=3, size=32)).double().eval()
    resnet = torchvision.models.resnet18()
    resnet.fc = nn.Identity()
    resnet.double().eval().load_state_dict(model.body.resnet.state_dict())
    x, lstm = clips(2, 3, 3, 32, 32), model.body.lstm
    h = c = torch.zeros(2, 512, dtype=torch.float64)
    with torch.no_grad():
        for t in range(3):
            gates = F.linear(resnet(x[:, t]), lstm.weight_ih_l0, lstm.bias_ih_l0)
            gates = gates + F.linear(h, lstm.weight_hh_l0, lstm.bias_hh_l0)
            i, f, g, o = gates.chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        torch.testing.assert_close(model.body(x), h)


def test_resnet_vit_is_pre_norm_with_a_class_token():
    model = build(resnet_vit.Settings(frames=2, size=32, layers=1, heads=1)).double().eval()
    encoder, x = model.body.encoder, clips(1, 2, 3, 32, 32)
    layer = encoder.layers[0]
    attention = layer.self_attn
    with torch.no_grad():
        z = torch.cat([encoder.cls_token[0], model.body.resnet(x)[0]]) + encoder.pos_embedding[0]
        qkv = F.linear(layer.norm1(z), attention.in_proj_weight, attention.in_proj_bias)
        q, k, v = qkv.chunk(3, dim=1)
        z = z + attention.out_proj((q @ k.T / 512**0.5).softmax(dim=1) @ v)
        z = z + layer.linear2(F.gelu(layer.linear1(layer.norm2(z))))
        torch.testing.assert_close(model.body(x)[0], z[0])


def test_the_intensity_aware_loss():
    logits = torch.tensor(np.random.RandomState(2).standard_normal((4, 7)))
    labels = torch.tensor([0, 3, 6, 2])
    assert abs(intensity_aware(logits, labels).item() - 1.9379619767422986) < 1e-12
    assert abs(F.cross_entropy(logits, labels).item() - 2.572974803760427) < 1e-12


def test_ial_s_loss_is_a_weighted_sum():
    x, terms = small((2, 3, 3, 32, 32)), {}
    for weights in ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        model = build(ial.Settings(3, 32, "plain", weights[0], weights[1:])).eval()
        with torch.no_grad():
            terms[weights], logits = model.loss_of_clips(x, LABELS)
    plain, *further = terms.values()
    assert plain == F.cross_entropy(logits, LABELS)
    torch.testing.assert_close(further[0] - plain, intensity_aware(logits, LABELS))
    with torch.no_grad():
        model.body(x, found := [])
        for term, g, layer in zip(further[1:], found, model.head.auxiliary, strict=True):
            own = F.cross_entropy(layer(g.mean(dim=1)), LABELS)
            torch.testing.assert_close(term - plain, own)
        loss, _ = build(ial.Settings(3, 32)).eval().loss_of_clips(x, LABELS)
    published = 0.1 * (further[0] - plain) + 0.05 * (further[1] - plain)
    torch.testing.assert_close(loss, plain + published)


@pytest.fixture(scope="module")
def snippets():
    """EST, and clips of two frames a snippet."""
    return build(est.Settings(frames=14, size=32)).eval(), small((2, 14, 3, 32, 32))


def test_est_s_loss_has_an_order_that_is_drawn(snippets):
    model, x = snippets
    losses = set()
    for seed in range(4):
        torch.manual_seed(seed)
        drawn = torch.randint(10, (2,))
        torch.manual_seed(seed)
        with torch.no_grad():
            s = model.body.snippets(x)
            e = model.body.answer(s)
            loss, logits = model.loss_of_clips(x, LABELS)
            order = F.cross_entropy(model.head.order_logits(s, e, drawn), drawn)
        torch.testing.assert_close(logits, model.head(e))
        torch.testing.assert_close(loss, F.cross_entropy(logits, LABELS) + 0.1428 * order)
        losses.add(loss.item())
    assert len(losses) == 4


def test_est_s_order_is_of_snippets_that_it_does_not_train(snippets):
    model, _ = snippets
    s, e = torch.randn(1, 7, 512, requires_grad=True), torch.zeros(1, 512, requires_grad=True)
    orders = [model.head.order_logits(s, e, torch.tensor([n])) for n in range(10)]
    assert len({tuple(order[0].tolist()) for order in orders}) == 10
    sum(order.sum() for order in orders).backward()
    assert s.grad is None and e.grad.any()
    placed = s.detach()[:, [5, 3, 1, 6, 4, 0, 2]].flatten(1)
    torch.testing.assert_close(orders[1], model.head.order(placed))


def test_est_s_answer_is_that_of_any_order(snippets):
    """Each snippet with its own position: why an order is drawn behind the transformer."""
    model, x = snippets
    with torch.no_grad():
        s = model.body.snippets(x)
        memory = s + model.body.positions
        query = model.body.query.repeat(2, 1, 1)
        for order in ORDERS:
            e = model.body.transformer(memory[:, order], query)[:, 0]
            torch.testing.assert_close(e, model.body.answer(s), rtol=1e-4, atol=1e-5)


def test_est_s_frames_stand_in_the_order_of_snippets(snippets):
    """Within a snippet their order does not matter; the snippet does."""
    model, x = snippets
    within, across = x.clone(), x.clone()
    within[:, [4, 5]] = x[:, [5, 4]]
    across[:, [5, 6]] = x[:, [6, 5]]
    with torch.no_grad():
        s = model.body.snippets(x)
        torch.testing.assert_close(model.body.snippets(within), s, rtol=1e-4, atol=1e-5)
        moved = (model.body.snippets(across) - s).abs().amax(dim=(0, 2))
    assert (moved > 1e-3).tolist() == [False, False, True, True, False, False, False]


def test_est_trains_on_a_clip_alone(snippets):
    model = build(est.Settings(frames=7, size=32)).train()
    loss, logits = model.loss_of_clips(small((1, 7, 3, 32, 32)), LABELS[:1])
    assert loss == F.cross_entropy(logits, LABELS[:1])


def test_est_s_orders_and_positions():
    assert all(sorted(order) == list(range(7)) for order in ORDERS.tolist())
    assert len({tuple(order) for order in ORDERS.tolist()}) == 10
    table = sinusoids(7)
    assert table[0].tolist() == [0.0, 1.0] * 256
    expected = [np.sin(3 / 10000 ** (10 / 512)), np.cos(3 / 10000 ** (10 / 512))]
    np.testing.assert_allclose(table[3, 10:12], np.float32(expected), rtol=0, atol=0)
