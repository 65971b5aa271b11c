"""Parameters and multiply–accumulates of the methods at ViT-B/32, to the digit.

The numbers were counted on the authors' own modules: `thop` is what Conv2d and Linear do, `true`
all convolutions and matrix products, of one clip of 7 classes.
"""

import pytest
import torch
import torch.nn.functional as F
from mini import WORDS

from dfer.methods import cliper, cocoop, coop, dfer_clip, zero_shot
from dfer.models.backbone import read_config
from dfer.models.flops import AsDefined, count, count_module
from dfer.models.method import make, part_of
from dfer.settings import BackboneSettings

VIT_B_32 = BackboneSettings("ViT-B-32-quickgelu", None)
VIT_B_16 = BackboneSettings("ViT-B-16-quickgelu", None)
ELEVEN = (*WORDS, "contempt", "anxiety", "helplessness", "disappointment")
DESCRIPTORS = dict.fromkeys(ELEVEN, "a face.")
SCALE = 1  # CLIP's logit scale, in whose place methods here have a temperature
IMAGE_TOWER = 87_849_216
CLIP = 151_277_313

FRAMES = {  # per clip of 8 and 16 frames: (thop, true)
    8: (23_574_085_632, 35_270_492_160),
    16: (47_148_171_264, 70_540_984_320),
}
WITH_TM = {8: (23_592_960_000, 35_289_449_472), 16: (47_183_822_848, 70_576_931_840)}
WITH_PROMPTS = {8: (37_138_497_536, 56_128_917_504), 16: (60_712_583_168, 91_399_409_664)}
SEVEN_PROMPTS = (13_564_379_136, 20_858_392_576)  # of 77 tokens


def described(**changes):
    return dfer_clip.Settings(descriptors=DESCRIPTORS, **changes)


TRAINED = [  # settings, classes, parameters trained, parameters of all CLIP and the new ones
    (zero_shot.Settings(), WORDS, 0, CLIP),
    (coop.Settings(context=4), WORDS, 2_048, CLIP + 2_048),
    (coop.Settings(context=8), WORDS, 4_096, CLIP + 4_096),
    (coop.Settings(), WORDS, 8_192, 151_285_505),
    (coop.Settings(context=8, class_specific=True), WORDS, 28_672, CLIP + 28_672),
    (coop.Settings(class_specific=True), WORDS, 57_344, CLIP + 57_344),
    (coop.Settings(context=8, class_specific=True), ELEVEN, 45_056, CLIP + 45_056),
    (coop.Settings(class_specific=True), ELEVEN, 90_112, CLIP + 90_112),
    (cocoop.Settings(), WORDS, 35_360, 151_312_673),
    (cocoop.Settings(context=8), WORDS, 37_408, CLIP + 37_408),
    (cocoop.Settings(context=16), WORDS, 41_504, CLIP + 41_504),
    (described(temporal_layers=0), WORDS, 87_877_888, 151_305_985),
    (described(), WORDS, 89_988_352, 153_416_449),
    (described(), ELEVEN, 90_004_736, 153_432_833),
    (cliper.Settings(), WORDS, 87_849_216 + 71_680, 151_348_993),
    (cliper.Settings(), ELEVEN, 87_849_216 + 112_640, CLIP + 112_640),
]


@pytest.mark.parametrize("case", TRAINED, ids=lambda c: f"{c[0].name}-{c[2]}")
def test_parameters(case):
    settings, words, trained, total = case
    found = count(settings, VIT_B_32, words)
    assert found.trained == trained
    text_tower = CLIP - IMAGE_TOWER  # which `parameters` leaves out
    assert found.parameters + text_tower == total


