"""Check a user's copy of a dataset release: what is right, what is wrong, what to do.

    python -m dfer.check.release --layout dfew --root data/DFEW --source crops \
        --out results/dfew/check_data.md --out-findings results/dfew/check_data.parquet

Compares lists, counts and frames with the facts on the official release (`official.json`, for the
layouts dfew, ferv39k and mafw; a CSV release is checked against itself), decodes a sample of clips
(`--all`: every clip), looks for clips that stand under two ids, and estimates what the clip store
will take on disk. Writes a page, and the same findings as a table (level, check, finding, remedy).

Exit status: 1 if no stage can run on the copy, or if `--strict` and anything is wrong; else 0.
"""

import argparse
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from dfer.arguments import positive
from dfer.check.copies import check_copies
from dfer.check.decoding import check_looks
from dfer.check.findings import FINDINGS_SCHEMA, LEVELS, Finding
from dfer.check.frames import check_frames
from dfer.check.looks import count_images, look_at, sample
from dfer.check.official import compare_lists, load_facts
from dfer.check.page import page, per_fold
from dfer.check.structure import check_structure
from dfer.datasets import layouts
from dfer.datasets.release import Release, Source
from dfer.errors import UserError, stage
from dfer.files import printable, write_parquet, write_text


def inspect(
    release: Release,
    facts: dict[str, Any] | None,
    root: Path,
    source: Source,
    decoded: int | None,
    workers: int = 1,
) -> tuple[list[Finding], str]:
    """All findings on a release, and the table of clips and frames.

    Args:
        facts: on the official release (`load_facts`); None if there are none.
        decoded: how many clips to decode; None for all.
        workers: processes that decode.
    """
    findings = check_structure(release, facts)
    if facts:
        findings += compare_lists(release, facts)
    present = release.clips[~release.clips["clip"].isin(release.missing)].sort_values("clip")
    counts = dict.fromkeys(present["clip"], 0) | count_images(root, present)
    chosen = present if decoded is None else sample(present, decoded)
    looks = list(look_at(root, chosen, workers))
    if decoded is None:
        counts |= {look.clip: look.frames + look.lost for look in looks}
    if decoded is None or (present["media"] == "frames").all():  # all counts are known
        findings += check_frames(release, counts, facts)
    findings += check_looks(looks, source, counts)
    findings += check_copies(root, present, release)
    return findings, per_fold(release, counts, facts)


def main(args: argparse.Namespace) -> None:
    """Write and print the page.

    Raises:
        UserError: something fatal was found, or, if `args.strict`, anything wrong.
    """
    decoded = None if args.all else args.sample
    try:
        release = layouts.read(args.layout, args.root, args.source)
    except UserError as error:
        remedy = "Mend that, then check again: nothing else could be looked at."
        findings, table = [Finding("fatal", "reading", str(error), remedy)], ""
    else:
        facts = load_facts(args.layout)
        findings, table = inspect(release, facts, args.root, args.source, decoded, args.workers)
    findings.sort(key=lambda finding: LEVELS.index(finding.level))
    findings = [Finding(*map(printable, finding)) for finding in findings]
    text = page(args.layout, args.root, args.source, findings, table)
    write_text(text, args.out)
    write_parquet(pd.DataFrame(findings), args.out_findings, FINDINGS_SCHEMA)
    print(text, end="")
    levels = {finding.level for finding in findings}
    if "fatal" in levels or (args.strict and "wrong" in levels):
        raise UserError(f"{args.root}: the data check found faults; they are listed in {args.out}.")


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--layout", required=True, choices=layouts.LAYOUTS, help="layout of the release")
    add("--root", required=True, type=Path, help="folder of the release")
    add("--source", required=True, choices=get_args(Source), help="raw videos or face crops")
    add("--sample", default=50, type=positive, help="clips to decode (default: %(default)s)")
    add("--all", action="store_true", help="decode every clip")
    add("--workers", default=1, type=positive, help="processes that decode (default: %(default)s)")
    add("--strict", action="store_true", help="exit status 1 if anything is wrong")
    add("--out", required=True, type=Path, help="output (the page)")
    add("--out-findings", required=True, type=Path, help="output (the findings as a table)")
    return parser


if __name__ == "__main__":
    stage(main, parser())
