"""The tables: every number says where it came from, and the LaTeX is what the paper's rows say."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from dfer.errors import UserError
from dfer.files import read_parquet, write_parquet
from dfer.tables import flops as costs
from dfer.tables import reported, table
from dfer.tables.latex import escape, to_latex
from dfer.tables.layout import arrange
from dfer.tables.markdown import to_markdown
from dfer.tables.numbers import NUMBERS, SYNTHETIC, Dataset, numbers
from dfer.tables.summary import SUMMARY

ROOT = Path(__file__).parents[2]
CELLS = reported.read(ROOT / "config/reported.csv")
REPORTED = pd.DataFrame(CELLS)
PRINTED = REPORTED[REPORTED.value != ""]  # without lines that only give a variant a row
DATASETS = {"demo": Dataset("Demo", synthetic=True), "dfew": Dataset("DFEW")}
RUNS = {name: {"baseline": "clip.1", "full": "interfit.2"} for name in DATASETS}


def summary():
    rows = [
        (
            dataset,
            key,
            "",
            "last",
            metric,
            value,
            1.25,
            value - 2,
            value + 2,
            value,
            5,
            3,
            320,
            *more,
        )
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
    rows = [
        (name, "; ".join(cell.place for cell in CELLS if cell.variant == variant), 20.0)
        for variant, (name, _) in costs.CONFIGURATIONS.items()
    ]
    return pd.DataFrame(rows, columns=["configuration", "cells", "macs_paper"])


@pytest.fixture(scope="module", params=range(1, 6))
def frame(request, flops):
    return numbers(request.param, CELLS, summary(), flops, DATASETS, RUNS)


def test_a_variant_that_no_paper_prints_has_a_row_of_its_own():
    line = reported.Cell(5, 99, "Ours, joint", "joint", *[""] * 7)
    runs = {name: {**RUNS[name], "joint": "interfit.2"} for name in DATASETS}
    rows = numbers(5, [*CELLS, line], summary(), None, DATASETS, runs)
    own = rows[rows.row == 99]
    assert set(own.source) == {"measured"} and set(own.method) == {"Ours, joint"}
    assert len(rows[rows.source == "reported"]) == (PRINTED.table == 5).sum()
    assert "Ours, joint" in to_latex(rows) and "Ours, joint" in to_markdown(rows)


def test_numbers_of_another_protocol_say_so_and_are_ranked_apart():
    """They chose their epoch on the test set, and saw twice the frames."""
    measured = summary()
    published = measured.run == "interfit.2"
    measured.loc[published, ["protocol", "checkpoint"]] = ["as_published", "test"]
    frame = numbers(1, CELLS, measured, None, DATASETS, RUNS)
    for text, mark in (
        (to_latex(frame), r"{\scriptsize as\_published}"),
        (to_markdown(frame), "*as_p"),
    ):
        assert text.count(mark) >= 4
        assert "same protocol: mean" in text and "as_published protocol: mean" in text
    own = frame[frame.variant.isin(["baseline", "full"]) & (frame.source == "measured")]
    assert set(own[own.variant == "full"].protocol) == {"as_published"}
    ranked = [entry.rank for line in arrange(frame).lines for entry in line.entries if entry]
    alike = numbers(1, CELLS, summary(), None, DATASETS, RUNS)
    before = [entry.rank for line in arrange(alike).lines for entry in line.entries if entry]
    assert before.count(1) - ranked.count(1) == 4  # no best of one


def test_every_printed_number_stands_as_printed(frame):
    table = frame.table.iloc[0]
    expected = PRINTED[PRINTED.table == table]
    reported = frame[frame.source == "reported"]
    keys = ["row", "method", "dataset", "metric", "printed"]
    assert set(reported[keys].itertuples(index=False, name=None)) == set(
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
    first = PRINTED[PRINTED.table == 1]
    assert first.row.nunique() == 24 and len(first) == 102  # cells that are not "–"


def test_latex_is_a_bare_tabular_of_equal_rows(frame):
    latex = to_latex(frame)
    body = [line for line in latex.splitlines() if not line.startswith("%")]
    assert body[0].startswith(r"\begin{tabular}") and body[-1] == r"\end{tabular}"
    columns = len(re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", body[0])[1])
    middle = body.index(r"\midrule")
    rows = body[middle + 1 : body.index(r"\bottomrule")]
    assert len(rows) == frame["row"].nunique()
    assert all(row.count("&") == columns - 1 for row in rows)
    assert "(synthetic)" in latex and "Reported" in latex and "Measured here" in latex


def test_best_is_bold_and_second_underlined_column_by_column(flops):
    frame = numbers(1, CELLS, summary(), flops, DATASETS, RUNS)
    rows = [line for line in to_latex(frame).splitlines() if line.endswith(r"\\")]
    ours = next(line for line in rows if line.startswith("Ours"))
    assert ours.count(r"\textbf{") == 6 + 4
    # LSTPNet has the second UAR of DFEW, DFER-CLIP the second WAR, as the numbers printed say.
    lstpnet = next(line for line in rows if line.startswith("LSTPNet"))
    dferclip = next(line for line in rows if line.startswith("DFER-CLIP"))
    assert r"\underline{60.18}" in lstpnet and r"\underline{71.25}" in dferclip
    assert r"\textbf{71.50}\,$\pm$\,1.25" in ours


def test_markdown_numbers_its_notes(flops):
    frame = numbers(1, CELLS, summary(), flops, DATASETS, RUNS)
    text = to_markdown(frame)
    cited = set(re.findall(r" \[(\d+)\] ", text))
    listed = set(re.findall(r"^- \[(\d+)\] ", text, re.M))
    assert cited == listed and len(listed) >= 5


def test_a_measured_number_has_the_note_of_its_row(flops):
    """Not of the paper's cells there, and not the caption's word for synthetic data."""
    runs = {name: {"resnet_vit": "clip.1", "full": "interfit.2"} for name in DATASETS}
    frame = numbers(1, CELLS, summary(), flops, DATASETS, runs)
    own = frame[(frame.source == "measured") & (frame.variant == "resnet_vit")]
    assert own.note.str.contains("inferred: no shape is published").all()
    assert own.note.str.startswith(SYNTHETIC).tolist() == own.synthetic.tolist()
    text = to_markdown(frame)
    assert len(re.findall(r"^- \[\d+\] inferred: no shape", text, re.M)) == 1
    assert SYNTHETIC not in text
    reported_cells = frame[(frame.source == "reported") & (frame["row"] == 7)]
    assert not reported_cells.note.str.contains("inferred").any()


def test_what_a_configuration_says_of_its_numbers_stands_below_the_table_once(flops):
    remark = "Frames of\n48 pixels.\n"
    frame = numbers(1, CELLS, summary(), flops, DATASETS, RUNS, remark=remark)
    assert set(frame.remark[frame.source == "measured"]) == {remark}
    assert frame.remark[frame.source == "reported"].isna().all()
    for shown in (to_markdown(frame), to_latex(frame)):
        assert shown.count("Frames of 48 pixels.") == 1
    before, _, _ = to_latex(frame).partition(r"\begin{tabular}")
    assert all(line.startswith("%") for line in before.splitlines())


def test_equal_numbers_give_equal_bytes(frame, tmp_path):
    for name in ("a", "b"):
        write_parquet(frame, tmp_path / f"{name}.parquet", NUMBERS)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    again = read_parquet(tmp_path / "a.parquet")
    assert to_latex(again) == to_latex(frame)


def test_a_variant_that_is_not_configured_has_no_measured_cell(flops):
    frame = numbers(1, CELLS, summary(), flops, DATASETS, {"demo": {}, "dfew": {}})
    assert set(frame.source) == {"reported"}
    assert "Measured" not in to_latex(frame)


def test_what_was_measured_is_listed_with_its_spread_and_comparison(flops):
    frame = numbers(1, CELLS, summary(), flops, DATASETS, RUNS)
    text = to_markdown(frame).partition("**What was measured.**")[2]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    heads, *rows = rows
    assert len(rows) == 8 and all(len(row) == len(heads) for row in rows)
    full = next(row for row in rows if row[:3] == ["Ours", "Demo (synthetic)", "UAR"])
    assert full[3:6] == ["71.50 ± 1.25", "69.50 – 73.50", "71.50"]
    assert full[6:8] == ["+1.50 (-0.50 – +3.50)", "0.1250"]
    baseline = next(row for row in rows if row[:3] == ["Baseline", "DFEW", "WAR"])
    assert baseline[6:8] == ["–", "–"]


def test_differences_stand_in_brackets_as_the_paper_prints_them(flops):
    frame = numbers(1, CELLS, summary(), flops, DATASETS, RUNS)
    ours = frame[(frame.variant == "full") & (frame.source == "reported")]
    base = frame[(frame.variant == "baseline") & (frame.source == "reported")]
    assert [f"{x:+.2f}" for x in ours.difference] == [
        cell.difference for cell in CELLS if cell.difference
    ]
    assert ours.difference.tolist() == pytest.approx(ours.value.values - base.value.values)
    assert set(ours.against) == {"Baseline"} and len(ours) == 6
    for text, bold in ((to_latex(frame), r"\textbf{%s}"), (to_markdown(frame), "**%s**")):
        line = next(line for line in text.splitlines() if line.strip("| ").startswith("Ours"))
        for row in ours.itertuples():
            assert f"{bold % row.printed} ({row.difference:+.2f})" in line
        assert line.count("1.25 (+1.50)") == 4  # of what was measured, the same
        assert "In brackets: difference from Baseline, in points." in text


def test_a_loss_stands_in_brackets_too(flops):
    worse = summary().assign(difference=lambda table: -table.difference)
    frame = numbers(1, CELLS, worse, flops, DATASETS, RUNS)
    assert to_latex(frame).count(r"1.25 ($-$1.50)") == 4
    assert to_markdown(frame).count("1.25 (-1.50)") == 4


def test_no_other_table_has_brackets_nor_rows_that_are_compared_with_another(frame, flops):
    if frame.table.iloc[0] > 1:
        assert "(+" not in to_latex(frame) and "In brackets" not in to_markdown(frame)
    else:  # what stands against other runs than those of the paper's Baseline
        other = summary().assign(against=lambda table: table.against.replace("clip.1", "other.9"))
        shown = to_latex(numbers(1, CELLS, other, flops, DATASETS, RUNS))
        assert "1.25 (+1.50)" not in shown and "(+2.57)" in shown


def test_a_table_of_ours_is_compared_with_its_first_row_and_reports_nothing():
    assert reported.of_the_paper(CELLS) == {1, 2, 3, 4, 5} < set(reported.variants(CELLS))
    runs = {name: {"full": "clip.1", "prior": "interfit.2"} for name in DATASETS}
    frame = numbers(6, CELLS, summary(), None, DATASETS, runs)
    assert set(frame.source) == {"measured"} and set(frame.variant) == {"full", "prior"}
    for text in (to_latex(frame), to_markdown(frame)):
        assert text.count("1.25 (+1.50)") == 4
        assert "In brackets: difference from The paper's model, in points." in text
        assert "Reported" not in text and "IJCB" not in text
    with pytest.raises(UserError, match="Table 6: nothing of it is printed or measured"):
        numbers(6, CELLS, summary(), None, DATASETS, {name: {} for name in DATASETS})


def test_a_tuned_variant_stands_below_the_paper_s_rows(flops):
    runs = {name: RUNS[name] | {"full_tuned": "tuned.3"} for name in DATASETS}
    tuned = summary().query("run == 'interfit.2'").assign(run="tuned.3", value=73.25)
    found = pd.concat([summary(), tuned])
    frame = numbers(2, CELLS, found, flops, DATASETS, runs, {"full_tuned": "full"})
    rows = frame[frame.variant == "full_tuned"]
    assert set(rows.row) == {5} and set(rows.method) == {"InterFIT+MSTA+BiEhPro, tuned"}
    assert set(rows.source) == {"measured"} and set(rows.value) == {73.25}


def test_a_tuned_variant_with_a_line_of_its_own_stands_there_alone(flops):
    runs = {name: RUNS[name] | {"full_tuned": "tuned.3"} for name in DATASETS}
    found = pd.concat([summary(), summary().query("run == 'interfit.2'").assign(run="tuned.3")])
    (line, *_) = [cell for cell in CELLS if cell.table == 1 and cell.variant == "full"]
    cells = [*CELLS, line._replace(row=99, method="Mine", variant="full_tuned", value="")]
    for base in ("full", "not in this table"):
        frame = numbers(1, cells, found, flops, DATASETS, runs, {"full_tuned": base})
        rows = frame[frame.variant == "full_tuned"]
        assert set(rows.row) == {99} and set(rows.method) == {"Mine"}


def test_the_stage_writes_three_files(flops, tmp_path):
    write_parquet(summary(), tmp_path / "summary.parquet", SUMMARY)
    write_parquet(flops, tmp_path / "flops.parquet")
    datasets = {name: dataset._asdict() for name, dataset in DATASETS.items()}
    words = ["--table", "2", "--reported", ROOT / "config/reported.csv"]
    words += ["--summary", tmp_path / "summary.parquet", "--flops", tmp_path / "flops.parquet"]
    words += ["--datasets", json.dumps(datasets), "--runs", json.dumps(RUNS)]
    words += ["--out-stem", tmp_path / "made/table2"]
    table.main(table.parser().parse_args(list(map(str, words))))
    made = read_parquet(tmp_path / "made/table2.parquet")
    assert made.columns.tolist() == NUMBERS.names
    assert (tmp_path / "made/table2.tex").read_text() == to_latex(made)
    assert (tmp_path / "made/table2.md").read_text() == to_markdown(made)


def test_latex_s_own_characters_are_escaped():
    assert escape(r"50 % & a_b #1 $x$ {y} ~ ^ \ ±") == (
        r"50 \% \& a\_b \#1 \$x\$ \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{} $\pm$"
    )


def test_every_column_is_documented():
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/tables.md").read_text(), re.M)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(NUMBERS.names)
