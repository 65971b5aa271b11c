"""The house: imports only go down, a flag has one meaning, one quoted flag stands on a line."""

import argparse
import ast
import re
import subprocess
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest
from checkout import ROOT

SOURCE = ROOT / "src"
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))

GROUND = (
    "errors",
    "files",
    "arguments",
    "video_settings",
    "methods",
    "settings",
    "provenance",
    "why",
)
LIBRARIES = ("datasets", "faces", "clips", "models")
PACKAGES = (  # each may import what stands left of it
    *("prepare", "check", "training", "analysis", "figures", "tuning"),
    *("tables", "report", "demo", "predict", "app", "sharing", "dag", "__main__"),
    "completion",
)


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_name(file): file for file in sorted((SOURCE / "dfer").rglob("*.py"))}
TREES = {name: ast.parse(file.read_bytes()) for name, file in FILES.items()}
COMMANDS = ("dfer.dag.gpu", "dfer.why")  # they hand their words to another program
STAGES = [
    name
    for name, file in FILES.items()
    if '__name__ == "__main__"' in file.read_text("utf-8") and name not in COMMANDS
]


def imported(name: str) -> set[str]:
    """Modules of ours that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {module for module in found if module in FILES and module != "dfer"}


def rank(module: str) -> int:
    package = module.split(".")[1]
    if package in GROUND:
        return 0
    return 1 if package in LIBRARIES else 2 + PACKAGES.index(package)


def test_every_module_has_its_place():
    tops = {name.split(".")[1] for name in FILES if name != "dfer"}
    assert tops == {*GROUND, *LIBRARIES, *PACKAGES}


def test_imports_only_go_down():
    upward = [
        f"{name} → {other}"
        for name in FILES
        if name != "dfer"
        for other in imported(name)
        if rank(other) > rank(name)
    ]
    assert upward == []


def test_no_module_imports_itself_by_way_of_others():
    def reached(name, path):
        assert name not in path, " → ".join([*path, name])
        for other in imported(name) - finished:
            reached(other, [*path, name])
        finished.add(name)

    finished: set[str] = set()
    for name in FILES:
        reached(name, [])


def test_a_rule_file_calls_only_its_own_package():
    """But for the wrapper that hands out GPUs."""
    for rules in RULES:
        called = set(re.findall(r"python -m (dfer\.[\w.]+)", rules.read_text(encoding="utf-8")))
        packages = {module.split(".")[1] for module in called - {"dfer.dag.gpu"}}
        assert packages <= {rules.stem}, rules.name
        assert all(module in FILES for module in called)


def test_rules_quote_by_q_alone():
    """A value that a user chooses is never quoted by hand, and one flag stands on a line."""
    for rules in RULES:
        text = rules.read_text(encoding="utf-8")
        for line in text.splitlines():
            assert len(line) <= 100, f"{rules.name}: {line}"
            assert not re.search(r"""f?"'\{|'\{(params|input|output|wildcards)""", line), line
            if line.lstrip().startswith(('" --', '" {')):
                assert len(re.findall(r" --[a-z]", line)) <= 1, f"{rules.name}: {line}"
                for name in re.findall(r"\{((?:params|input|output|log)[\w.]*)\}", line):
                    assert name.startswith("params."), f"{rules.name}: {line}"
        assert not re.findall(r"\{(?:input|output|log)[\w.]*\}", text), rules.name


