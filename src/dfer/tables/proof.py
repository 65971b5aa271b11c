"""A proof of tables: the bare `tabular`s set by LaTeX, one as PDF and PNG, or several in a PDF.

The tables themselves never need TeX; this does (pdflatex with booktabs and standalone, and
pdftoppm of poppler): Debian's texlive-latex-extra and poppler-utils, or any TeX Live.

    python -m dfer.tables.proof results/table1.tex --out-pdf results/proof/table1.pdf
        --out-png results/proof/table1.png
    python -m dfer.tables.proof results/table*.tex --out-pdf results/proof/tables.pdf
"""

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from dfer.errors import UserError, stage
from dfer.files import atomic
from dfer.tables.captions import CAPTIONS
from dfer.tables.latex import escape

DOCUMENT = r"""\pdftrailerid{}
\documentclass[border=4pt]{standalone}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{booktabs}
\begin{document}
\input{%s}
\end{document}
"""

# All tables as a paper has them: floats with captions, and the comments of the .tex as notes.
ARTICLE = r"""\pdftrailerid{}
\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs,adjustbox}
\pagestyle{plain}
\begin{document}
%s
\end{document}
"""
FLOAT = r"""\begin{table}[htbp]
\centering
\setcounter{table}{\numexpr%(number)s-1\relax}
\caption{%(caption)s}
\par\smallskip
\adjustbox{max width=\textwidth}{\input{%(path)s}}
\par\medskip
\begin{minipage}{\textwidth}\footnotesize\raggedright %(notes)s\end{minipage}
\end{table}
"""


def article(tables: list[Path]) -> str:
    """A document of all `tables`, each numbered by its name and with its comments as notes.

    Raises:
        UserError: a file's name has no number.
    """
    floats = []
    for path in tables:
        name = re.fullmatch(r"table(\d+)", path.stem)
        if name is None:
            raise UserError(f"{path}: a table's file is named table<number>.tex")
        lines = path.read_text(encoding="utf-8").splitlines()
        notes = [escape(line.removeprefix("% ")) for line in lines if line.startswith("% ")]
        floats.append(
            FLOAT
            % {
                "caption": escape(CAPTIONS.get(int(name[1]), "")),
                "number": name[1],
                "path": path.resolve().as_posix(),
                "notes": r"\par ".join(notes),
            }
        )
    return ARTICLE % "\n".join(floats)


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
    top.add_argument("tables", type=Path, nargs="+", help=".tex, bare tabulars")
    top.add_argument("--out-pdf", type=Path, required=True, help="output (the tables)")
    top.add_argument("--out-png", type=Path, help="output (a picture of a single table)")
    return top


def main(args: argparse.Namespace) -> None:
    """Set the tables as an article, or a single one by itself with its picture."""
    if args.out_png and len(args.tables) > 1:
        raise UserError("--out-png is for a single table")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.out_png:
            document = DOCUMENT % args.tables[0].resolve().as_posix()
        else:
            document = article(args.tables)
        files = {args.out_pdf: typeset(document, folder, args.out_pdf.stem)}
        if args.out_png:
            files[args.out_png] = folder / "picture.png"
            picture(files[args.out_pdf], files[args.out_png])
        for out, file in files.items():
            with atomic(out) as temporary:
                shutil.copyfile(file, temporary)


if __name__ == "__main__":
    stage(main, parser())
