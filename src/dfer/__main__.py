"""Every command of the workflow under one name: `dfer train …`, `dfer predict …`.

    dfer --help
    dfer predict clip.mp4 --run results/demo/runs/<settings>/fold1-seed0 --out found.csv

What a command does is read from its module's first line, so that the list of them imports none.
Exit status: 0, 1 where a user can mend what is wrong (one line on stderr says it), 2 for words that
no command has, 130 after Ctrl-C, 141 where nobody reads the print-out any more.
"""

import argparse
import ast
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path

from dfer.errors import stage

COMMANDS = {  # heading → command → its module
    "Use a trained run": {
        "predict": "dfer.predict.__main__",
        "app": "dfer.app.__main__",
        "export": "dfer.sharing.export",
        "upload": "dfer.sharing.upload",
    },
    "Before and beside the workflow": {
        "why": "dfer.why",
        "completion": "dfer.completion",
        "check": "dfer.check.release",
        "weights": "dfer.training.weights",
        "convert-dfer-clip": "dfer.models.peers.convert_dfer_clip",
    },
    "From a release to the clip store": {
        "manifest": "dfer.prepare.manifest",
        "align": "dfer.prepare.align",
        "extract": "dfer.prepare.extract",
        "contents": "dfer.prepare.contents",
        "splits": "dfer.prepare.splits",
    },
    "Train and evaluate": {
        "text": "dfer.training.text",
        "train": "dfer.training.train",
        "evaluate": "dfer.training.evaluate",
        "held-out": "dfer.training.held_out",
        "correct": "dfer.training.correct",
        "speed": "dfer.training.speed",
    },
    "Tune": {
        "suggest": "dfer.tuning.suggest",
        "trial": "dfer.tuning.trial",
        "best": "dfer.tuning.best",
        "tuning-figure": "dfer.tuning.figures",
    },
    "Tables": {
        "summary": "dfer.tables.summary",
        "table": "dfer.tables.table",
        "flops": "dfer.tables.flops",
        "costs": "dfer.tables.costs",
        "costs-here": "dfer.tables.costs_here",
        "proof": "dfer.tables.proof",
    },
    "What trained runs see": {
        "examples": "dfer.analysis.examples",
        "features": "dfer.analysis.features",
        "maps": "dfer.analysis.maps",
        "tsne": "dfer.analysis.tsne",
    },
    "Figures": {
        "figure2": "dfer.figures.figure2",
        "figure4": "dfer.figures.figure4",
        "figure5": "dfer.figures.figure5",
        "confusion": "dfer.figures.confusion",
        "recall": "dfer.figures.recall",
        "learning": "dfer.figures.learning",
        "blocks": "dfer.figures.blocks",
        "shares": "dfer.figures.shares",
    },
    "Report": {
        "page": "dfer.report.page",
        "table-page": "dfer.report.table_page",
        "archive": "dfer.report.archive",
    },
    "The demo": {
        "face-model": "dfer.demo.face_model",
        "render": "dfer.demo.render",
        "captions": "dfer.demo.captions",
        "pretrain": "dfer.demo.pretrain",
        "contact-sheet": "dfer.demo.contact_sheet",
        "words": "dfer.demo.words",
        "words-figure": "dfer.demo.words_figure",
    },
}
MODULES = {name: module for own in COMMANDS.values() for name, module in own.items()}


def summary(module: str) -> str:
    """The first line of a module's docstring."""
    path = Path(__file__).parents[1].joinpath(*module.split(".")).with_suffix(".py")
    return ast.get_docstring(ast.parse(path.read_bytes())).splitlines()[0]


def contents() -> str:
    """All commands, a line each, under their headings."""
    lines = ["commands (`dfer <command> --help` tells more):"]
    for heading, own in COMMANDS.items():
        lines += ["", f"  {heading}"]
        lines += [f"    {name:<18} {summary(module)}" for name, module in own.items()]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line before a command's own words."""
    top = argparse.ArgumentParser(
        prog="dfer",
        description="Compare methods of dynamic facial expression recognition, stage by stage.\n"
        "Snakemake calls these commands in their order (`snakemake --cores all`).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        usage="dfer [--help] [--version] <command> …",
    )
    top.add_argument("-h", "--help", action="store_true", help="show this list and exit")
    top.add_argument("--version", action="version", version=f"dfer {metadata.version('dfer')}")
    top.add_argument("command", nargs="?", metavar="<command>", help="one of those below")
    return top


def main(words: Sequence[str] | None = None) -> None:
    """Run a command with its own words."""
    first, *rest = words or sys.argv[1:] or ["--help"]
    top = parser()
    args = top.parse_args([first])
    if args.help:
        top.epilog = contents()
        top.print_help()
        return
    if args.command not in MODULES:
        near = difflib.get_close_matches(args.command, MODULES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; `dfer --help` lists them"
        top.error(f"no command {args.command!r}{hint}")
    module = import_module(MODULES[args.command])
    if not hasattr(module, "parser"):  # all its words are Snakemake's
        sys.exit(module.main(rest))
    own = module.parser()
    own.prog = f"dfer {args.command}"
    stage(module.main, own, rest)


if __name__ == "__main__":
    main()
