"""Check a user's copy of a dataset release: what is right, what is wrong, what to do.

    python -m dfer.check.release --dataset dfew --root data/DFEW --source crops \
        --out results/dfew/check_data.md

Compares lists, counts and frames with the facts on the official release (`datasets/official.json`,
for the readers dfew, ferv39k and mafw; a CSV release is checked against itself), decodes a sample
of clips (`--all`: every clip), and estimates what the clip store will take on disk. Writes a page,
and beside it the same findings as a table (`check_data.parquet`: level, check, finding, remedy).

Exit status: 1 if no stage can run on the copy, or if `--strict` and anything is wrong; else 0.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from dfer.check.findings import LEVELS, Finding
from dfer.check.media import SIZE, Look, count_images, look_at, sample
from dfer.check.official import compare_lists, load_facts
from dfer.datasets.release import Release, some
from dfer.errors import UserError, stage
from dfer.files import write_parquet, write_text
from dfer.prepare.manifest import READERS, SOURCES, check, positive, read_release

FINDINGS_SCHEMA = pa.schema([(name, pa.string()) for name in Finding._fields])

FRAMES_TOLERANCE = 0.05  # extractions differ a little in what they keep
RAW_RATIO = 1.25  # of a frame's longer to its shorter side: from here on it is no face crop
SHORT = 8  # frames; the shortest official clips have 8 to 11
TITLES = {
    "fatal": "Must be mended",
    "wrong": "Wrong",
    "note": "Worth knowing",
    "right": "Right",
}


def check_structure(release: Release, facts: dict[str, Any] | None) -> list[Finding]:
    """What the manifest stage would refuse, missing clips, folds, and the reader's own notes."""
    labels = facts["classes"] if facts else sorted(release.clips["label"].unique())
    findings = []
    try:
        check(release.clips, release.folds, {label: label for label in labels})
        clips, folds = len(release.clips), release.folds["fold"].nunique()
        text = f"{clips} clips, {folds} fold(s): ids, labels, train and test parts are consistent."
        findings.append(Finding("right", "structure", text))
    except UserError as error:
        findings.append(Finding("fatal", "structure", str(error), "As said; then check again."))
    if release.missing:
        findings.append(
            Finding(
                "wrong",
                "missing clips",
                f"{len(release.missing)} of {len(release.clips)} listed clips are not on disk: "
                f"{some(release.missing, 20)}.",
                "Unpack or copy them anew. The stages that open clips will reject these by name.",
            )
        )
    else:
        findings.append(Finding("right", "missing clips", "All listed clips are on disk."))
    findings += [Finding("note", "reader", note) for note in release.notes]
    return findings + _check_folds(release)


def _check_folds(release: Release) -> list[Finding]:
    """Subjects on both sides of a fold, and classes that a test part has not."""
    findings = []
    rows = release.folds.merge(release.clips[["clip", "label", "subject"]], on="clip")
    labels = set(release.clips["label"])
    for fold, part in rows.groupby("fold"):
        sides = part.dropna(subset=["subject"]).groupby("subject")["split"].nunique()
        both = sorted(sides.index[sides > 1])
        if both:
            findings.append(
                Finding(
                    "note",
                    "subjects",
                    f"Fold {fold}: {len(both)} subjects are in train and test ({some(both)}).",
                    "Scores on it do not speak of unseen people; if they should, make the folds "
                    "subject by subject.",
                )
            )
        absent = sorted(labels - set(part.loc[part["split"] == "test", "label"]))
        if absent:
            findings.append(
                Finding(
                    "note",
                    "classes",
                    f"Fold {fold} tests no clip of {some(absent)}.",
                    "UAR is the mean over classes that have test clips: compare folds with care.",
                )
            )
    return findings


def check_frames(
    release: Release, counts: dict[str, int], facts: dict[str, Any] | None
) -> list[Finding]:
    """Clips without or with few frames, and the totals of folds against the official ones.

    Args:
        counts: frames of each clip that is on disk.
    """
    findings = []
    folders = set(release.clips.loc[release.clips["media"] == "frames", "clip"])
    empty = sorted(clip for clip, n in counts.items() if n == 0 and clip in folders)
    if empty:
        findings.append(
            Finding(
                "wrong",
                "frames",
                f"{len(empty)} clips have no frames: {some(empty, 20)}.",
                "Unpack or copy them anew. The stages that open clips will reject these by name.",
            )
        )
    short = sorted(clip for clip, n in counts.items() if 0 < n < SHORT)
    if short:
        findings.append(
            Finding(
                "note",
                "frames",
                f"{len(short)} clips have fewer than {SHORT} frames: {some(short, 20)}.",
                "They are used; frames are repeated where more are sampled than there are.",
            )
        )
    if not facts:
        return findings
    total = (
        release.folds["clip"].map(counts).groupby([release.folds["fold"], release.folds["split"]])
    )
    sums = total.sum(min_count=1).dropna()
    right, wrong = [], []
    for fold, splits in facts["folds"].items():
        for split, official in splits.items():
            here = int(sums.get((int(fold), split), 0))
            off = here / official["frames"] - 1
            text = f"fold {fold} {split} {here} ({official['frames']}, {off:+.1%})"
            if here:
                (right if abs(off) <= FRAMES_TOLERANCE else wrong).append(text)
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


