"""Code digests: what an edit changes and what it leaves alone."""

import subprocess
import sys
import textwrap

import pytest
from checkout import ROOT

from dfer import provenance
from dfer.errors import UserError
from dfer.settings import OWN, ModelSettings, RunSettings, methods, unused_modules

SOURCE = '''
"""A module."""

import math


def area(radius: float) -> float:
    """Of a circle."""
    return math.pi * radius**2
'''


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """The stamp that a text has as the module `m` of a project of its own."""
    monkeypatch.setattr(provenance, "SOURCE", tmp_path)

    def forget():
        for function in (provenance.stamp, provenance._read, provenance._file):
            function.cache_clear()

    def digest(text):
        (tmp_path / "m.py").write_text(textwrap.dedent(text))
        forget()
        return provenance.stamp("m")

    yield digest
    forget()


@pytest.mark.parametrize(
    "edited",
    [
        SOURCE.replace('"""Of a circle."""', '"""Of a circle, in m²."""'),
        SOURCE.replace('    """Of a circle."""\n', ""),
        SOURCE.replace("import math", "# the library\nimport math\n\n"),
        SOURCE.replace("math.pi * radius**2", "(\n        math.pi\n        * radius ** 2\n    )"),
        SOURCE.replace('"""A module."""', ""),
    ],
)
def test_comments_docstrings_and_format_are_no_change(digest_of, edited):
    assert edited != SOURCE
    assert digest_of(edited) == digest_of(SOURCE)


@pytest.mark.parametrize(
    "edited",
    [
        SOURCE.replace("radius**2", "radius**3"),
        SOURCE.replace("import math", "import math as math"),
        SOURCE.replace("radius: float", "radius: int"),
        SOURCE + "\nTWO = 2\n",
        SOURCE.replace('    """Of a circle."""\n', '    """Of a circle."""\n    "a value"\n'),
    ],
)
def test_code_is_a_change(digest_of, edited):
    assert digest_of(edited) != digest_of(SOURCE)


STAGES = [
    ".".join(file.relative_to(ROOT / "src").with_suffix("").parts)
    for file in sorted((ROOT / "src/dfer").rglob("*.py"))
    if "__main__" in file.read_text(encoding="utf-8")
]


@pytest.mark.slow
def test_the_static_closure_covers_what_is_really_imported():
    """Import each stage in a process of its own: every module of ours that is loaded is stamped."""
    program = """
import importlib, os, sys
import matplotlib.pyplot, open_clip, optuna, pandas, sklearn.manifold, torch  # once for all
for stage in sys.argv[1:]:
    if (child := os.fork()) == 0:
        importlib.import_module(stage)
        print(stage, *(n for n in sys.modules if n == "dfer" or n.startswith("dfer.")), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, stage
"""
    command = [sys.executable, "-c", program, *STAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(STAGES) > 30
    for stage, *loaded in map(str.split, done.stdout.splitlines()):
        expected = {*provenance.modules(stage), *provenance.VIEWS, "dfer.__main__"}
        assert set(loaded) <= expected, stage


def test_a_module_that_is_no_python_is_named_with_its_line(digest_of):
    with pytest.raises(UserError, match=r"m\.py, line 3: not Python \(.*\). Mend it"):
        digest_of("a = 1\n\nb = = 2\n")


def test_what_is_kept_of_a_module_is_of_its_very_source(digest_of, tmp_path, monkeypatch):
    """A second process finds it without parsing; another source, or a torn file, is parsed."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    first, other = digest_of(SOURCE), digest_of(SOURCE + "\nTWO = 2\n")
    (kept,) = tmp_path.glob("__pycache__/*.stamp")
    of_other = kept.read_bytes()
    assert digest_of(SOURCE) == first != other

    kept.write_bytes(of_other)
    assert digest_of(SOURCE) == first  # of another source
    kept.write_bytes(kept.read_bytes()[:20])
    assert digest_of(SOURCE) == first  # torn

    with monkeypatch.context() as patch:
        patch.setattr(provenance.ast, "parse", None)
        assert digest_of(SOURCE) == first
        patch.setattr(provenance, "_own_source", lambda: b"another way to digest")
        with pytest.raises(TypeError):
            digest_of(SOURCE)
    kept.unlink()
    kept.parent.rmdir()
    kept.parent.write_text("not a folder, so nothing can be kept")
    assert digest_of(SOURCE) == first


def test_modules_follow_the_variant():
    baseline = RunSettings(model=ModelSettings(interfit=False, aggregation="mean", blocks=0))
    for settings, used in ((baseline, False), (RunSettings(), True)):
        stages = ("dfer.training.train", settings.model.module)
        modules = provenance.modules(*stages, without=unused_modules(settings))
        for name in ("interfit", "msta", "biehpro"):
            assert (f"dfer.models.{name}" in modules) == used
        assert "dfer.models.vit" in modules


def test_a_run_hangs_on_a_choice_of_frames_and_a_tower_that_it_has():
    freq_hd = {"model": {"method": "freq_hd"}, "train": {"sampler": "freq_hd"}}
    for values, selects, has_clip in ((freq_hd, True, False), ({}, False, True)):
        settings = RunSettings.from_dict(values)
        stages = ("dfer.training.train", settings.model.module)
        modules = provenance.modules(*stages, without=unused_modules(settings))
        assert ("dfer.clips.freq_hd" in modules) == selects
        for name in ("vit", "clip_method", "mlp"):
            assert (f"dfer.models.{name}" in modules) == has_clip


def test_modules_follow_the_method():
    """A run hangs on its own method's files and on those that it shares with others."""
    peers = {f"dfer.models.peers.{name}" for name in methods() if name != OWN}
    shared = {"coop", "cocoop", "dfer_clip", "cliper"}
    for name in methods():
        settings = RunSettings.from_dict({"model": {"method": name}})
        modules = provenance.modules("dfer.training.train", settings.model.module)
        assert peers & set(modules) == peers & {settings.model.module}
        assert ("dfer.models.recogniser" in modules) == (name == OWN)
        assert ("dfer.models.peers.prompt_learner" in modules) == (name in shared)
        assert ("dfer.methods.coop" in modules) == (name == "coop")


def test_tables_start_without_torch():
    program = (
        "import sys, dfer.tables.table, dfer.tables.summary, dfer.prepare.manifest; "
        "import dfer.prepare.splits, dfer.dag.configuration, dfer.settings; "
        "[dfer.settings.method_settings(name)() for name in dfer.settings.methods()]; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'open_clip', 'cv2', 'decord')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_demos_clip_does_not_hang_on_the_papers_modules():
    """Else an edit of MSTA would pretrain anew, and so retrain every variant on the demo."""
    used = provenance.modules("dfer.demo.pretrain")
    for module in ("interfit", "msta", "biehpro", "recogniser"):
        assert f"dfer.models.{module}" not in used
    assert not {"dfer.training.train", "dfer.training.evaluate", "dfer.training.text"} & set(used)


def test_the_demos_pictures_do_not_hang_on_how_they_are_shown():
    assert "dfer.demo.contact_sheet" not in provenance.modules("dfer.demo.render")
    assert "dfer.demo.render" not in provenance.modules("dfer.demo.contact_sheet")