@pytest.mark.slow
def test_what_a_run_keeps_of_the_text_tower():
    """All but the token embedding, whose few rows that are read stand in the prompts."""
    architecture = read_config(VIT_B_32.model)
    with torch.device("meta"):
        model = make(coop.Settings(), architecture, WORDS, torch.zeros(7, 512))
    tower = sum(p.numel() for n, p in model.named_parameters() if part_of(n) == "tower")
    assert tower + 25_296_896 + SCALE == CLIP - IMAGE_TOWER


@pytest.mark.parametrize(
    ("layers", "positions", "expected"),
    [(1, 17, 2_110_464), (2, 17, 4_211_712), (3, 17, 6_312_960), (1, 9, 2_106_368)],
)
def test_parameters_of_the_temporal_model(layers, positions, expected):
    from dfer.models.peers.dfer_clip import TemporalModel

    settings = described(temporal_layers=layers, positions=positions)
    with torch.device("meta"):
        temporal = TemporalModel(settings, 512)
    assert sum(p.numel() for p in temporal.parameters()) == expected


@pytest.mark.slow
@pytest.mark.parametrize("frames", [8, 16])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (zero_shot.Settings, FRAMES),
        (coop.Settings, FRAMES),
        (cliper.Settings, FRAMES),
        (lambda **t: described(temporal_layers=0, **t), FRAMES),
        (described, WITH_TM),
    ],
)
def test_operations_with_text_that_is_read_once(settings, expected, frames):
    found = count(settings(frames=frames), VIT_B_32, WORDS)
    assert (found.macs_paper, found.macs_true) == expected[frames]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frames", "thop", "true"),
    [(8, 90_162_855_936, 140_507_627_520), (16, 180_325_711_872, 281_015_255_040)],
)
def test_operations_at_vit_b_16(frames, thop, true):
    """What CLIPER's public script takes: a frame costs 11.27 and 17.56 G."""
    found = count(cliper.Settings(frames=frames), VIT_B_16, WORDS)
    assert (found.macs_paper, found.macs_true) == (thop, true)


def with_all_tokens(settings):
    """A model whose prompts are as long as the text tower reads, as their authors encode them."""

    def build():
        model = make(settings, read_config(VIT_B_32.model), WORDS, torch.zeros(7, 512))
        learner = model.learner
        rest = 77 - learner.tokens.shape[1]
        learner.tokens = F.pad(learner.tokens, (0, rest))
        learner.places = F.pad(learner.places, (0, rest), value=-1)
        learner.embedded = F.pad(learner.embedded, (0, 0, 0, rest))
        return model

    return build


@pytest.mark.slow
@pytest.mark.parametrize("frames", [8, 16])
def test_cocoop_s_operations_are_those_of_its_prompts_too(frames):
    shape = (1, frames, 3, 224, 224)
    build = with_all_tokens(cocoop.Settings(frames=frames))
    found = count_module(lambda: AsDefined(build()), shape)
    assert (found.macs_paper, found.macs_true) == WITH_PROMPTS[frames]
    short = count(cocoop.Settings(frames=frames), VIT_B_32, WORDS)
    tokens = 9  # start, 4 vectors, 2 of disgust, stop, end
    thop = FRAMES[frames][0] + SEVEN_PROMPTS[0] * tokens // 77 + 2 * 512 * 32
    assert short.macs_paper == thop  # of 77


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "prompts"), [(coop.Settings(), 7), (described(), 7), (cliper.Settings(), 35)]
)
def test_operations_of_the_prompts(settings, prompts):
    """What reading the text once costs; with it DFER-CLIP has 37.16 and 56.15 G at T = 8."""

    class Text(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = with_all_tokens(settings)()

        def forward(self, _):
            return self.model.prompt_features()

    found = count_module(Text, (1,))
    expected = tuple(count * prompts // 7 for count in SEVEN_PROMPTS)
    assert (found.macs_paper, found.macs_true) == expected
    if settings.name == "dfer_clip":
        both = [a + b for a, b in zip(SEVEN_PROMPTS, WITH_TM[8], strict=True)]
        assert both == [37_157_339_136, 56_147_842_048]
