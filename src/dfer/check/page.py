"""The page of a data check, in Markdown."""

from pathlib import Path
from typing import Any

from dfer.check.findings import LEVELS, Finding
from dfer.datasets.release import Release, Source

TITLES = {
    "fatal": "Must be mended",
    "wrong": "Wrong",
    "note": "Worth knowing",
    "right": "Right",
}


def page(layout: str, root: Path, source: Source, findings: list[Finding], table: str) -> str:
    """The findings, the worst first, each with what to do.

    Args:
        table: of clips and frames, as `per_fold` makes it; may be empty.
    """
    numbers = {level: sum(f.level == level for f in findings) for level in LEVELS}
    verdict = (
        "This copy cannot be used as it is."
        if numbers["fatal"]
        else "This copy can be used, but results on it may not compare with published ones."
        if numbers["wrong"]
        else "Nothing wrong was found."
    )
    lines = [f"# Data check: {layout}", "", f"`{root}`, source `{source}`.", "", verdict]
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


def per_fold(release: Release, counts: dict[str, int], facts: dict[str, Any] | None) -> str:
    """A table of clips, frames and clips per class of each fold.

    Args:
        counts: frames of each clip that is on disk; 0 where that is not known.
        facts: on the official release (`load_facts`); None if there are none.
    """
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
        here = [len(part), int(part["frames"].sum()) or None]
        here += [int(per_class.get(label, 0)) for label in labels]
        expected: list[int | None] = [None] * len(here)
        if official:
            expected = [official["clips"], official["frames"], *official["per_class"]]
        cells = map(_cell, here, expected)
        lines.append(f"| {fold} | {split} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(here: int | None, official: int | None) -> str:
    """A number, and the official one in brackets where they differ."""
    if here is None:
        return "?"
    return str(here) + (f" ({official})" if official not in (None, here) else "")
