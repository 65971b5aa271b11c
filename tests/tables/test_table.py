"""The tables: every number says where it came from, and the LaTeX is what the paper's rows say."""

import re
from pathlib import Path

import pandas as pd
import pytest

from dfer.files import read_parquet, write_parquet
from dfer.tables import table as tables
from dfer.tables.flops import CONFIGURATIONS
from dfer.tables.summary import SUMMARY

ROOT = Path(__file__).parents[2]
REPORTED = pd.read_csv(ROOT / "config/reported.csv", dtype=str, keep_default_na=False)
DATASETS = {"demo": {"title": "Demo", "synthetic": True}, "dfew": {"title": "DFEW"}}
RUNS = {name: {"baseline": "clip.1", "full": "interfit.2"} for name in DATASETS}


def summary():
    rows = [
        (dataset, key, "last", metric, value, 1.25, value - 2, value + 2, value, 5, 3, 320, *more)
        for dataset in DATASETS
        for key, value, more in (
            ("clip.1", 70.004, (None,) * 5),
            ("interfit.2", 71.5, ("clip.1", 1.496, -0.5, 3.5, 0.125)),
        )
        for metric in ("UAR", "WAR")
    ]
    return pd.DataFrame(rows, columns=SUMMARY.names)


@pytest.fixture(scope="module")
def flops():
    rows = [(name, cells, printed, 20.0) for name, cells, printed, _ in CONFIGURATIONS]
    return pd.DataFrame(rows, columns=["configuration", "cells", "reported", "macs_paper"])


@pytest.fixture(scope="module", params=range(1, 6))
def frame(request, flops):
    return tables.numbers(request.param, REPORTED, summary(), flops, DATASETS, RUNS)


def test_every_printed_number_stands_as_printed(frame):
    table = frame.table.iloc[0]
    expected = REPORTED[REPORTED.table == str(table)]
    reported = frame[frame.source == "reported"]
    keys = ["row", "method", "dataset", "metric", "printed"]
    assert set(reported[keys].astype(str).itertuples(index=False, name=None)) == set(
        expected.rename(columns={"value": "printed"})[keys].itertuples(index=False, name=None)
    )
    assert (reported.value == reported.printed.astype(float)).all()
    assert reported.origin.str.fullmatch(rf".*IJCB 2024, Table {table}, row \d+").all()


def test_measured_numbers_say_what_they_are(frame):
    measured = frame[frame.source == "measured"]
    assert set(measured.dataset) == {"Demo", "DFEW"}
    assert (measured.folds == 5).all() and (measured.seeds == 3).all()
    assert (measured.checkpoint == "last").all()
    assert (measured.synthetic == (measured.dataset == "Demo")).all()
    assert measured.origin.str.contains("/runs/").all()
    assert measured.printed.isna().all()
    assert set(measured.variant) <= {"baseline", "full"}


def test_the_paper_has_24_methods_in_table_1():
    first = REPORTED[REPORTED.table == "1"]
    assert first.row.nunique() == 24 and len(first) == 102  # cells that are not "–"


def test_latex_is_a_bare_tabular_of_equal_rows(frame):
    latex = tables.to_latex(frame)
    body = [line for line in latex.splitlines() if not line.startswith("%")]
    assert body[0].startswith(r"\begin{tabular}") and body[-1] == r"\end{tabular}"
    columns = len(re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", body[0])[1])
    middle = body.index(r"\midrule")
    rows = body[middle + 1 : body.index(r"\bottomrule")]
    assert len(rows) == frame["row"].nunique()
    assert all(row.count("&") == columns - 1 for row in rows)
    assert "(synthetic)" in latex and "Reported" in latex and "Measured here" in latex


def test_best_is_bold_and_second_underlined_column_by_column(flops):
    frame = tables.numbers(1, REPORTED, summary(), flops, DATASETS, RUNS)
    rows = [line for line in tables.to_latex(frame).splitlines() if line.endswith(r"\\")]
    ours = next(line for line in rows if line.startswith("Ours"))
    assert ours.count(r"\textbf{") == 6 + 4
    # LSTPNet has the second UAR of DFEW, DFER-CLIP the second WAR, as the numbers printed say.
    lstpnet = next(line for line in rows if line.startswith("LSTPNet"))
    dferclip = next(line for line in rows if line.startswith("DFER-CLIP"))
    assert r"\underline{60.18}" in lstpnet and r"\underline{71.25}" in dferclip
    assert r"\textbf{71.50}\,$\pm$\,1.25" in ours


def test_markdown_numbers_its_notes(flops):
    frame = tables.numbers(1, REPORTED, summary(), flops, DATASETS, RUNS)
    text = tables.to_markdown(frame)
    cited = set(re.findall(r" \[(\d+)\] ", text))
    listed = set(re.findall(r"^- \[(\d+)\] ", text, re.M))
    assert cited == listed and len(listed) >= 5


def test_equal_numbers_give_equal_bytes(frame, tmp_path):
    for name in ("a", "b"):
        write_parquet(frame, tmp_path / f"{name}.parquet", tables.NUMBERS)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    again = read_parquet(tmp_path / "a.parquet")
    assert tables.to_latex(again) == tables.to_latex(frame)


def test_a_variant_that_is_not_configured_has_no_measured_cell(flops):
    frame = tables.numbers(1, REPORTED, summary(), flops, DATASETS, {"demo": {}, "dfew": {}})
    assert set(frame.source) == {"reported"}
    assert "Measured" not in tables.to_latex(frame)


def test_what_was_measured_is_listed_with_its_spread_and_comparison(flops):
    frame = tables.numbers(1, REPORTED, summary(), flops, DATASETS, RUNS)
    text = tables.to_markdown(frame).partition("**What was measured.**")[2]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    heads, *rows = rows
    assert len(rows) == 8 and all(len(row) == len(heads) for row in rows)
    full = next(row for row in rows if row[:3] == ["Ours", "Demo (synthetic)", "UAR"])
    assert full[3:6] == ["71.50 ± 1.25", "69.50 – 73.50", "71.50"]
    assert full[6:8] == ["+1.50 (-0.50 – +3.50)", "0.1250"]
    baseline = next(row for row in rows if row[:3] == ["Baseline", "DFEW", "WAR"])
    assert baseline[6:8] == ["–", "–"]


def test_every_column_is_documented():
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/tables.md").read_text(), re.M)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(tables.NUMBERS.names)
