"""Whether a release can be read at all: ids, labels, folds, clips that are not on disk."""

from typing import Any

from dfer.check.findings import Finding
from dfer.datasets.consistency import check
from dfer.datasets.release import Release, first_few
from dfer.errors import UserError


def check_structure(release: Release, facts: dict[str, Any] | None) -> list[Finding]:
    """What the manifest stage would refuse, missing clips, folds, and the reader's own notes.

    Args:
        facts: on the official release (`load_facts`); None if there are none.
    """
    labels = facts["classes"] if facts else sorted(release.clips["label"].unique())
    findings = []
    try:
        check(release.clips, release.folds, {label: label for label in labels})
        clips, folds = len(release.clips), release.folds["fold"].nunique()
        text = f"{clips} clips, {folds} fold(s): ids, labels, train and test parts are consistent."
        findings.append(Finding("right", "structure", text))
    except UserError as error:
        findings.append(Finding("fatal", "structure", str(error), "Mend that, then check again."))
    if release.missing:
        findings.append(
            Finding(
                "wrong",
                "missing clips",
                f"{len(release.missing)} of {len(release.clips)} listed clips are not on disk: "
                f"{first_few(release.missing, 20)}.",
                "Unpack or copy them anew. The stages that open clips will reject these by name.",
            )
        )
    else:
        findings.append(Finding("right", "missing clips", "All listed clips are on disk."))
    findings += [Finding("note", "reader", note) for note in release.notes]
    return findings + _check_folds(release)


def _check_folds(release: Release) -> list[Finding]:
    """Subjects on both sides of a fold, and classes without test clips."""
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
                    f"Fold {fold}: {len(both)} subjects are in train and test ({first_few(both)}).",
                    "Its scores say nothing about unseen people. If they should, make folds in "
                    "which every subject is on one side.",
                )
            )
        absent = sorted(labels - set(part.loc[part["split"] == "test", "label"]))
        if absent:
            findings.append(
                Finding(
                    "note",
                    "classes",
                    f"Fold {fold} tests no clip of {first_few(absent)}.",
                    "UAR is the mean over classes that have test clips: compare folds with care.",
                )
            )
    return findings
