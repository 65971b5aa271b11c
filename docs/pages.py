"""The pages of the site, from the documents of the repository.

    python docs/pages.py site/pages        # or, with the site: make docs

A document stands where it is read in the repository, once; here it gets the name of a page. The
reference of commands is their own `--help`, and the notebook is shown with the outputs that it was
committed with. Links are written for the repository. On the site they lead to pages of it; to files
that are none, on the repository's own site (`REPOSITORY_URL`), or nowhere where that is not known.
"""

import argparse
import inspect
import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path, PurePosixPath

from nbconvert import MarkdownExporter

from dfer.__main__ import COMMANDS, summary

ROOT = Path(__file__).parents[1]
ELSEWHERE = {  # page → the document, where that is none of docs/
    "index.md": "README.md",
    "configuration.md": "config/README.md",
    "results.md": "results/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "predict.md": "docs/predict.ipynb",
}
HIDDEN = {  # what would be empty, and narrow the page
    "index.md": "navigation, toc",
    "first-steps.md": "navigation",
    "results.md": "toc",
}
HEADING = re.compile(r"^(#+) (.+)$", re.M)
ASSETS = (".css", ".jpg", ".js", ".png", ".svg")
CODE = re.compile(r"(^ *```[\s\S]*?^ *```$|^(?: {4}.*\n)+)", re.M)
LINK = re.compile(r"\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\(((?!https?:|#|mailto:)[^)\s]+)\)")


def documents() -> dict[str, str]:
    """Page → its document."""
    own = {path.name: f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    return own | ELSEWHERE


def write(out: Path, repository: str) -> None:
    """All pages, and the pictures that they show."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for path in (ROOT / "docs").rglob("*"):
        if path.suffix in ASSETS:
            copy = out / path.relative_to(ROOT / "docs")
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    for page, document in documents().items():
        text = notebook(document, out) if document.endswith(".ipynb") else read(document)
        text = prose(text, PurePosixPath(document).parent, repository)
        text = text.replace("<!-- commands -->", commands()) if page == "commands.md" else text
        head = f"---\nhide: [{HIDDEN[page]}]\n---\n\n" if page in HIDDEN else ""
        (out / page).write_text(head + text, encoding="utf-8")


def read(document: str) -> str:
    """The text of a document."""
    return (ROOT / document).read_text(encoding="utf-8")


def notebook(document: str, out: Path) -> str:
    """A notebook as Markdown; its pictures are written beside the page."""
    text, resources = MarkdownExporter().from_filename(str(ROOT / document))
    for name, content in resources["outputs"].items():
        (out / name).write_bytes(content)
    return text


def prose(text: str, base: PurePosixPath, repository: str) -> str:
    """A document with its links turned, and with the names that the repository gives headings.

    Args:
        base: the folder of the document.
    """
    pages = {document: page for page, document in documents().items()}
    taken: dict[str, int] = {}

    def link(found: re.Match[str]) -> str:
        return turned(found[1], found[2], base, pages, repository)

    def heading(found: re.Match[str]) -> str:
        slug = re.sub(r"[^\w\- ]", "", found[2].lower()).replace(" ", "-")
        taken[slug] = taken.get(slug, -1) + 1
        return f"{found[0]} {{ #{slug}{f'-{taken[slug]}' if taken[slug] else ''} }}"

    parts = CODE.split(text)  # code stands at odd places
    parts[::2] = [HEADING.sub(heading, LINK.sub(link, part)) for part in parts[::2]]
    return "".join(parts)


def turned(
    text: str, target: str, base: PurePosixPath, pages: dict[str, str], repository: str
) -> str:
    """A link of a document in the folder `base`, as the site has it."""
    path, _, anchor = target.partition("#")
    inside = os.path.normpath(base / path)
    if inside in pages:
        return f"[{text}]({pages[inside]}{'#' + anchor if anchor else ''})"
    if inside.startswith("docs/") and inside.endswith(ASSETS):
        return f"[{text}]({inside.removeprefix('docs/')})"
    if repository:
        return f"[{text}]({repository.rstrip('/')}/blob/HEAD/{inside})"
    return text


def commands() -> str:
    """What `dfer --help` says, with links; then each command's own help."""
    lines: list[str] = []
    for heading, own in COMMANDS.items():
        lines += ["", f"**{heading}**", "", "| | |", "|---|---|"]
        lines += [f"| [`{name}`](#dfer-{name}) | {summary(own[name])} |" for name in own]
    for heading, own in COMMANDS.items():
        lines += ["", f"## {heading}"]
        for name, module in own.items():
            lines += ["", f"### dfer {name} {{ #dfer-{name} }}", "", described(module), ""]
            for parser in parsers(name, module):
                parser.formatter_class = Wide
                lines += ["```text", parser.format_help().rstrip(), "```", ""]
    return "\n".join(lines)


def described(module: str) -> str:
    """A module's docstring, whose layout is that of Markdown."""
    return inspect.getdoc(import_module(module))


def parsers(name: str, module: str) -> Iterator[argparse.ArgumentParser]:
    """The command line of a command, and of its own commands."""
    if not hasattr(import_module(module), "parser"):
        return  # all its words are Snakemake's
    parser = import_module(module).parser()
    parser.prog, parser.description = f"dfer {name}", None  # it is the docstring's first line
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for own, below in action.choices.items():
                below.prog = f"dfer {name} {own}"
                yield below


class Wide(argparse.HelpFormatter):
    """Of one width, whatever terminal builds the site."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=26, width=92)


if __name__ == "__main__":
    write(Path(sys.argv[1]), os.environ.get("REPOSITORY_URL", ""))