def check_looks(looks: Iterable[Look], source: str, counts: dict[str, int]) -> list[Finding]:
    """What decoding showed: damage, sizes, order of names, and the disk use that follows.

    Args:
        looks: of the decoded clips; consumed once.
        source: "video", or "crops", whose frames must be faces.
        counts: frames of each clip where that is known, else the decoded ones' mean is taken.
    """
    clips = frames = encoded = size = 0
    broken, damaged, scrambled, raw, uneven, sizes = [], [], [], [], [], {}
    for seen in looks:
        clips, frames = clips + 1, frames + seen.frames
        encoded, size = encoded + seen.encoded, size + seen.bytes
        if seen.error:
            broken.append(f"{seen.clip} ({seen.error.removeprefix(seen.clip).strip(' :.')})")
        elif seen.lost:
            damaged.append(f"{seen.clip}: {seen.lost} of {seen.frames + seen.lost} frames")
        if seen.scrambled:
            scrambled.append(seen.clip)
        ratio = max((max(s) / min(s) for s in seen.sizes), default=1.0)
        if ratio > 1:
            (raw if ratio >= RAW_RATIO else uneven).append(seen.clip)
        for pixels in seen.sizes:
            sizes[pixels] = sizes.get(pixels, 0) + 1
    findings = _damage(clips, broken, damaged)
    if scrambled:
        findings.append(
            Finding(
                "note",
                "sort order",
                f"{len(scrambled)} of {clips} decoded clips have image names that sort wrongly as "
                f"text, 10.jpg before 2.jpg ({some(sorted(scrambled))}).",
                "Nothing to do here: names are sorted by their numbers. Other code may scramble "
                "time.",
            )
        )
    if source == "crops":
        findings += _crop_sizes(clips, raw, uneven, sizes)
    if encoded:
        findings.append(_disk_use(clips, frames, size / encoded, source, counts))
    return findings


def _damage(clips: int, broken: list[str], damaged: list[str]) -> list[Finding]:
    findings = []
    if broken:
        findings.append(
            Finding(
                "wrong",
                "decoding",
                f"{len(broken)} of {clips} decoded clips cannot be used: {some(broken, 20)}.",
                "Unpack or copy them anew. The stages that open clips will reject these by name.",
            )
        )
    if damaged:
        findings.append(
            Finding(
                "note",
                "decoding",
                f"{len(damaged)} of {clips} decoded clips have frames that do not decode: "
                f"{some(damaged, 20)}.",
                "Copy them anew if you can; they are used without those frames.",
            )
        )
    if clips and not broken and not damaged:
        text = f"{clips} clips were decoded from end to end; no frame is damaged."
        findings.append(Finding("right", "decoding", text))
    return findings


def _crop_sizes(
    clips: int, raw: list[str], uneven: list[str], sizes: dict[tuple[int, int], int]
) -> list[Finding]:
    """What the sizes of frames say on whether they are face crops."""
    common = sorted(sizes, key=lambda pixels: (-sizes[pixels], pixels))
    shown = some([f"{width} × {height} px ({sizes[width, height]})" for width, height in common])
    if raw:
        return [
            Finding(
                "wrong",
                "image size",
                f"{len(raw)} of {clips} decoded clips have frames that are far from square "
                f"({some(sorted(raw))}; sizes, with their clips: {shown}): whole video frames, "
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
                f"{len(uneven)} of {clips} decoded clips have frames that are not quite square "
                f"({some(sorted(uneven))}).",
                "Crops by another detector than the release's? Published results use square ones.",
            )
        )
    elif sizes:
        text = f"All decoded frames are square; sizes, with their clips: {shown}."
        findings.append(Finding("right", "image size", text))
    if any(pixels != (SIZE, SIZE) for pixels in sizes):
        findings.append(
            Finding(
                "note",
                "image size",
                f"Not all crops are {SIZE} × {SIZE} px: {shown}.",
                "Nothing to do: every frame is resized.",
            )
        )
    return findings


def _disk_use(clips: int, frames: int, mean: float, source: str, counts: dict[str, int]) -> Finding:
    """The size of the clip store: frames × mean size of a frame as stored.

    Args:
        clips, frames: decoded ones.
        mean: bytes of a frame.
        counts: frames of each clip; 0 where unknown.
    """
    known = [count for count in counts.values() if count]
    total = sum(known) + (len(counts) - len(known)) * frames / clips
    measured = (
        "as packed" if source == "crops" else "of the frames' centre, before any face is found"
    )
    return Finding(
        "note",
        "disk use",
        f"The clip store will take about {total * mean / 1e9:.3g} GB: {total:,.0f} frames × "
        f"{mean / 1e3:.1f} kB, the mean of decoded frames at {SIZE} × {SIZE} px ({measured}).",
        "Have that much free where results/ is.",
    )