@pytest.mark.slow
def test_snakemakes_lint_has_one_objection_alone():
    """It wants functions in other files than rules; here a rule is read with one file open."""
    command = [sys.executable, "-m", "snakemake", "--lint"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    objections = set(re.findall(r"^ {4}\* (.*)$", done.stdout + done.stderr, re.M))
    assert objections == {"Mixed rules and functions in same snakefile.:"}


def actions(stage: str) -> list[argparse.Action]:
    """All flags of a stage, those of its subcommands too."""
    found, todo = [], [import_module(stage).parser()]
    while todo:
        for action in todo.pop()._actions:
            if isinstance(action, argparse._SubParsersAction):
                todo += action.choices.values()
            elif action.option_strings and action.dest != "help":
                found.append(action)
    return found


def shape(action: argparse.Action) -> str:
    """What a flag takes: none, one or several values."""
    if action.nargs == 0:
        return "none"
    return "one" if action.nargs is None else "several"


@pytest.fixture(scope="module")
def flags():
    """Flag → what it takes → the stages that have it."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for stage in STAGES:
        for action in actions(stage):
            found[action.option_strings[0]][shape(action)].add(stage)
    return found


def test_every_command_line_can_be_asked_for():
    for stage in STAGES:
        assert callable(getattr(import_module(stage), "parser", None)), stage


# Flags that one stage gives one value and another several, all of one kind.
LISTS = {"--rejects": "tables of rejected clips"}


def test_a_flag_takes_the_same_in_every_stage(flags):
    differing = {flag: dict(shapes) for flag, shapes in flags.items() if len(shapes) > 1}
    assert set(differing) <= set(LISTS), differing


def test_a_flag_is_explained_alike_in_every_stage(flags):
    """By its first words: what follows a semicolon or stands in brackets is the stage's own."""
    texts: dict[str, set[str]] = defaultdict(set)
    for stage in STAGES:
        for action in actions(stage):
            words = re.split(r"[;,(]", action.help or "")[0].strip()
            texts[action.option_strings[0]].add(words)
    differing = {flag: words for flag, words in texts.items() if len(words - {""}) > 1}
    assert differing == {}


def test_what_a_stage_writes_is_called_out():
    """A path that is said to be an output has a flag that begins with --out."""
    for stage in STAGES:
        for action in actions(stage):
            is_out = action.option_strings[0].startswith("--out")
            says_so = (action.help or "").startswith("output")
            assert is_out or not says_so, f"{stage} {action.option_strings[0]}"


def test_no_namespace_below_a_command_line():
    """Functions that do the work take plain values: only `main` and its like see `args`."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                typed = [ast.unparse(a.annotation) for a in node.args.args if a.annotation]
                if "argparse.Namespace" in typed:
                    assert len(node.args.args) == 1, f"{name}.{node.name}"
                    users = [
                        call
                        for call in ast.walk(tree)
                        if isinstance(call, ast.Call)
                        and isinstance(call.func, ast.Name)
                        and call.func.id == node.name
                    ]
                    assert users == [], f"{name}: {node.name} is called with a Namespace"


# ── Files are data ──────────────────────────────────────────────────────────────────────────────

PICKLES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}
SAFE_LOADERS = {"SafeLoader", "CSafeLoader"}


def runs_what_it_reads(tree: ast.AST):
    """Places where a file, or a text, could become code that runs: "line: what"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            tops = {name.split(".")[0] for name in [*names, getattr(node, "module", None) or ""]}
            if tops & PICKLES:
                yield f"{node.lineno}: {min(tops & PICKLES)}"
        if not isinstance(node, ast.Call):
            continue
        called, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
        if called in ("eval", "exec", "compile", "__import__", "os.system"):
            yield f"{node.lineno}: {called}"
        elif called == "torch.load" and given.get("weights_only") != "True":
            yield f"{node.lineno}: torch.load"
        elif called in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
            yield f"{node.lineno}: numpy.load"
        elif called.endswith("read_pickle") or given.get("shell") == "True":
            yield f"{node.lineno}: {called}"
        elif called in ("yaml.load", "yaml.load_all"):
            loaders = {given.get("Loader", ""), *map(ast.unparse, node.args[1:])}
            if not {loader.split(".")[-1] for loader in loaders} & SAFE_LOADERS:
                yield f"{node.lineno}: {called}"
        elif re.fullmatch(r"yaml\.(unsafe|full)_load(_all)?", called):
            yield f"{node.lineno}: {called}"


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_what_runs_what_it_reads_is_seen(code):
    assert list(runs_what_it_reads(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "yaml.safe_load(text)",
        "yaml.load(text, Loader=yaml.CSafeLoader)",
        "model.eval()",
        "re.compile(text)",
    ],
)
def test_what_only_reads_is_not(code):
    assert not list(runs_what_it_reads(ast.parse(code)))


def test_no_module_runs_what_it_reads():
    found = [f"{name}, line {place}" for name in TREES for place in runs_what_it_reads(TREES[name])]
    assert found == []
