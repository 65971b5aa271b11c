"""Facts on official splits, and how a user's lists compare with them.

`official.json` has, for each layout, fold and part: clips, clips per class, frames, and a hash of
the list. Hashes and counts alone: the lists come with the release, under its own terms.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from dfer.check.findings import Finding
from dfer.datasets.release import Release

FACTS = Path(__file__).with_name("official.json")


def load_facts(layout: str) -> dict[str, Any] | None:
    """The facts on the release of a layout, as in `official.json`; None for a CSV release."""
    return json.loads(FACTS.read_text(encoding="utf-8")).get(layout)


def list_hash(clips: Iterable[str], labels: Iterable[str]) -> str:
    """SHA-256 of a list: lines "clip label", sorted, joined by line feeds without a last one."""
    lines = sorted(f"{clip} {label}" for clip, label in zip(clips, labels, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def compare_lists(release: Release, facts: dict[str, Any]) -> list[Finding]:
    """Compare the lists of a release with the official ones, fold by fold."""
    labelled = release.folds.merge(release.clips[["clip", "label"]], on="clip")
    parts = dict(iter(labelled.groupby(["fold", "split"])))
    findings, right = [], []
    for fold, splits in facts["folds"].items():
        for split, official in splits.items():
            part = parts.get((int(fold), split))
            if part is None:
                findings.append(
                    Finding(
                        "wrong",
                        "lists",
                        f"Fold {fold} has no {split} list.",
                        "Copy the list from the release, or leave the fold out of `folds`.",
                    )
                )
            elif list_hash(part["clip"], part["label"]) == official["sha256"]:
                right.append(f"{fold} {split}")
            else:
                name = f"Fold {fold}, {split}"
                findings.append(_difference(name, part["label"], facts["classes"], official))
    if right:
        text = f"The lists of these folds are the official ones, line by line: {', '.join(right)}."
        findings.append(Finding("right", "lists", text))
    return findings


def _difference(
    name: str, labels: pd.Series, classes: list[str], official: dict[str, Any]
) -> Finding:
    """Say how a list whose hash is not the official one differs from it."""
    counts = labels.value_counts()
    here = [int(counts.get(label, 0)) for label in classes]
    there = official["per_class"]
    if here == there:
        return Finding(
            "wrong",
            "lists",
            f"{name}: as many clips of each class as in the official list, but other clips, or "
            "labels that changed places.",
            "Copy the list from the release; results on it compare with no published ones.",
        )
    differences = ", ".join(
        f"{label} {count} ({expected})"
        for label, count, expected in zip(classes, here, there, strict=True)
        if count != expected
    )
    if sorted(here) == sorted(there):
        return Finding(
            "wrong",
            "class order",
            f"{name}: the official counts (in brackets), but under other classes: {differences}. "
            "The labels were written in another order of the classes.",
            "Copy the release's own list: codebases number the classes in different orders.",
        )
    return Finding(
        "wrong",
        "counts",
        f"{name}: {len(labels)} clips, officially {official['clips']}; {differences} (official "
        "in brackets).",
        "Copy the list from the release. Lists from which short or undecodable clips were taken "
        "give results that compare with no published ones.",
    )
