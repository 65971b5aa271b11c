"""Seven expressions as weights of ARKit face units, and their course in time.

A class is one or more patterns of face units (after the facial action units that the literature
names for it). A take scales a pattern, varies it left and right, mixes in a little of another
class, and lets it rise, hold and fall at a pace that is typical of the class.
"""

import numpy as np

from dfer.demo.dataset import CLASSES

# Units without a side are given both; a list of patterns is chosen from at random.
PATTERNS: dict[str, list[dict[str, float]]] = {
    "happy": [
        {
            "mouthSmile": 1.0,
            "cheekSquint": 0.8,
            "eyeSquint": 0.2,
            "mouthUpperUp": 0.35,
            "mouthDimple": 0.3,
            "jawOpen": 0.15,
        },
    ],
    "sad": [
        {
            "browInnerUp": 1.25,
            "browDown": 0.25,
            "mouthFrown": 1.25,
            "mouthShrugLower": 0.7,
            "mouthStretch": 0.25,
            "eyeSquint": 0.1,
            "eyeLookDown": 0.2,
        },
    ],
    "neutral": [{}],
    "angry": [
        {  # baring the teeth
            "browDown": 1.4,
            "noseSneer": 0.3,
            "eyeSquint": 0.35,
            "eyeWide": 0.25,
            "mouthLowerDown": 0.7,
            "mouthUpperUp": 0.35,
            "mouthFrown": 0.5,
            "mouthStretch": 0.5,
            "jawOpen": 0.25,
            "jawForward": 0.4,
        },
        {  # lips pressed
            "browDown": 1.45,
            "noseSneer": 0.25,
            "eyeSquint": 0.4,
            "eyeWide": 0.3,
            "mouthPress": 1.0,
            "mouthRollLower": 0.4,
            "mouthRollUpper": 0.3,
            "mouthFrown": 0.55,
            "jawForward": 0.4,
        },
    ],
    "surprise": [
        {
            "browInnerUp": 1.1,
            "browOuterUp": 1.2,
            "eyeWide": 1.1,
            "jawOpen": 0.7,
            "mouthFunnel": 0.35,
        },
    ],
    "disgust": [
        {
            "noseSneer": 1.45,
            "mouthUpperUp": 1.1,
            "browDown": 0.6,
            "mouthFrown": 0.7,
            "eyeSquint": 0.7,
            "cheekSquint": 0.7,
            "mouthShrugLower": 0.35,
        },
    ],
    "fear": [
        {
            "browInnerUp": 1.35,
            "browOuterUp": 0.45,
            "browDown": 0.4,
            "eyeWide": 1.3,
            "mouthStretch": 1.3,
            "mouthLowerDown": 0.8,
            "mouthFrown": 0.3,
            "jawOpen": 0.25,
        },
    ],
}
ONE_SIDED = {
    "browInnerUp",
    "jawOpen",
    "jawForward",
    "mouthFunnel",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
}

# Start of the onset, length of onset, apex and offset, as fractions of the clip.
PACE = {
    "happy": (0.10, 0.30, 0.50, 0.30),
    "sad": (0.10, 0.50, 0.50, 0.40),
    "neutral": (0.00, 1.00, 1.00, 1.00),
    "angry": (0.10, 0.30, 0.60, 0.30),
    "surprise": (0.10, 0.12, 0.35, 0.30),
    "disgust": (0.10, 0.25, 0.35, 0.30),
    "fear": (0.10, 0.18, 0.50, 0.40),
}
INTENSITY = (0.6, 1.15)  # of a take
LEAK = 0.12  # at most this much of another expression
REMAINS = 0.15  # of the apex, after the offset

Weights = dict[str, float]  # face unit → weight, 0 in rest


def sided(pattern: dict[str, float]) -> Weights:
    """The pattern with every two-sided unit as its left and right half."""
    weights = {}
    for unit, weight in pattern.items():
        names = [unit] if unit in ONE_SIDED else [f"{unit}Left", f"{unit}Right"]
        weights.update(dict.fromkeys(names, weight))
    return weights


def apex(rng: np.random.Generator, label: str) -> Weights:
    """One person's one-time apex of an expression: scaled, uneven, not quite pure."""
    patterns = PATTERNS[label]
    pattern = patterns[rng.integers(len(patterns))]
    scale = rng.uniform(*INTENSITY)
    weights = {}
    for unit, weight in pattern.items():
        emphasis = 0.22 * rng.standard_normal()
        for name in sided({unit: weight}):
            uneven = 0.04 * rng.standard_normal()
            weights[name] = weight * scale * float(np.exp(emphasis + uneven))
    others = [other for other in CLASSES if other != label]
    leaking = PATTERNS[others[rng.integers(len(others))]][0]
    share = rng.uniform(0, LEAK)
    for name, weight in sided(leaking).items():
        weights[name] = weights.get(name, 0.0) + share * weight
    return weights


def course(rng: np.random.Generator, label: str, frames: int) -> list[Weights]:
    """Face units of every frame of a clip: onset, apex, offset; blinks; sometimes some talk."""
    peak = apex(rng, label)
    start, onset, hold, offset = np.array(PACE[label]) * np.exp(0.3 * rng.standard_normal(4))
    start += rng.uniform(-0.1, 0.15)
    blink_at = rng.integers(0, 2 * frames)  # half of the clips have a blink
    talk = rng.uniform(0.05, 0.25) if rng.random() < 0.4 else 0.0
    talk_phase, tremor_phase = rng.uniform(0, 2 * np.pi, 2)

    clip = []
    for frame in range(frames):
        time = frame / max(frames - 1, 1)
        level = _ease((time - start) / onset)
        level *= 1 - (1 - REMAINS) * _ease((time - start - onset - hold) / offset)
        if label == "fear":
            level *= 1 + 0.06 * np.sin(2.6 * frame + tremor_phase)
        weights = {unit: weight * level for unit, weight in peak.items()}
        weights["jawOpen"] = weights.get("jawOpen", 0.0) + talk * max(
            0.0, np.sin(1.3 * frame + talk_phase)
        )
        closed = max(0.0, 1 - abs(frame - blink_at) / 2)
        for unit in ("eyeBlinkLeft", "eyeBlinkRight"):
            weights[unit] = max(weights.get(unit, 0.0), closed)
        clip.append(weights)
    return clip


def _ease(x: float) -> float:
    x = min(1.0, max(0.0, x))
    return x * x * (3 - 2 * x)
