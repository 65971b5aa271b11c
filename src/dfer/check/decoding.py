"""What decoding shows: damage, order of names, sizes of images, and the disk use that follows."""

from collections import Counter
from collections.abc import Sequence

from dfer.check.findings import Finding
from dfer.check.looks import Look
from dfer.clips.store import FACE_SIZE
from dfer.datasets.release import Source, first_few

RAW_RATIO = 1.25  # of a frame's longer to its shorter side: from here on it is no face crop


def check_looks(looks: Sequence[Look], source: Source, counts: dict[str, int]) -> list[Finding]:
    """What decoding showed.

    Args:
        looks: of the decoded clips.
        source: "video", or "crops", whose frames must be faces.
        counts: frames of each clip on disk; 0 where that is not known, and then the mean of the
            decoded clips is taken.
    """
    findings = _damage(looks) + _name_order(looks) + _notes(looks)
    if source == "crops":
        findings += _image_sizes(looks)
    if any(look.encoded for look in looks):
        findings.append(_disk_use(looks, source, counts))
    return findings


def _damage(looks: Sequence[Look]) -> list[Finding]:
    """Clips and frames that do not decode."""
    broken, damaged = [], []
    for look in looks:
        if look.error:
            broken.append(f"{look.clip} ({look.error.removeprefix(look.clip).strip(' :.')})")
        elif look.lost:
            damaged.append(f"{look.clip}: {look.lost} of {look.frames + look.lost} frames")
    findings = []
    if broken:
        findings.append(
            Finding(
                "wrong",
                "decoding",
                f"{len(broken)} of {len(looks)} decoded clips cannot be used: "
                f"{first_few(broken, 20)}.",
                "Unpack or copy them anew. The stages that open clips will reject these by name.",
            )
        )
    if damaged:
        findings.append(
            Finding(
                "note",
                "decoding",
                f"{len(damaged)} of {len(looks)} decoded clips have frames that do not decode: "
                f"{first_few(damaged, 20)}.",
                "Copy them anew if you can; they are used without those frames.",
            )
        )
    if looks and not findings:
        text = f"{len(looks)} clips were decoded from end to end; no frame is damaged."
        findings.append(Finding("right", "decoding", text))
    return findings


def _notes(looks: Sequence[Look]) -> list[Finding]:
    """What is done to frames when clips are read: turned, scaled, tone-mapped, left out …"""
    clips: dict[str, list[str]] = {}
    for look in looks:
        for note in look.notes:
            clips.setdefault(note, []).append(look.clip)
    return [
        Finding(
            "note",
            "as shown",
            f"{len(names)} of {len(looks)} decoded clips: {note} ({first_few(sorted(names))}).",
            "Nothing to do here: frames are as players show them. Other code may see others.",
        )
        for note, names in sorted(clips.items())
    ]


def _name_order(looks: Sequence[Look]) -> list[Finding]:
    """Image names whose order as text is not their order in time."""
    unsure = [f"{look.clip} ({look.unsure})" for look in looks if look.unsure]
    findings = []
    if unsure:
        findings.append(
            Finding(
                "note",
                "time order",
                f"{len(unsure)} of {len(looks)} decoded clips have image names of which the order "
                f"in time is unsure: {first_few(unsure)}.",
                "Images are sorted by the numbers in their names. Name them 1, 2, 3 … in the order "
                "of time, each once, if that is another one.",
            )
        )
    scrambled = sorted(look.clip for look in looks if look.scrambled)
    if not scrambled:
        return findings
    return [
        *findings,
        Finding(
            "note",
            "sort order",
            f"{len(scrambled)} of {len(looks)} decoded clips have image names that sort wrongly as "
            f"text, 10.jpg before 2.jpg ({first_few(scrambled)}).",
            "Nothing to do here: names are sorted by their numbers. Other code may scramble time.",
        ),
    ]


def _image_sizes(looks: Sequence[Look]) -> list[Finding]:
    """Whether frames have the sizes of face crops."""
    sizes = Counter(pixels for look in looks for pixels in look.sizes)
    common = sorted(sizes, key=lambda pixels: (-sizes[pixels], pixels))
    shown = first_few(f"{width} × {height} px ({sizes[width, height]})" for width, height in common)
    ratios = {
        look.clip: max((max(pixels) / min(pixels) for pixels in look.sizes), default=1.0)
        for look in looks
    }
    raw = sorted(clip for clip, ratio in ratios.items() if ratio >= RAW_RATIO)
    uneven = sorted(clip for clip, ratio in ratios.items() if 1 < ratio < RAW_RATIO)
    if raw:
        return [
            Finding(
                "wrong",
                "image size",
                f"{len(raw)} of {len(looks)} decoded clips have frames that are far from square "
                f"({first_few(raw)}; sizes, with their clips: {shown}): whole video frames, "
                "where faces are expected.",
                "Point the release's crop folder at aligned faces, or set `source` to video, to "
                "have them aligned here. A model trained on whole frames fails without an error.",
            )
        ]
    findings = []
    if uneven:
        findings.append(
            Finding(
                "note",
                "image size",
                f"{len(uneven)} of {len(looks)} decoded clips have frames that are not quite "
                f"square ({first_few(uneven)}).",
                "Crops by another detector than the release's? Published results use square ones.",
            )
        )
    elif sizes:
        text = f"All decoded frames are square; sizes, with their clips: {shown}."
        findings.append(Finding("right", "image size", text))
    if any(pixels != (FACE_SIZE, FACE_SIZE) for pixels in sizes):
        findings.append(
            Finding(
                "note",
                "image size",
                f"Not all crops are {FACE_SIZE} × {FACE_SIZE} px: {shown}.",
                "Nothing to do: every frame is resized.",
            )
        )
    return findings


def _disk_use(looks: Sequence[Look], source: Source, counts: dict[str, int]) -> Finding:
    """The size of the clip store: frames × mean size of a frame as stored."""
    mean = sum(look.bytes for look in looks) / sum(look.encoded for look in looks)
    known = [count for count in counts.values() if count]
    decoded = sum(look.frames for look in looks) / len(looks)
    total = sum(known) + (len(counts) - len(known)) * decoded
    measured = (
        "as packed" if source == "crops" else "of the frames' centre, before any face is found"
    )
    return Finding(
        "note",
        "disk use",
        f"The clip store will take about {total * mean / 1e9:.3g} GB: {total:,.0f} frames × "
        f"{mean / 1e3:.1f} kB, the mean of decoded frames at {FACE_SIZE} × {FACE_SIZE} px "
        f"({measured}).",
        "Have that much free where results/ is.",
    )
