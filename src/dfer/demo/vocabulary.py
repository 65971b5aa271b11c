"""What can be said of a rendered still, and captions that say some of it.

A *fact* is one thing that is true of a still because the renderer drew it so: the expression, a
face unit and how strong it is, who is shown and how. Each fact has several phrasings, in the words
of the literature on facial actions. Some phrasings, `UNSEEN`, are never in a caption: tests ask
whether a model that has read the captions understands them, since their words are in other phrases.

Captions name units as they are and expressions loosely, as people do: what a face is *called* is a
fact of its own, and the expression itself is the one fact that no phrase says. So a model that has
read captions alone can still learn much from labelled clips, as CLIP can.
"""

from collections.abc import Collection, Iterable
from functools import cache

import numpy as np

from dfer.demo.expressions import Weights
from dfer.demo.identities import Identity
from dfer.demo.scene import Pose, Scene

# A unit is named where its weight, of the stronger side, is at least PRESENT; below SLIGHT it is
# called slight and from STRONG on strong. Weight 1 is the face model's own full action.
PRESENT, SLIGHT, STRONG = 0.45, 0.75, 1.1

EXPRESSIONS = {
    "happy": ("happiness", "happy", "a joyful face"),
    "sad": ("sadness", "sad", "an unhappy face"),
    "neutral": ("neutral", "calm", "no expression"),
    "angry": ("anger", "angry", "a furious face"),
    "surprise": ("surprise", "surprised", "an astonished face"),
    "disgust": ("disgust", "disgusted", "a face of disgust"),
    "fear": ("fear", "afraid", "a scared face"),
}

# What else faces of an expression are called, in `LOOSELY` of the cases: the commonest confusions
# of people who name faces.
ALSO_CALLED = {"fear": "surprise", "disgust": "angry", "sad": "neutral"}
LOOSELY = 0.5

# "{}" is where "slightly" or "strongly" may stand. None: no unit is present.
UNITS = {
    "browInnerUp": ("inner eyebrows {} raised", "brows {} raised in the middle"),
    "browOuterUp": ("outer eyebrows {} raised", "{} arched eyebrows"),
    "browDown": ("{} lowered eyebrows", "{} furrowed brows", "brows {} drawn together"),
    "eyeWide": ("eyes {} wide open", "{} widened eyes"),
    "eyeSquint": ("{} narrowed eyes", "{} squinting eyes"),
    "cheekSquint": ("cheeks {} raised", "{} lifted cheeks"),
    "noseSneer": ("a {} wrinkled nose", "nose {} wrinkled"),
    "mouthUpperUp": ("upper lip {} raised", "a {} lifted upper lip"),
    "mouthSmile": ("lip corners {} pulled up", "a {} smiling mouth"),
    "mouthFrown": ("lip corners {} pulled down", "a {} downturned mouth"),
    "mouthStretch": ("lips {} stretched", "mouth {} stretched sideways"),
    "mouthPress": ("lips {} pressed together", "{} pressed lips"),
    "mouthLowerDown": ("lower lip {} pulled down", "a {} lowered lower lip"),
    "mouthShrugLower": ("chin {} raised", "lower lip {} pushed up"),
    "mouthFunnel": ("{} rounded lips", "lips {} rounded"),
    "jawOpen": ("mouth {} open", "jaw {} dropped"),
    "none": ("a relaxed face", "a straight mouth and relaxed eyebrows", "nothing moves"),
}

LOOKS = {
    "who": {"woman": ("a woman", "a female face"), "man": ("a man", "a male face")},
    "age": {"young": ("young", "smooth skin"), "old": ("old", "lined skin")},
    "hair": {
        "bald": ("no hair", "bald"),
        "short": ("short hair", "hair cut short"),
        "long": ("long hair", "hair that falls down"),
        "curly": ("curly hair", "curls"),
        "tied": ("hair tied back", "a ponytail"),
    },
    "colour": {
        "dark": ("dark hair", "black or brown hair"),
        "light": ("light hair", "blond or grey hair"),
    },
    "beard": {"beard": ("a beard", "bearded"), "shaven": ("clean shaven", "no beard")},
    "light": {"left": ("light from the left",), "right": ("light from the right",)},
    "background": {
        "bright": ("a bright background", "a bright wall"),
        "dark": ("a dark background", "a dark wall"),
    },
    "pose": {
        "left": ("head turned left", "looking to the left"),
        "right": ("head turned right", "looking to the right"),
        "front": ("seen from the front", "facing the camera"),
    },
}

