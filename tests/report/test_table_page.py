"""The page of a table: all its numbers, and in a real browser what is in view, sorts and folds."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from browser import browser

from dfer.files import write_parquet
from dfer.report import table_page
from dfer.tables import reported
from dfer.tables.numbers import NUMBERS, Dataset, numbers
from dfer.tables.summary import SUMMARY

ROOT = Path(__file__).parents[2]
DATASETS = {
    "demo": Dataset("Demo", synthetic=True),
    "dfew": Dataset("DFEW"),
    "ferv39k": Dataset("FERV39k"),
    "mafw": Dataset("MAFW"),
}
WITHOUT = 5  # this row has no measured number


def filled(count):
    """Table 1 with thirty rows, 29 of them measured on the first `count` datasets."""
    printed = reported.read(ROOT / "config/reported.csv")
    cells = [cell for cell in printed if cell.table == 1 and cell.value]
    cells = [cell._replace(variant=f"v{cell.row}") for cell in cells]
    blank = [""] * 5
    cells += [
        reported.Cell(1, row, f"Method {row} <i>, as published", f"v{row}", "", "CLIP", *blank)
        for row in range(25, 31)
    ]
    datasets = dict(list(DATASETS.items())[:count])
    rows, runs = [], {name: {} for name in datasets}
    for name in datasets:
        for row in sorted({cell.row for cell in cells} - {WITHOUT}):
            key = runs[name][f"v{row}"] = f"interfit+msta+biehpro2.{row:08x}"
            protocol = ("as_published", "test") if row > 24 else ("", "last")
            other = f"interfit+msta+biehpro2.{23:08x}"  # of the Baseline
            against = (other, 1.5, -0.5, 3.5, 0.125) if row != 23 else (None,) * 5
            for metric in ("UAR", "WAR"):
                value = 9 + row * 7 % 31 + (metric == "WAR") / 3  # from 9 to 39: not as words sort
                measured = (value, 1.25, value - 2, value + 2, value, 5, 3, 2340)
                rows.append((name, key, *protocol, metric, *measured, *against))
    summary = pd.DataFrame(rows, columns=SUMMARY.names)
    return numbers(1, cells, summary, None, datasets, runs)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Number of datasets measured → the page."""
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for count in range(5):
        source, made[count] = folder / f"{count}.parquet", folder / f"{count}.html"
        write_parquet(filled(count), source, NUMBERS)
        words = [str(source), "--title", "Table 1", "--out", str(made[count])]
        table_page.main(table_page.parser().parse_args(words))
    return made


