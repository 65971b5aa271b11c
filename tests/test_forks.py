"""A fork of tests/forks.py is what `python -m` is: outputs, exit status, streams, environment."""

import os
import subprocess
import sys

import pytest
from forks import FORKS, PYTHON

ENDINGS = {
    "returns": "print('out'); print('err', file=sys.stderr)",
    "exits": "sys.exit(3)",
    "says": "sys.exit('what is wrong')",
    "raises": "1 / 0",
    "dies": "os.kill(os.getpid(), 9)",
    "tidies": "import atexit; atexit.register(print, 'at the end')",
    "waits": "threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()",
    "becomes": "os.execvp('python', ['python', '-m', 'told', 'again'])",
}
TOLD = """
import os, sys, threading, time
told = [__name__, sys.argv[1:], os.getcwd(), sys.path[0], os.environ.get("SAID"), sys.stdin.read()]
print(told, os.path.basename(sys.argv[0]), "dfer" in sys.modules, flush=True)
"""


def both(tmp_path, *words, **environment):
    """What comes of `python -m …` and of its fork: exit status, stdout, stderr's last line."""
    for python in (sys.executable, PYTHON):
        path = os.pathsep.join([os.path.dirname(python), os.environ["PATH"]])
        env = os.environ | {"PYTHONPATH": f"{tmp_path}/more", "PATH": path} | environment
        done = subprocess.run(
            [python, *words], cwd=tmp_path, env=env, input="in", capture_output=True, text=True
        )
        yield done.returncode, done.stdout, done.stderr.splitlines()[-1:]


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_it_ends_as_the_command_ends(ending, tmp_path):
    FORKS.start("stages")
    (tmp_path / "told.py").write_text(TOLD)
    (tmp_path / "program.py").write_text(TOLD + ENDINGS[ending])
    command, fork = both(tmp_path, "-m", "program", "a b", "--c", SAID="it's")
    assert fork == command
    assert "it's" in fork[1] and "False" in fork[1]


@pytest.mark.slow
def test_without_a_process_or_a_module_it_is_the_command(tmp_path):
    (tmp_path / "program.py").write_text("import sys\nprint(sys.executable)")
    command, fork = both(tmp_path, "program.py")
    assert fork == command and sys.executable in fork[1]
