"""A person: bones, age, skin, eyes, hair and garment drawn from a seed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dfer.demo.dataset import KINDS
from dfer.demo.face_model import ANCESTRIES, FaceModel, Part, Target

HairStyle = Literal["bald", "buzz", "short", "side", "curly", "bob", "long", "tied"]

SKIN_TONES = np.array(  # light to dark, sRGB
    [
        (240, 204, 186),
        (229, 184, 158),
        (209, 160, 128),
        (176, 125, 94),
        (134, 90, 66),
        (98, 64, 48),
    ],
    np.float64,
)
TONE_RANGE = {"african": (3.6, 5.0), "asian": (0.8, 2.6), "caucasian": (0.0, 1.6)}
HAIR_COLOURS = {  # sRGB
    "black": (24, 21, 20),
    "dark brown": (48, 33, 25),
    "brown": (88, 59, 38),
    "auburn": (112, 56, 32),
    "blond": (176, 138, 88),
}
IRIS_COLOURS = {"dark": (54, 33, 20), "brown": (96, 62, 34), "green": (84, 92, 62)}
IRIS_COLOURS |= {"blue": (86, 122, 150), "grey": (118, 128, 132)}
GREY = np.array((168, 166, 164), np.float64)
STYLES: dict[str, tuple[HairStyle, ...]] = {  # worn in turn
    "female": ("long", "bob", "tied", "curly", "long", "tied", "bob", "long", "short", "bob"),
    "male": ("short", "side", "buzz", "short", "bald", "side", "curly", "short", "buzz", "side"),
}

# How far each group of local targets may go; what is not named goes to LOCAL_SPREAD.
LOCAL_SPREAD = 0.30
SPREAD = {
    "head-age": 0.0,  # age is set by the macro targets
    "head-trans": 0.0,
    "head-back-scale-depth": 0.15,
    "head-angle": 0.10,
    "head-fat": 0.25,
    "eye-trans": 0.15,
    "eye-scale": 0.2,
    "eye-push1": 0.15,
    "eye-push2": 0.15,
    "ear-shape": 0.3,
    "mouth-trans": 0.15,
    "mouth-upperlip-volume": 0.12,
    "mouth-lowerlip-volume": 0.12,
    "mouth-upperlip-height": 0.12,
    "mouth-lowerlip-height": 0.12,
    "mouth-scale-vert": 0.1,
    "mouth-angles": 0.10,  # would look like an expression
    "eyebrows-angle": 0.15,  # likewise
    "mouth-scale-depth": 0.15,
    "nose-trans": 0.15,
    "nose-compression": 0.15,
    "nose-hump": 0.2,
    "chin-prognathism": 0.15,
    "chin-jaw-drop": 0.15,
}


@dataclass(frozen=True)
class Identity:
    """One person. Colours are sRGB in 0…255, lengths dm, `vertices` (n, 3) float32 in rest.

    `paint_seed` addresses all random detail of skin, hair and garment.
    """

    vertices: np.ndarray
    eyes: np.ndarray  # (2, 3) centres of left and right eyeball
    sex: str
    age: float  # 0 young … 1 old
    skin: np.ndarray
    tone: float  # 0 light … 5 dark
    iris: np.ndarray
    hair: np.ndarray
    hair_style: HairStyle
    brow: np.ndarray  # colour
    brow_shape: tuple[float, float, float, float]  # height, arch, half width, density
    beard: float  # 0 shaven … 1 full
    garment: np.ndarray
    neckline: tuple[float, float]  # height of its lowest point, slope of its sides
    paint_seed: tuple[int, ...]


def identity(model: FaceModel, seed: int, kind: str, index: int) -> Identity:
    """Person `index` of a release of `kind`: a pure function of its arguments."""
    rng = np.random.default_rng([seed, KINDS[kind], index, 0])
    sex = ("female", "male")[index % 2]
    main = (index // 2) % 3  # ancestries and sexes come in turn, so that few people still vary
    mix = rng.dirichlet((0.5, 0.5, 0.5)) * rng.uniform(0.0, 0.4)
    mix[main] += 1 - mix.sum()
    age = float(rng.uniform(0, 0.95) ** 1.2)
    vertices = _bones(model, rng, sex, age, mix)
    eyes = np.stack([_centre(model, vertices, part) for part in (Part.LEFT_EYE, Part.RIGHT_EYE)])
    vertices -= eyes.mean(axis=0)
    eyes -= eyes.mean(axis=0)
    for part, centre in zip((Part.LEFT_EYE, Part.RIGHT_EYE), eyes, strict=True):
        ball = np.unique(model.triangles[model.parts == part])
        vertices[ball] += 0.02 * (centre - vertices[ball])  # so that no lid is pierced

    ranges = np.array([TONE_RANGE[name] for name in ANCESTRIES])
    low, high = mix @ ranges
    tone = float(np.clip(rng.uniform(low, high), 0, len(SKIN_TONES) - 1))
    skin = _ramp(SKIN_TONES, tone) * rng.uniform(0.95, 1.05) * (1 + rng.uniform(-0.02, 0.02, 3))
    light = mix[ANCESTRIES.index("caucasian")] > 0.5
    colours = list(HAIR_COLOURS) if light else ["black", "black", "dark brown"]
    hair = np.array(HAIR_COLOURS[colours[rng.integers(len(colours))]], np.float64)
    hair *= rng.uniform(0.85, 1.15)
    greying = np.clip((age - 0.45) / 0.4, 0, 1) * rng.uniform(0.3, 1.0)
    brow = 0.85 * hair + greying * 0.4 * (GREY - hair)
    hair = hair + greying * (GREY - hair)
    irises = list(IRIS_COLOURS) if light else ["dark", "dark", "brown"]
    styles = STYLES[sex]
    style = styles[(index // 2 + 5 * KINDS[kind]) % len(styles)]
    if main == 0 and style in ("side", "bob"):
        style = "curly"
    beard = float(rng.choice([0.0, 0.25, 0.6, 1.0], p=[0.4, 0.25, 0.2, 0.15]))
    return Identity(
        vertices=vertices.astype(np.float32),
        eyes=eyes.astype(np.float32),
        sex=sex,
        age=age,
        skin=skin,
        tone=tone,
        iris=np.array(IRIS_COLOURS[irises[rng.integers(len(irises))]], np.float64),
        hair=hair,
        hair_style=style,
        brow=brow,
        brow_shape=(
            rng.uniform(-0.015, 0.02),
            rng.uniform(0.01, 0.04),
            rng.uniform(0.026, 0.036) if sex == "female" else rng.uniform(0.036, 0.05),
            rng.uniform(0.75, 1.0),
        ),
        beard=beard if sex == "male" else 0.0,
        garment=_garment_colour(rng),
        neckline=(rng.uniform(-1.62, -1.25), rng.choice([0.1, 0.25, 0.6])),
        paint_seed=(seed, KINDS[kind], index, 1),
    )


def _bones(
    model: FaceModel, rng: np.random.Generator, sex: str, age: float, mix: np.ndarray
) -> np.ndarray:
    """Rest vertices (n, 3) float64 of a person."""
    vertices = model.vertices.astype(np.float64)

    def add(target: Target, weight: float) -> None:
        np.add.at(vertices, target.index, weight * target.delta)

    weight = rng.uniform(-0.5, 0.7)
    for stage, share in (("young", 1 - age), ("old", age)):
        for ancestry, part in zip(ANCESTRIES, mix, strict=True):
            add(model.macro[f"{ancestry}-{sex}-{stage}"], share * part)
        extreme = "minweight" if weight < 0 else "maxweight"
        add(model.macro[f"{sex}-{stage}-{extreme}"], share * abs(weight))
        add(model.macro[f"{sex}-{stage}-averageweight"], share * (1 - abs(weight)))
    for name, directions in model.local.items():
        choice = list(directions)[rng.integers(len(directions))]
        amount = min(abs(rng.standard_normal()), 2.0) * SPREAD.get(name, LOCAL_SPREAD)
        if rng.random() < 0.6:
            add(directions[choice], amount)
    return vertices


def _centre(model: FaceModel, vertices: np.ndarray, part: Part) -> np.ndarray:
    return vertices[np.unique(model.triangles[model.parts == part])].mean(axis=0)


def _ramp(colours: np.ndarray, position: float) -> np.ndarray:
    low = min(int(position), len(colours) - 2)
    return colours[low] + (position - low) * (colours[low + 1] - colours[low])


def _garment_colour(rng: np.random.Generator) -> np.ndarray:
    """A muted colour of any hue, light or dark."""
    hue, value, saturation = rng.uniform(0, 2 * np.pi), rng.uniform(45, 200), rng.uniform(0.05, 0.4)
    wheel = np.cos(hue + np.array([0, 2, 4]) * np.pi / 3)
    return value * (1 + saturation * wheel)
