"""The report: pages say what their sources say, the workflow makes it, proofs are set by LaTeX."""

import json
import shutil
import subprocess
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from dfer.errors import UserError
from dfer.files import write_parquet
from dfer.report import page
from dfer.tables import proof

TABLE = """**Table 9.** Of *words* & <b>signs</b>.

| Method | DFEW UAR<br>*reported* | Demo UAR<br>*measured* |
|---|---:|---:|
| P&Q (MM'21) | 43.40 [1] | – |
| Ours <script> | **60.85** | <u>71.50</u> ± 1.25 |

- Bold: `best`.
- [1] a note
"""


class Cells(HTMLParser):
    """The texts of table cells, whether each is a number, and all tags."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.numbers, self.inside = [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")
            self.numbers.append("right" in dict(attrs).get("style", ""))

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def test_a_markdown_table_becomes_a_page():
    cells = Cells(page.from_markdown(TABLE))
    assert cells.rows == [
        ["Method", "DFEW UARreported", "Demo UARmeasured"],
        ["P&Q (MM'21)", "43.40 [1]", "–"],
        ["Ours <script>", "60.85", "71.50 ± 1.25"],
    ]
    assert cells.numbers == [False, True, True] * 3
    assert "script" not in cells.tags and cells.tags.count("li") == 2
    assert cells.tags.count("strong") == 2 and cells.tags.count("em") == 3 and "u" in cells.tags


def test_a_parquet_table_becomes_a_page(tmp_path):
    frame = pd.DataFrame({"clip": ["a|b", "c"], "reason": ["no <face>" * 9, None], "n": [1, 2]})
    write_parquet(frame, tmp_path / "rejects.parquet")
    arguments = [str(tmp_path / "rejects.parquet"), "--title", "A & B", "--out"]
    page.main(page.parser().parse_args([*arguments, str(tmp_path / "page.html")]))
    text = (tmp_path / "page.html").read_text()
    assert Cells(text).rows[1:] == [["a|b", "no <face>" * 9, "1"], ["c", "", "2"]]
    assert "<title>A &amp; B</title>" in text
    assert page.from_frame(frame[:0]) == "<p>None.</p>"


def test_settings_show_what_differs():
    variants = {"a": {"model": {"blocks": 2, "frames": 8}}, "b": {"model": {"blocks": 1}}}
    text = page.from_settings(variants)
    assert Cells(text).rows[1:] == [["model.blocks", "2", "1"], ["model.frames", "8", "null"]]
    assert "<b>2</b>" in text
    with pytest.raises(UserError, match=r"made of \.md or \.parquet"):
        page.body_of(Path("x.csv"))


def test_records_show_with_what_runs_were_made(tmp_path):
    paths = []
    for number, version in enumerate(["2.14.1", "2.14.1", "2.15.0"]):
        paths.append(tmp_path / f"{number}.json")
        made_with = {"packages": {"torch": version}, "device": "cpu"}
        paths[-1].write_text(json.dumps({"environment": made_with, "seed": number}))
    rows = Cells(page.from_records(paths)).rows
    assert rows[0] == ["setting", "1: 2 runs", "2: 1 run"]
    assert rows[1:] == [["packages.torch", '"2.14.1"', '"2.15.0"'], ["device", '"cpu"', '"cpu"']]


def test_an_article_of_all_tables_keeps_numbers_and_notes(tmp_path):
    for number in (1, 4):
        text = "% 95 % of a & b_c\n\\begin{tabular}{l}x\\end{tabular}\n"
        (tmp_path / f"table{number}.tex").write_text(text)
    document = proof.article([tmp_path / "table1.tex", tmp_path / "table4.tex"])
    assert document.count(r"\input{") == 2 and r"95 \% of a \& b\_c" in document
    assert r"\numexpr4-1\relax" in document and "BiEhPro blocks" in document
    with pytest.raises(UserError, match="table<number>"):
        proof.article([tmp_path / "other.tex"])
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex")
    made = []
    for name in ("a.pdf", "b.pdf"):
        command = [str(tmp_path / "table1.tex"), str(tmp_path / "table4.tex"), "--out-pdf"]
        proof.main(proof.parser().parse_args([*command, str(tmp_path / name)]))
        made.append((tmp_path / name).read_bytes())
    assert made[0].startswith(b"%PDF") and made[0] == made[1]


@pytest.mark.slow
def test_the_report_has_every_page_and_figure(complete):
    complete.snakemake("report_pages", "--report", "report.zip")
    with zipfile.ZipFile(complete.folder / "report.zip") as archive:
        names = archive.namelist()
        shown = archive.read("report/report.html").decode()
    for figure in ("figure2", "figure4", "figure5", "confusion", "recall", "learning", "blocks"):
        assert any(name.endswith(f"{figure}.svg") for name in names), figure
    for name in ("table1", "table5", "check_data", "rejects", "settings", "environment"):
        assert any(found.endswith(f"{name}.html") for found in names), name
    for word in ("Figures", "Tables", "Settings", "Environment", "Fig. 4: heat maps"):
        assert word in shown, word
    assert "says nothing of the paper" in shown


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
def test_a_browser_shows_the_report(complete, tmp_path):
    """In headless Chromium, without network; what it looks like is not blank."""
    complete.snakemake("report_pages", "--report", "report.html")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000"]
    command += ["--window-size=1400,900", f"--screenshot={tmp_path / 'report.png'}", "--dump-dom"]
    command += [f"file://{complete.folder / 'report.html'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    for word in ("Figures", "Tables", "Settings", "Data"):
        assert f">{word}<" in done.stdout or f"{word}</" in done.stdout, word
    with Image.open(tmp_path / "report.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 50


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
def test_latex_sets_the_tables(complete):
    """Each by itself, as PDF and PNG, and all in one document."""
    complete.snakemake("results/proof/table1.png", "results/proof/tables.pdf")
    for name in ("table1.pdf", "tables.pdf"):
        assert (complete.folder / "results/proof" / name).read_bytes().startswith(b"%PDF")
    with Image.open(complete.folder / "results/proof/table1.png") as picture:
        assert picture.width > 1000 and picture.height > 400
