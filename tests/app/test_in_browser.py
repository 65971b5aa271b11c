"""The page in a real browser, on real files: what a user does, and that nobody else is asked."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from urllib.parse import urlsplit

import pandas as pd
import pytest
from small_results import small_results

from dfer.files import read_parquet, write_parquet

CHROMIUM = shutil.which("chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("gradio") is None, reason="needs Gradio (pip install -e '.[app]')"
    ),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)"),
]
expect = playwright.expect
expect.set_options(timeout=20_000)  # milliseconds, on a machine that is busy

# The server, which notes whom it calls outside this machine.
SERVER = """
import sys

def called(event, args):
    if event in ("socket.getaddrinfo", "socket.connect"):
        host = args[0] if event == "socket.getaddrinfo" else args[1][0]
        if host not in (None, "127.0.0.1", "localhost", "::1"):
            print("CALLED", event, host, flush=True)

sys.addaudithook(called)
from dfer.__main__ import main
main(["app", *sys.argv[1:]])
"""
FINDING = 60_000  # milliseconds


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


NOBODY = "http://127.0.0.1:9"  # a proxy, as on a cluster's nodes, that does not answer


@pytest.fixture(scope="module")
def server(run_folder, tmp_path_factory):
    """Its address, and the folder in which it keeps its temporary one; its terminal is closed."""
    folder = tmp_path_factory.mktemp("server")
    small_results(folder / "results")
    (folder / "tmp").mkdir()
    port = free_port()
    words = ["--run", run_folder, "--results", folder / "results", "--port", port]
    words += ["--max-megabytes", 1, "--max-seconds", 20]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, *map(str, words)],
            env=os.environ | {"TMPDIR": str(folder / "tmp"), "http_proxy": NOBODY},
            stdout=log,
            stderr=subprocess.STDOUT,
            # As in a terminal, also where these tests run under nohup.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
    try:
        end = time.monotonic() + 120
        while "The page" not in (text := (folder / "log").read_text()):
            assert process.poll() is None and time.monotonic() < end, text
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", folder
    finally:
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=30) == 130
    text = (folder / "log").read_text()
    assert "CALLED" not in text and "Traceback" not in text, text
    assert not list((folder / "tmp").glob("dfer-app-*"))


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, server):
    """Open the page at a width; what it asks of others, or an error in a script, fails the test."""
    contexts, asked, errors = [], [], []

    def open_at(width):
        context = chromium.new_context(viewport={"width": width, "height": 844})
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server[0])
        expect(page.get_by_role("button", name="Find expressions")).to_be_visible()
        contexts.append(context)
        return page

    yield open_at
    for context in contexts:
        context.close()
    outside = [
        url
        for url in asked
        if urlsplit(url).scheme not in ("data", "blob") and not url.startswith(server[0])
    ]
    assert outside == [] and errors == [] and asked


def drop(page, video):
    page.locator("#video input[type=file]").set_input_files(video)
    expect(page.locator("#video video")).to_be_visible()


def find(page, video):
    drop(page, video)
    page.get_by_role("button", name="Find expressions").click()
    expect(page.locator("#frames img").first).to_be_visible(timeout=FINDING)


def cells(page, table):
    """The texts of a table's rows, six columns each."""
    texts = page.locator(table).get_by_role("gridcell").all_inner_texts()
    return [[text.strip() for text in texts[n : n + 6]] for n in range(0, len(texts), 6)]


def kept(server):
    """Files of users that the server keeps."""
    return sorted(p.name for p in (server[1] / "tmp").glob("dfer-app-*/*/*") if p.is_file())


