"""The command `dfer`: all stages under one name."""

import subprocess
import sys
from pathlib import Path

import pytest

from dfer.__main__ import MODULES, contents, main

SOURCE = Path(__file__).parents[1] / "src"


def run(*words):
    command = [sys.executable, "-m", "dfer", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_stage_is_a_command():
    stages = {
        str(path.relative_to(SOURCE).with_suffix("")).replace("/", ".")
        for path in (SOURCE / "dfer").rglob("*.py")
        if "\n    stage(main, parser())" in path.read_text(encoding="utf-8")
    }
    assert set(MODULES.values()) == stages | {"dfer.why"}
    assert len(set(MODULES.values())) == len(MODULES)


def test_help_is_a_table_of_contents_and_imports_no_stage():
    done = run("--help")
    assert done.returncode == 0 and contents() in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {words[0] for words in lines if words} >= set(MODULES)
    asked = "import sys; import dfer.__main__ as m; m.contents(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_command_has_its_own_help_under_its_name():
    done = run("flops", "--help")
    assert done.returncode == 0 and "usage: dfer flops" in done.stdout
    assert "--reported" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evalute"], "no command 'evalute'; did you mean 'evaluate'?"),
        (["nothing-like-it"], "`dfer --help` lists them"),
        (["--nothing"], "--nothing"),
        (["weights", "--name", "imagenet_resnet18", "--out", "a", "--nothing"], "--nothing"),
    ],
)
def test_words_that_no_command_has(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_what_a_user_can_mend_is_one_line(tmp_path):
    done = run("convert-dfer-clip", "--published", "missing.pth", "--dataset", "dfew", *REST)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: missing.pth")


REST = ["--fold", "1", "--classes", "{}", "--descriptors", "{}", "--out", "run.safetensors"]
