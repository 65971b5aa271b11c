"""A proof of one table: the bare `tabular` set by LaTeX, as PDF and PNG.

The tables themselves never need TeX; this does (pdflatex with booktabs and standalone, and
pdftoppm of poppler): Debian's texlive-latex-extra and poppler-utils, or any TeX Live.

    python -m dfer.proof results/table1.tex --pdf results/proof/table1.pdf --png …/table1.png
"""

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from dfer.files import UserError, atomic, run

DOCUMENT = r"""\documentclass[border=4pt]{standalone}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{booktabs}
\begin{document}
\input{%s}
\end{document}
"""


def typeset(document: str, folder: Path, name: str) -> Path:
    """Set a LaTeX document in `folder` and return the PDF; equal documents give equal bytes.

    Raises:
        UserError: there is no pdflatex, or it fails; the message has TeX's own complaint.
    """
    if shutil.which("pdflatex") is None:
        raise UserError(
            "pdflatex is not installed, and only proofs need it. Install TeX Live (Debian: "
            "texlive-latex-extra), or use the .tex, .md and .parquet as they are."
        )
    (folder / f"{name}.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
    clock = {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | clock,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        complaint = [line for line in done.stdout.splitlines() if line.startswith("!")]
        raise UserError(f"{name}: LaTeX stopped: {' '.join(complaint) or done.stdout[-500:]}")
    return folder / f"{name}.pdf"


def picture(pdf: Path, png: Path) -> None:
    """The first page of a PDF as a PNG of 200 dpi."""
    if shutil.which("pdftoppm") is None:
        raise UserError("pdftoppm is not installed (Debian: poppler-utils); only proofs need it.")
    stem = png.with_suffix("")
    command = ["pdftoppm", "-png", "-r", "200", "-singlefile", str(pdf), str(stem)]
    subprocess.run(command, check=True)


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("table", type=Path)
    top.add_argument("--pdf", type=Path, required=True)
    top.add_argument("--png", type=Path, required=True)
    return top


def main(args: argparse.Namespace) -> None:
    """Set the table and picture it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pdf = typeset(DOCUMENT % args.table.resolve().as_posix(), folder, args.table.stem)
        picture(pdf, folder / "picture.png")
        for made, wanted in ((pdf, args.pdf), (folder / "picture.png", args.png)):
            with atomic(wanted) as temporary:
                shutil.copyfile(made, temporary)


if __name__ == "__main__":
    run(main, parser())
