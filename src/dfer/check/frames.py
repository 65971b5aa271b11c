"""The numbers of frames: clips with none or few, and the totals of folds."""

from typing import Any

from dfer.check.findings import Finding
from dfer.datasets.release import Release, first_few

FRAMES_TOLERANCE = 0.05  # extractions differ a little in what they keep
SHORT = 8  # frames; the shortest official clips have 8 to 11


def check_frames(
    release: Release, counts: dict[str, int], facts: dict[str, Any] | None
) -> list[Finding]:
    """Clips without or with few frames, and the totals of folds against the official ones.

    Args:
        counts: frames of each clip that is on disk.
        facts: on the official release (`load_facts`); None if there are none.
    """
    findings = _few_frames(release, counts)
    return findings + _totals(release, counts, facts) if facts else findings


def _few_frames(release: Release, counts: dict[str, int]) -> list[Finding]:
    findings = []
    folders = set(release.clips.loc[release.clips["media"] == "frames", "clip"])
    empty = sorted(clip for clip, n in counts.items() if n == 0 and clip in folders)
    if empty:
        findings.append(
            Finding(
                "wrong",
                "frames",
                f"{len(empty)} clips have no frames: {first_few(empty, 20)}.",
                "Unpack or copy them anew. The stages that open clips will reject these by name.",
            )
        )
    short = sorted(clip for clip, n in counts.items() if 0 < n < SHORT)
    if short:
        findings.append(
            Finding(
                "note",
                "frames",
                f"{len(short)} clips have fewer than {SHORT} frames: {first_few(short, 20)}.",
                "They are used; frames are repeated where more are sampled than there are.",
            )
        )
    return findings


def _totals(release: Release, counts: dict[str, int], facts: dict[str, Any]) -> list[Finding]:
    frames = release.folds["clip"].map(counts)
    parts = frames.groupby([release.folds["fold"], release.folds["split"]])
    sums = parts.sum(min_count=1).dropna()
    right, wrong = [], []
    for fold, splits in facts["folds"].items():
        for split, official in splits.items():
            here = int(sums.get((int(fold), split), 0))
            off = here / official["frames"] - 1
            text = f"fold {fold} {split} {here} ({official['frames']}, {off:+.1%})"
            if here:
                (right if abs(off) <= FRAMES_TOLERANCE else wrong).append(text)
    findings = []
    if right:
        text = f"As many as there should be, within {FRAMES_TOLERANCE:.0%}: {'; '.join(right)}."
        findings.append(Finding("right", "frame counts", text))
    if wrong:
        findings.append(
            Finding(
                "wrong",
                "frame counts",
                f"Not as many frames as there should be (in brackets): {'; '.join(wrong)}.",
                "Fewer: an archive was not unpacked to its end, frames were thinned out, or those "
                "without a face were dropped. More: another frame rate. Unpack the release anew.",
            )
        )
    return findings