def per_fold(release: Release, counts: dict[str, int], facts: dict[str, Any] | None) -> str:
    """Clips, frames and clips per class of each fold, as a Markdown table."""
    labels = facts["classes"] if facts else sorted(release.clips["label"].unique())
    rows = release.folds.merge(release.clips[["clip", "label"]], on="clip")
    rows["frames"] = rows["clip"].map(counts)
    lines = [
        "| fold | split | clips | frames | " + " | ".join(labels) + " |",
        "|---" * (4 + len(labels)) + "|",
    ]
    for (fold, split), part in rows.groupby(["fold", "split"]):
        official = facts["folds"].get(str(fold), {}).get(split) if facts else None
        per_class = part["label"].value_counts()
        cells = [(len(part), "clips"), (int(part["frames"].sum()) or None, "frames")]
        pairs = [(count, official[key] if official else None) for count, key in cells]
        for place, label in enumerate(labels):
            expected = official["per_class"][place] if official else None
            pairs.append((int(per_class.get(label, 0)), expected))
        shown = [
            "?"
            if here is None
            else str(here) + (f" ({there})" if there not in (None, here) else "")
            for here, there in pairs
        ]
        lines.append(f"| {fold} | {split} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def page(dataset: str, root: Path, source: str, findings: list[Finding], table: str) -> str:
    """The findings as Markdown: the worst first, each with what to do."""
    numbers = {level: sum(f.level == level for f in findings) for level in LEVELS}
    verdict = (
        "This copy cannot be used as it is."
        if numbers["fatal"]
        else "This copy can be used, but results on it may not compare with published ones."
        if numbers["wrong"]
        else "Nothing wrong was found."
    )
    lines = [f"# Data check: {dataset}", "", f"`{root}`, source `{source}`.", "", verdict]
    for level in LEVELS:
        if numbers[level]:
            lines += ["", f"## {TITLES[level]} ({numbers[level]})", ""]
            for finding in findings:
                if finding.level == level:
                    remedy = f" *{finding.remedy}*" if finding.remedy else ""
                    lines.append(f"- **{finding.check}**: {finding.finding}{remedy}")
    if table:
        lines += ["", "## Clips and frames", "", "Official numbers that differ in brackets.", ""]
        lines.append(table)
    return "\n".join(lines) + "\n"


def inspect(
    release: Release,
    facts: dict[str, Any] | None,
    root: Path,
    source: str,
    looked: int | None,
    workers: int = 1,
) -> tuple[list[Finding], str]:
    """All findings on a release, and the table of clips and frames.

    Args:
        looked: how many clips to decode; None for all.
    """
    findings = check_structure(release, facts)
    if facts:
        findings += compare_lists(release, facts)
    present = release.clips[~release.clips["clip"].isin(release.missing)].sort_values("clip")
    counts = dict.fromkeys(present["clip"], 0) | count_images(root, present)
    looks = list(look_at(root, present if looked is None else sample(present, looked), workers))
    if looked is None:
        counts |= {seen.clip: seen.frames + seen.lost for seen in looks}
    frames_known = looked is None or (present["media"] == "frames").all()
    if frames_known:
        findings += check_frames(release, counts, facts)
    findings += check_looks(looks, source, counts)
    return findings, per_fold(release, counts, facts)


def main(args: argparse.Namespace) -> None:
    """Write and print the page.

    Raises:
        UserError: something fatal was found, or, if `args.strict`, anything wrong.
    """
    looked = None if args.all else args.sample
    try:
        release = read_release(args.dataset, args.root, args.source)
    except UserError as error:
        remedy = "As said; then check again: the rest could not be looked at."
        findings, table = [Finding("fatal", "reading", str(error), remedy)], ""
    else:
        facts = load_facts(args.dataset)
        findings, table = inspect(release, facts, args.root, args.source, looked, args.workers)
    findings.sort(key=lambda finding: LEVELS.index(finding.level))
    text = page(args.dataset, args.root, args.source, findings, table)
    write_text(text, args.out)
    write_parquet(pd.DataFrame(findings), args.out.with_suffix(".parquet"), FINDINGS_SCHEMA)
    print(text, end="")
    levels = {finding.level for finding in findings}
    if "fatal" in levels or (args.strict and "wrong" in levels):
        raise UserError(f"{args.root}: the data check found faults; they are listed in {args.out}.")


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", required=True, choices=READERS, help="reader, and facts if there are any")
    add("--root", required=True, type=Path, help="folder of the release")
    add("--source", default="video", choices=SOURCES, help="raw videos, or official face crops")
    add("--sample", default=50, type=positive, help="clips to decode (default: 50)")
    add("--all", action="store_true", help="decode every clip")
    add("--workers", default=1, type=positive, help="processes that decode (default: 1)")
    add("--strict", action="store_true", help="exit status 1 if anything is wrong")
    add("--out", required=True, type=Path, help="output: the page (and .parquet beside it)")
    return parser


if __name__ == "__main__":
    stage(main, parser())
