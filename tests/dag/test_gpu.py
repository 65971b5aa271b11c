"""GPUs: one a job, whatever is locked, and Snakemake's own schedule on machines with 0, 1, 2."""

import os
import re
import subprocess
import sys

import pytest
from checkout import CONFIG

HOLD = "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read()"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that makes this machine one with so many (fake) GPUs."""

    def build(count):
        lines = [f"GPU {i}: A Card (UUID: GPU-{i}{i}{i}{i}-{os.getpid()})" for i in range(count)]
        program = tmp_path / "bin/nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("TMPDIR", str(tmp_path))

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    return build


def start(asked=1):
    """A command that holds its GPU until its input is closed; and what it sees."""
    command = [sys.executable, "-m", "dfer.dag.gpu", str(asked), sys.executable, "-c", HOLD]
    running = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True)
    return running, [running.stdout.readline().strip() for _ in range(asked + 1)][-1]


def test_each_command_has_a_gpu_and_leaves_it_when_it_is_killed(machine):
    machine(2)
    one, first = start()
    two, second = start()
    assert {first[:8], second[:8]} == {"GPU-0000", "GPU-1111"}
    one.kill()
    one.wait()
    three, third = start()
    assert third == first
    for running in (two, three):
        running.communicate()
        assert running.returncode == 0


def test_more_commands_than_gpus_share_them(machine):
    machine(1)
    (one, first), (two, second) = start(), start()
    assert first == second != ""
    one.communicate(), two.communicate()


def test_only_visible_gpus_are_handed_out(machine, monkeypatch):
    machine(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    running, gpu = start()
    assert gpu == "3"
    running.communicate()


def test_slurm_hands_out_gpus_itself(machine, monkeypatch):
    machine(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    command = [sys.executable, "-m", "dfer.dag.gpu", "1", sys.executable, "-c", HOLD]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    assert done.stdout == "0,1\n"


@pytest.fixture(scope="module")
def tree(prepared, tmp_path_factory):
    """A small dataset, ready to be trained on."""
    tree = prepared.copy(tmp_path_factory.mktemp("gpus"))
    tree.configure(CONFIG | {"train": CONFIG["train"] | {"epochs": 3}})
    return tree


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, 2])
def test_trainings_run_one_a_gpu(tree, machine, count):
    """Real trainings with `--cores 8`: as many at a time as there are GPUs, each on its own."""
    machine(count)
    words = ("results/table1.tex", "--cores", "8", "--until", "train", "--forcerun", "train")
    done = tree.snakemake(*words)
    text = done.stdout + done.stderr
    logs = list((tree.folder / "results/logs/mine/runs").rglob("train.log"))
    assert len(logs) == 4
    seen = [re.findall(r"^GPU (\S+)$", log.read_text(), re.M) for log in logs]
    assert all(len(ids) == min(count, 1) for ids in seen)
    assert len({gpu for ids in seen for gpu in ids}) == count
    running, most = 0, 0
    for line in text.splitlines():
        running += bool(re.match(r"(local)?rule train:", line))
        running -= bool(re.match(r"Finished jobid: \d+ \(Rule: train\)", line))
        most = max(most, running)
    assert most == (count or 4)
