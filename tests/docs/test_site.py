"""The documentation as a site: built strictly, read without a network, searched in a folder."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

import pytest
from browser import browser
from checkout import ROOT

from dfer.__main__ import MODULES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("mkdocstrings"), reason="`make docs` installs MkDocs"),
]
REPOSITORY = "https://example.org/dfer"


class Links(HTMLParser):
    """What a page fetches, where it leads, and the ids that it has."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.led, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids.add(values.get("id"))
        if tag == "a":
            self.led.append(values.get("href", "#"))
        elif tag == "link" and values.get("rel") in ("canonical", "prev", "next"):
            pass
        else:
            self.fetched += [values[key] for key in ("src", "href") if values.get(key)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site. Every warning of MkDocs is an error: links, headings, lost pages."""
    folder = tmp_path_factory.mktemp("site")
    environment = os.environ | {"REPOSITORY_URL": REPOSITORY, "NO_MKDOCS_2_WARNING": "1"}
    pages = [sys.executable, "docs/pages.py", str(folder / "pages")]
    subprocess.run(pages, cwd=ROOT, env=environment, check=True)
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config = config.replace("paths: [src]", f"paths: [{ROOT / 'src'}]")
    (folder / "mkdocs.yml").write_text(
        config.replace("docs_dir: site/pages", "docs_dir: pages").replace("site/html", "html")
    )
    build = [sys.executable, "-m", "mkdocs", "build", "-f", str(folder / "mkdocs.yml")]
    done = subprocess.run(build, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def links(site):
    return {page: Links(page.read_text(encoding="utf-8")) for page in site.glob("*.html")}


def test_a_page_fetches_nothing_from_outside(site, links):
    for page, found in links.items():
        for target in found.fetched:
            assert not urlsplit(target).netloc, f"{page.name}: {target}"
            if page.name != "404.html" and not target.startswith("data:"):
                assert (site / unquote(urlsplit(target).path)).exists(), f"{page.name}: {target}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?https?:", style.read_text(encoding="utf-8")), style


def test_links_lead_to_headings_that_there_are_and_to_files_of_the_repository(site, links):
    of_repository = 0
    for page, found in links.items():
        if page.name == "404.html":
            continue
        for target in found.led:
            url = urlsplit(target)
            if target.startswith(f"{REPOSITORY}/blob/HEAD/"):
                of_repository += 1
                assert (ROOT / unquote(url.path.split("/HEAD/")[1])).exists(), target
            elif not url.netloc:
                other = site / unquote(url.path) if url.path else page
                assert other.exists(), f"{page.name}: {target}"
                if url.fragment and other in links:
                    assert unquote(url.fragment) in links[other].ids, f"{page.name}: {target}"
    assert of_repository > 10  # of "Follow one clip"


def test_every_command_has_its_help(links):
    [page] = [found for page, found in links.items() if page.name == "commands.html"]
    assert {f"dfer-{name}" for name in MODULES} <= page.ids


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_it_is_searched_in_a_folder_without_a_server(site, tmp_path):
    with browser(tmp_path) as page:
        page.open(site / "index.html")
        page("document.querySelector('[for=__search]').click()")
        page.wait("document.activeElement.matches('.md-search__input')")
        page.call("Input.insertText", text="landmarks")
        page.press(" ")
        page.wait("document.querySelectorAll('.md-search-result__item').length > 3")
        assert "Commands" in page("document.querySelector('.md-search-result').innerText")


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_pages_fit_a_telephone(site, links, tmp_path):
    with browser(tmp_path) as page:
        for path in links:
            page.open(path, width=390)
            assert page("document.documentElement.scrollWidth") <= 390, path.name