def fits(page):
    """Nothing is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_video_is_read_and_its_table_downloaded(open_page, server, videos, tmp_path):
    page = open_page(1280)
    find(page, videos / "face.mp4")
    expect(page.locator("#frames img")).to_have_count(2 * 8)
    expect(page.locator("#summary")).to_contain_text("10.00 s, a face in 40 of 40 frames")
    assert page.locator("#overlay video").evaluate(
        "v => new Promise(done => { const ready = () => v.videoWidth && done([v.videoWidth, "
        "v.videoHeight, v.duration]); v.addEventListener('loadedmetadata', ready); ready(); })"
    ) == [200, 200, 10]
    with page.expect_download() as waiting:
        page.locator("#csv").click()
    waiting.value.save_as(tmp_path / "found.csv")
    found = pd.read_csv(tmp_path / "found.csv")
    assert found.file.tolist() == ["face.mp4"] * 3 and found.window.tolist() == [0, 1, 2]
    shown = cells(page, "#windows")
    top = found.filter(like="probability_").max(axis=1)
    assert [row[3] for row in shown] == found.label.tolist()
    assert [float(row[4]) for row in shown] == top.round(3).tolist()
    assert "face.mp4" in kept(server)
    page.get_by_role("button", name="Clear").first.click()
    expect(page.locator("#frames")).to_be_hidden()
    assert kept(server) == []


def test_another_window_is_chosen_in_the_table_or_by_keys(open_page, videos):
    page = open_page(1280)
    find(page, videos / "face.mp4")
    expect(page.locator("#frames figcaption").first).to_have_text("0.25 s")
    page.locator("#windows").get_by_role("gridcell").nth(6).click()
    expect(page.locator("#frames figcaption").first).to_have_text("4.25 s")
    page.locator("#pick input").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#frames figcaption").first).not_to_have_text("4.25 s")


def test_files_go_when_the_page_is_closed(open_page, server, videos):
    page = open_page(1280)
    find(page, videos / "face.mp4")
    assert {"face.mp4", "predictions.csv"} <= set(kept(server))
    page.close()
    end = time.monotonic() + 20
    while kept(server):
        assert time.monotonic() < end, kept(server)
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (None, "Drop a video first, or record one."),
        ("blank.mp4", "blank.mp4 cannot be used: no face found in any of the 8 frames."),
        ("long.mp4", "long.mp4 is 40 seconds long, and 20 are allowed here."),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(open_page, videos, name, said):
    page = open_page(1280)
    if name:
        drop(page, videos / name)
    page.get_by_role("button", name="Find expressions").click()
    expect(page.get_by_role("alert").filter(has_text=said)).to_be_visible(timeout=FINDING)
    expect(page.locator("#frames")).to_be_hidden()


def test_a_file_that_is_too_large_is_refused_before_it_is_kept(open_page, server, tmp_path):
    page = open_page(1280)
    (tmp_path / "large.mp4").write_bytes(bytes(2_000_000))
    page.locator("#video input[type=file]").set_input_files(tmp_path / "large.mp4")
    expect(page.get_by_text(re.compile("exceed the maximum allowed size"))).to_be_visible()
    assert "large.mp4" not in kept(server)


def test_a_number_leads_to_its_runs_curves_confusions_and_wrong_clips(open_page):
    page = open_page(1280)
    page.get_by_role("tab", name="Tables").click()
    number = page.locator("td.measured a").first
    expect(number).to_have_text("66.67")
    number.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Ours on Demo (synthetic)")).to_be_focused(
        timeout=FINDING
    )
    for name in ("Learning curves", "Confusion matrix"):
        picture = page.get_by_role("img", name=name)
        assert picture.evaluate("img => img.decode().then(() => img.naturalWidth)") > 200
    wrong = page.locator("#wrong").get_by_role("gridcell")
    expect(wrong).to_have_count(4 * 6)
    assert cells(page, "#wrong")[0] == ["2", "0", "f2-clip5", "neutral", "happy", "0.987"]
    page.get_by_role("button", name="Back to the table").click()
    expect(number).to_be_visible()
    expect(page.locator("#wrong")).to_be_hidden()
    number.click()  # the same one again
    expect(wrong).to_have_count(4 * 6, timeout=FINDING)


def test_every_table_sorts_as_in_the_report(open_page, server):
    first = server[1] / "results/table1.parquet"
    second = first.with_name("table2.parquet")
    write_parquet(read_parquet(first).assign(table=2), second)
    try:
        page = open_page(1280)
        page.get_by_role("tab", name="Tables").click()
        for name in ("Table 1", "Table 2", "Table 1"):
            page.get_by_role("radio", name=name).check()
            table = page.get_by_role("region", name=name).locator("table")
            expect(table.locator("tbody th").first).to_contain_text("C3D")
            page.get_by_role("button", name="UAR").first.click()
            expect(table.locator("tbody th").first).to_have_text("Ours")
    finally:
        second.unlink()


def test_without_tables_the_command_is_told(open_page, server):
    table = server[1] / "results/table1.parquet"
    table.rename(table.with_name("aside"))
    try:
        page = open_page(1280)
        page.get_by_role("tab", name="Tables").click()
        expect(page.get_by_text("snakemake --cores all results/table1.tex")).to_be_visible()
    finally:
        table.with_name("aside").rename(table)


def test_a_phone_reads_all_of_it(open_page, videos):
    page = open_page(390)
    find(page, videos / "face.mp4")
    assert fits(page)
    face = page.locator("#frames img").first.bounding_box()
    assert face["width"] > 60 and face["x"] >= 0
    page.get_by_role("tab", name="Tables").click()
    expect(page.locator("td.measured a").first).to_be_visible()
    assert fits(page)
    page.locator("td.measured a").first.click()
    expect(page.locator("#wrong").get_by_role("gridcell").first).to_be_visible(timeout=FINDING)
    assert fits(page)
