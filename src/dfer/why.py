"""What would rerun for a target, and because of which file.

    python -m dfer.why results/table1.tex
    python -m dfer.why tables --configfile config/paper.yaml

A dry run of Snakemake, told by cause: the module that was edited, the setting that changed, the
file that is missing or new. What follows only from other jobs is counted below. All words but
`dfer.why` go to Snakemake.
"""

import re
import subprocess
import sys
from collections import defaultdict
from typing import NamedTuple

from dfer.errors import print_anything
from dfer.provenance import SOURCE

RULE = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$", re.M)
FOLLOWS = "Input files updated by another job"


class Job(NamedTuple):
    """A job of a dry run: its rule, the values of its wildcards in order, and why it would run."""

    rule: str
    values: list[str]
    reason: str

    def __str__(self) -> str:
        return " ".join([self.rule, *self.values])


def planned(printed: str) -> list[Job]:
    """The jobs that a dry run of Snakemake prints."""
    jobs = []
    pieces = RULE.split(printed)[1:]
    for rule, block in zip(pieces[::2], pieces[1::2], strict=True):
        wildcards = re.search(r"^ +wildcards: (.*)$", block, re.M)
        values = [part.partition("=")[2] for part in wildcards[1].split(", ")] if wildcards else []
        reason = re.search(r"^ +reason: (.*)$", block, re.M)
        jobs.append(Job(rule, values, reason[1].strip() if reason else ""))
    return jobs


def causes(job: Job) -> list[str]:
    """Why a job would run, in words; none if only because other jobs do."""
    found = []
    for clause in job.reason.split("; "):
        kind, _, rest = clause.partition(": ")
        if kind.startswith("Params have changed"):
            edited = dict.fromkeys(re.findall(r"'([\w.]+)@[0-9a-f]{10}'", rest))
            found += [f"{_path(module)} was edited" for module in edited]
            if not edited:
                before, _, now = rest.partition(" now: ")
                found.append(f"the settings changed from{before.partition('before:')[2]} to {now}")
        elif kind == "Missing output files":
            found.append("its result is missing")
        elif kind == "Updated input files":
            found += [f"{path} is new" for path in rest.split(", ")]
        elif kind != FOLLOWS and clause:
            found.append(clause[0].lower() + clause[1:])
    return found


def _path(module: str) -> str:
    """The file of a project module, as the repository has it."""
    path = SOURCE.joinpath(*module.split("."))
    found = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return found.relative_to(SOURCE.parent).as_posix()


def explain(jobs: list[Job]) -> str:
    """Causes, each with the jobs that it would rerun, and what follows from them."""
    grouped: dict[str, list[Job]] = defaultdict(list)
    follow: dict[str, int] = defaultdict(int)
    updated = any(FOLLOWS in job.reason for job in jobs)
    for job in jobs:
        for cause in causes(job):
            grouped[cause].append(job)
        follow[job.rule] += not causes(job)
    lines = [f"{len(jobs)} {'job' if len(jobs) == 1 else 'jobs'} would run."]
    for cause, found in grouped.items():
        lines += ["", f"Because {cause}:", *(f"    {job}" for job in found)]
    if updated and any(follow.values()):
        counts = ", ".join(f"{count} × {rule}" for rule, count in follow.items() if count)
        lines += ["", f"And what follows from these: {counts}."]
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Print why; Snakemake's own exit status and message where it fails."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", *words]
    print_anything()
    done = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace")
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
    else:
        print(explain(planned(done.stdout + done.stderr)))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
