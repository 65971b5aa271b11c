"""The completion of `dfer`: bash completes it for real."""

import subprocess
import sys

import pytest

from dfer.__main__ import MODULES

PRESS = """
source {script}
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE="$*"
COMP_POINT=${{#COMP_LINE}}
function=$(complete -p dfer | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" dfer "${{@: -1}}" "${{@: -2:1}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "dfer"
    command = [sys.executable, "-m", "dfer", "completion", "bash"]
    path.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return path


def press_tab(script, folder, *words):
    """What a bash that has nothing else set up offers for the last word."""
    command = ["bash", "--norc", "-c", PRESS.format(script=script), "bash", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.slow
def test_tab_completes_commands_flags_values_and_files(script, tmp_path):
    def pressed(*words):
        return press_tab(script, tmp_path, "dfer", *words)

    assert set(pressed("")) >= set(MODULES)
    assert pressed("eval") == ["evaluate"]
    assert pressed("predict", "--out-o") == ["--out-overlays"]
    assert "--out-overlays" not in pressed("train", "--")
    assert set(pressed("completion", "")) >= {"bash", "zsh"}
    assert set(pressed("splits", "")) == {"rejects", "accept", "fold"}
    (tmp_path / "holiday.mp4").touch()
    assert pressed("predict", "holi") == ["holiday.mp4"]
    assert pressed("predict", "--run", "holi") == ["holiday.mp4"]
    assert pressed("why", "holi") == ["holiday.mp4"]