class Tables(HTMLParser):
    """The rows of each table: texts of cells, where they lead, and the row's id."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.ids, self.links, self.cell = [], {}, {}, False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
            self.ids[attrs.get("id")] = self.tables[-1][-1]
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.cell = True
        if tag == "a":
            row = self.tables[-1][-1]
            self.links[row[0], len(row) - 1] = attrs["href"].removeprefix("#")

    def handle_endtag(self, tag):
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data):
        if self.cell:
            self.tables[-1][-1][-1] += data


def test_measured_numbers_stand_beside_the_method_and_reported_ones_behind(pages):
    main = Tables(pages[2].read_text()).tables[0]
    assert main[0] == ["Method", "Measured here", "Reported by the paper", "Backbone"]
    assert main[1] == ["Demo (synthetic)", "DFEW", "DFEW", "FERV39k", "MAFW"]
    assert main[2] == ["UAR", "WAR"] * 5
    ours = next(row for row in main if row[0] == "Ours")
    assert ours[1] == ours[3] == "22.00 ± 1.25 (+1.50)"
    assert ours[5:7] == ["60.85 (+2.57)", "72.58 (+2.62)"] and ours[-1] == "CLIP"
    assert next(row for row in main if row[0].startswith("R(2+1)D18"))[1:5] == ["–"] * 4


def test_every_number_of_the_table_stands_on_its_page(pages):
    frame, main = filled(4), Tables(pages[4].read_text()).tables[0]
    assert len(main) == 3 + 30
    shown = [cell for row in main[3:] for cell in row[1:-1] if cell != "–"]
    expected = [
        r.printed if r.source == "reported" else f"{r.value:.2f}" for r in frame.itertuples()
    ]
    assert sorted(cell.split()[0] for cell in shown) == sorted(expected)
    assert sum("as_published" in cell for cell in shown) == 6 * 8


def test_a_measured_number_leads_to_its_runs(pages):
    page = Tables(pages[1].read_text())
    row = page.ids[page.links["Ours", 1]]
    folder = f"results/demo/runs/interfit+msta+biehpro2.{24:08x}/"
    assert row == ["Ours", "Demo (synthetic)", "same as all", "last", "5", "3", "2340", folder]
    other = page.ids[page.links["Method 25 <i>, as published", 2]]
    assert other[2:4] == ["as_published", "test"]


def test_synthetic_numbers_are_called_so_in_every_table(pages):
    main, runs, compared = Tables(pages[2].read_text()).tables
    assert "Demo (synthetic)" in main[1]
    for table in (runs, compared):
        names = {row[1] for row in table[1:]}
        assert names == {"Demo (synthetic)", "DFEW"}
    assert "say nothing of the paper" in pages[2].read_text()


def test_a_table_without_measurements_has_nothing_to_fold_or_to_lead_to(pages):
    text = pages[0].read_text()
    assert len(Tables(text).tables) == 1
    assert 'id="fold"' not in text and "Runs behind" not in text


def test_a_page_is_one_file_of_equal_bytes(pages, tmp_path):
    write_parquet(filled(3), tmp_path / "again.parquet", NUMBERS)
    words = [str(tmp_path / "again.parquet"), "--title", "Table 1", "--out"]
    table_page.main(table_page.parser().parse_args([*words, str(tmp_path / "again.html")]))
    assert (tmp_path / "again.html").read_bytes() == pages[3].read_bytes()
    assert not re.search(r"https?:|src=|<link|@import", pages[3].read_text())


# ── In a browser ────────────────────────────────────────────────────────────────────────────────

in_a_browser = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
NAMES = "[...document.querySelector('tbody').rows].map(r => r.cells[0].textContent)"
WAR = "document.querySelectorAll('thead [data-column]')[3]"  # of the first dataset
RESTORE = "document.querySelector('.order')"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


def column(page, number):
    """The numbers of a column of the first table, from its first row on; None where is none."""
    cells = f"[...document.querySelector('tbody').rows].map(r => r.cells[{number}].dataset.value)"
    return [value and float(value) for value in page(f"{cells}.map(v => v ?? null)")]


def sides(page, selector):
    """Left and right edges of all elements of the first table that a selector finds."""
    found = f"[...document.querySelector('table').querySelectorAll('{selector}')]"
    return page(f"{found}.map(e => (b => [b.left, b.right])(e.getBoundingClientRect()))")


@in_a_browser
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_methods_and_measured_numbers_are_in_view(chromium, pages, count):
    chromium.open(pages[count], width=1280)
    cells = sides(chromium, "tbody td.measured")
    assert len(cells) == 30 * 2 * count
    for left, right in [*cells, *sides(chromium, "tbody th")]:
        assert 0 <= left < right <= 1280
    assert chromium("document.documentElement.scrollWidth") <= 1280
    assert chromium("document.querySelector('.wide').scrollTop") == 0


@in_a_browser
def test_methods_and_heads_stay_in_view(chromium, pages):
    chromium.open(pages[4], width=900)
    frame, place = "document.querySelector('.wide')", "getBoundingClientRect()"
    chromium(f"{frame}.scrollTo(400, 300)")
    assert chromium(f"[{frame}.scrollLeft, {frame}.scrollTop]") == [400, 300]
    left, top = chromium(f"(b => [b.left, b.top])({frame}.{place})")
    assert {side for side, _ in sides(chromium, ".name")} == {left}
    assert chromium(f"document.querySelector('thead').{place}.top") == top
    seen = "document.elementFromPoint({}, {}).closest('th').textContent"
    head = chromium(f"document.querySelector('thead').{place}.bottom")
    assert chromium(seen.format(left + 20, head + 100)) in chromium(NAMES)
    assert chromium(seen.format(left + 20, head - 8)) == "Method"


@in_a_browser
def test_columns_sort_by_click_and_their_order_comes_back(chromium, pages):
    chromium.open(pages[2])
    paper = chromium(NAMES)
    assert chromium(f"{WAR}.ariaSort") == "none"
    for expected in ("descending", "ascending"):
        chromium.click(f"{WAR}.querySelector('button')")
        assert chromium(f"{WAR}.ariaSort") == expected
        assert (
            chromium(
                "document.querySelector('table').querySelectorAll('[aria-sort$=ending]').length"
            )
            == 1
        )
        *values, last = column(chromium, 2)
        assert last is None and len(values) == 29
        assert values == sorted(values, reverse=expected == "descending")
    chromium.click(RESTORE)
    assert chromium(NAMES) == paper and chromium(f"{WAR}.ariaSort") == "none"


@in_a_browser
def test_columns_sort_by_keyboard(chromium, pages):
    chromium.open(pages[2])
    paper = chromium(NAMES)
    chromium(f"{WAR}.querySelector('button').focus()")
    chromium.press("Enter")
    assert chromium(f"{WAR}.ariaSort") == "descending"
    chromium.press(" ")
    assert chromium(f"{WAR}.ariaSort") == "ascending"
    assert chromium(f"{WAR}.contains(document.activeElement)")
    chromium("document.querySelector('thead button').focus()")  # words: from A to Z
    chromium.press("Enter")
    initials = [name[0].casefold() for name in chromium(NAMES)]
    assert initials == sorted(initials) and initials[0] == "3"
    chromium(f"{RESTORE}.focus()")
    chromium.press("Enter")
    assert chromium(NAMES) == paper and chromium(f"document.activeElement === {RESTORE}")


@in_a_browser
@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_reported_columns_fold_and_the_page_says_how_many(chromium, pages, script):
    chromium.open(pages[2], script=script)
    shown = "[...document.querySelectorAll('.reported')].filter(e => e.offsetWidth).length"
    said = "(e => e.offsetWidth ? e.innerText : '')(document.querySelector('.folded'))"
    unfolded = chromium(shown)
    assert unfolded == 30 * 6 + 1 + 3 + 6 and chromium(said) == ""
    chromium.click("document.querySelector('label')")
    assert chromium(shown) == 0 and chromium(said) == "6 reported columns folded."
    chromium.press(" ")  # the box has the focus
    assert chromium(shown) == unfolded and chromium(said) == ""


@in_a_browser
@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_a_click_on_a_number_shows_its_runs(chromium, pages, script):
    chromium.open(pages[3], script=script)
    chromium.click("document.querySelectorAll('tbody td.measured a')[18]")
    chromium.wait("document.querySelector('tr:target')")
    row = "document.querySelector('tr:target')"
    chromium.wait(f"(t => t >= 0 && t < 800)({row}.getBoundingClientRect().top)")
    top, bottom, heads = chromium(
        f"(r => [r.getBoundingClientRect().top, r.getBoundingClientRect().bottom,"
        f" r.closest('table').tHead.getBoundingClientRect().bottom])({row})"
    )
    assert heads <= top < bottom <= 800
    text = chromium(f"{row}.innerText")
    assert "results/demo/runs/interfit+msta+biehpro2.00000004/" in text
    edges = chromium(f"[...{row}.cells].map(c => c.getBoundingClientRect().right)")
    assert max(edges) <= 1280


@in_a_browser
def test_without_a_script_all_but_sorting_is_there(chromium, pages):
    chromium.open(pages[2], script=False)
    assert chromium("document.querySelectorAll('button').length") == 0
    assert chromium("document.querySelector('table').innerText").count("±") == 29 * 4
    assert all(right <= 1280 for _, right in sides(chromium, "td.measured"))


@in_a_browser
def test_a_phone_shows_the_first_measured_numbers_beside_the_methods(chromium, pages):
    chromium.open(pages[3], width=390)
    assert chromium("document.documentElement.scrollWidth") <= 390
    assert all(right <= 390 for _, right in sides(chromium, "tbody td.measured:nth-child(3)"))