# Phrasings that no caption has; each word of theirs stands in another phrase.
UNSEEN = {
    "called.happy": "a happy face",
    "called.sad": "a sad face",
    "called.neutral": "a calm face",
    "called.angry": "an angry face",
    "called.surprise": "a surprised face",
    "called.disgust": "a disgusted face",
    "called.fear": "an afraid face",
    "unit.browInnerUp": "raised inner brows",
    "unit.browOuterUp": "outer brows raised",
    "unit.browDown": "eyebrows drawn down",
    "unit.eyeWide": "wide eyes",
    "unit.eyeSquint": "eyes narrowed",
    "unit.cheekSquint": "raised cheeks",
    "unit.noseSneer": "wrinkled nose",
    "unit.mouthUpperUp": "a raised upper lip",
    "unit.mouthSmile": "lip corners raised",
    "unit.mouthFrown": "lip corners lowered",
    "unit.mouthStretch": "a stretched mouth",
    "unit.mouthPress": "a pressed mouth",
    "unit.mouthLowerDown": "lower lip lowered",
    "unit.mouthShrugLower": "a raised chin",
    "unit.mouthFunnel": "a rounded mouth",
    "unit.jawOpen": "an open mouth",
    "unit.none": "a relaxed mouth",
}

# Each class by one to three of its units, which no other class has all; the same in phrasings of
# `UNSEEN`.
DESCRIPTORS = {
    "happy": "a smiling mouth, cheeks raised",
    "sad": "a downturned mouth, inner eyebrows raised, chin raised",
    "neutral": "a relaxed face",
    "angry": "strongly furrowed brows, lip corners pulled down",
    "surprise": "widened eyes, jaw dropped, arched eyebrows",
    "disgust": "a wrinkled nose, upper lip raised, narrowed eyes",
    "fear": "widened eyes, lips stretched, inner eyebrows raised",
}
UNSEEN_DESCRIPTORS = {
    "happy": "lip corners raised, raised cheeks",
    "sad": "lip corners lowered, raised inner brows, a raised chin",
    "neutral": "a relaxed mouth",
    "angry": "eyebrows strongly drawn down, lip corners lowered",
    "surprise": "wide eyes, an open mouth, outer brows raised",
    "disgust": "wrinkled nose, a raised upper lip, eyes narrowed",
    "fear": "wide eyes, a stretched mouth, raised inner brows",
}

STRENGTHS = ("slightly", "strongly")
LONGEST = 10  # words and commas of a caption, so that it fits the small CLIP's 16 tokens


@cache
def phrases() -> dict[str, frozenset[str]]:
    """Every phrase that captions are made of → the facts that must hold where it is true."""
    found = {}
    for label, texts in EXPRESSIONS.items():
        found |= {text: frozenset({f"called.{label}"}) for text in texts}
    for unit, texts in UNITS.items():
        for text in texts:
            found[_with(text, "")] = frozenset({f"unit.{unit}"})
            for strength in STRENGTHS if "{}" in text else ():
                facts = {f"unit.{unit}", f"{strength}.{unit}"}
                found[_with(text, strength)] = frozenset(facts)
    for kind, looks in LOOKS.items():
        for look, texts in looks.items():
            found |= {text: frozenset({f"{kind}.{look}"}) for text in texts}
    return found


def expression(facts: Collection[str]) -> str:
    """The expression among the facts of a still: a label of the demo."""
    return next(label for label in EXPRESSIONS if f"expression.{label}" in facts)


def called(label: str, rng: np.random.Generator) -> str:
    """The label whose words captions have for a face of the expression `label`."""
    return ALSO_CALLED.get(label, label) if rng.random() < LOOSELY else label


def kind(facts: Collection[str]) -> str:
    """What a phrase that asserts `facts` is about: called, unit, strength, who, age …"""
    if len(facts) > 1:
        return "strength"
    return next(iter(facts)).partition(".")[0]


def mirrored(facts: Iterable[str]) -> frozenset[str]:
    """What is true of a still, of its mirror image."""
    sides = {".left": ".right", ".right": ".left"}
    return frozenset(
        fact.removesuffix(end) + sides[end] if (end := fact[fact.index(".") :]) in sides else fact
        for fact in facts
    )


def asserted(caption: str) -> frozenset[str]:
    """What must be true of a still for a caption to be true."""
    return frozenset().union(*(phrases()[text] for text in caption.split(", ")))


def unit_facts(weights: Weights) -> set[str]:
    """What is true of a face of these face units: which are present, and how strong they are."""
    facts = set()
    for unit in UNITS:
        weight = max(weights.get(name, 0.0) for name in (unit, f"{unit}Left", f"{unit}Right"))
        if weight >= PRESENT:
            facts.add(f"unit.{unit}")
            facts |= {f"slightly.{unit}"} if weight < SLIGHT else set()
            facts |= {f"strongly.{unit}"} if weight >= STRONG else set()
    return facts or {"unit.none"}


def look_facts(person: Identity, scene: Scene, pose: Pose) -> set[str]:
    """What is true of a person and the surroundings; in between nothing is said."""
    styles = {"bald": "bald", "curly": "curly", "long": "long", "tied": "tied"}
    facts = {
        "who.woman" if person.sex == "female" else "who.man",
        f"hair.{styles.get(person.hair_style, 'short')}",
    }
    if person.age < 0.3 or person.age > 0.6:
        facts.add("age.young" if person.age < 0.3 else "age.old")
    if person.hair_style != "bald":
        facts.add("colour.dark" if person.hair.mean() < 90 else "colour.light")
    if person.sex == "male" and person.beard != 0.25:
        facts.add("beard.beard" if person.beard > 0.25 else "beard.shaven")
    if abs(scene.key[0]) > 0.2:
        facts.add("light.left" if scene.key[0] < 0 else "light.right")
    wall = scene.background.mean()
    if wall < 95 or wall > 140:
        facts.add("background.dark" if wall < 95 else "background.bright")
    if abs(pose.yaw) < 0.08:
        facts.add("pose.front")
    elif abs(pose.yaw) > 0.14:
        facts.add("pose.left" if pose.yaw < 0 else "pose.right")
    return facts


def compose(facts: Collection[str], rng: np.random.Generator) -> str:
    """A caption of a still of which `facts` are true: some of them, by commas, in any order.

    One to three units are named, the expression in a quarter of the captions, a look in up to a
    third.
    """
    kinds: dict[str, list[str]] = {}
    for fact in sorted(facts):
        kinds.setdefault(fact.partition(".")[0], []).append(fact)
    order = [kinds["unit"][number] for number in rng.permutation(len(kinds["unit"]))]
    first, *others = (_unit(fact.partition(".")[2], facts, rng) for fact in order)
    said = [first]
    if rng.random() < 0.25:
        said.append(_any(EXPRESSIONS[kinds["called"][0].partition(".")[2]], rng))
    looks = [name for name in kinds if name in LOOKS]
    if looks and rng.random() < 1 / 3:
        name, _, look = kinds[looks[rng.integers(len(looks))]][0].partition(".")
        said.append(_any(LOOKS[name][look], rng))
    said += others[: rng.integers(3)]
    while _length(said) > LONGEST:
        said.pop()
    return ", ".join(said[number] for number in rng.permutation(len(said)))


def _unit(unit: str, facts: Collection[str], rng: np.random.Generator) -> str:
    """A phrase of a unit that is present; half of the slight and strong ones are called so."""
    text = _any(UNITS[unit], rng)
    true = [strength for strength in STRENGTHS if f"{strength}.{unit}" in facts]
    return _with(text, true[0] if true and rng.random() < 0.5 else "")


def _any(texts: tuple[str, ...], rng: np.random.Generator) -> str:
    return texts[rng.integers(len(texts))]


def _with(text: str, strength: str) -> str:
    return " ".join(text.replace("{}", strength).split())


def _length(said: Iterable[str]) -> int:
    return sum(len(text.split()) + 1 for text in said) - 1
