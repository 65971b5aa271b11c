"""The Slurm profile on a real Slurm of one node with two GPUs in name only (`make test-slurm`)."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from checkout import Checkout
from test_demo_run import results

SCRIPT = Path(__file__).with_name("cluster.sh")
TARGET = ("results/table1.tex", "--configfile", "config/test.yaml")
# There is no accounting here, and little time; the logs of successful jobs are read below.
SLURM = (
    *("--workflow-profile", "workflow/profiles/slurm", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
    "--slurm-keep-successful-logs",
)
EPOCHS = 12


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    """A Slurm that all commands of this module find; stopped at the end."""
    folder = tmp_path_factory.mktemp("slurm")
    with pytest.MonkeyPatch.context() as patch:
        try:
            subprocess.run([SCRIPT, "start", folder], check=True)
            patch.setenv("SLURM_CONF", f"{folder}/slurm.conf")
            patch.setenv("PATH", f"{folder}/bin", prepend=os.pathsep)
            yield
        finally:
            subprocess.run([SCRIPT, "stop", folder], check=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return small_demo(tmp_path_factory.mktemp("demo"))


def small_demo(folder):
    """A checkout whose trainings are long enough to be hit."""
    tree = Checkout(folder, config=None)
    train_with(tree, epochs=EPOCHS)
    return tree


def train_with(tree, **settings):
    """Change settings of `train` in the checkout's config/test.yaml."""
    path = tree.folder / "config/test.yaml"
    config = yaml.safe_load(path.read_text())
    config["train"] |= settings
    path.write_text(yaml.safe_dump(config, sort_keys=False))


class Training(NamedTuple):
    """A training that runs now."""

    job: str
    gpu: str
    state: Path  # what a killed one goes on from


def trainings(tree):
    """All that run in the checkout, as their own processes tell (and those that they start)."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (
                (process / name).read_text(errors="replace").split("\0")
                for name in ("cmdline", "environ")
            )
            if (process / "cwd").readlink() == tree.folder and words[1:3] == [
                "-m",
                "dfer.training.train",
            ]:
                values = dict(item.split("=", 1) for item in environment if "=" in item)
                checkpoint = tree.folder / words[words.index("--out-checkpoint") + 1]
                job, gpu = values["SLURM_JOB_ID"], values["CUDA_VISIBLE_DEVICES"]
                found.add(Training(job, gpu, checkpoint.with_name("state.pt")))
        except (OSError, KeyError):  # another's, or gone
            continue
    return found


def jobs():
    """What Slurm knows of each job: number → field → value."""
    command = ["scontrol", "show", "job", "--oneliner"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    fields = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines]
    return {job["JobId"]: job for job in fields}


def push_out():
    """Submit a job of a higher partition that needs both GPUs: Slurm preempts who has them."""
    options = ["--partition", "urgent", "--gpus", "2", "--mem", "1G", "--output", "/dev/null"]
    subprocess.run(["sbatch", *options, "--wrap", "sleep 2"], check=True)


def test_the_demo_runs_and_preempted_trainings_go_on(tree):
    seen, running, limit = [], set(), time.monotonic() + 3600
    with (tree.folder / "snakemake.log").open("w") as log:
        snakemake = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *TARGET, *SLURM],
            cwd=tree.folder,
            env=os.environ | {"PYTHONPATH": str(tree.folder / "src")},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            while snakemake.poll() is None and time.monotonic() < limit:
                now = trainings(tree)
                seen.append(sorted(training.gpu for training in now))
                if not running and len(now) == 2 and all(t.state.exists() for t in now):
                    running = now
                    push_out()
                time.sleep(0.2)
        finally:
            if snakemake.poll() is None:
                os.killpg(snakemake.pid, signal.SIGKILL)
    assert snakemake.returncode == 0, (tree.folder / "snakemake.log").read_text()
    assert "(synthetic)" in (tree.folder / "results/table1.tex").read_text()

    # Each had a GPU of its own, and both GPUs were in use at once.
    assert {tuple(gpus) for gpus in seen} <= {(), ("0",), ("1",), ("0", "1")}
    assert ["0", "1"] in seen

    # Slurm itself started the same jobs again; both logs are where docs/clusters.md says.
    known = jobs()
    again = [job for job in known.values() if job["Restarts"] != "0"]
    assert again and {job["JobId"] for job in again} <= {training.job for training in running}
    for job in again:
        log = Path(job["StdOut"])
        assert log.is_relative_to(tree.folder / "results/logs/slurm/rule_train")
        assert log.name == f"{job['JobId']}.log"
        text = log.read_text()
        assert f"epoch 1/{EPOCHS}" in text and "goes on after epoch" in text
        own = tree.folder / re.search(r"log: (results/logs/demo/runs/\S+/train\.log)", text)[1]
        assert "goes on after epoch" in own.read_text()
        assert f"epoch {EPOCHS}/{EPOCHS}" in own.read_text()
    assert not list(tree.folder.rglob("state.pt"))


def test_the_bytes_are_those_of_a_run_without_slurm_and_preemption(tree, tmp_path):
    record = next((tree.folder / "results/demo/runs").rglob("run.json"))
    threads = json.loads(record.read_text())["environment"]["threads"]
    local = small_demo(tmp_path)
    equal = ("--set-threads", f"train={threads}", f"evaluate={threads}")
    local.snakemake(*TARGET, "--cores", str(max(2, threads)), *equal)
    assert results(tree) == results(local)


def test_a_failure_leaves_both_its_logs(tree):
    train_with(tree, lr=1e30)
    name = next(name for name in tree.jobs(*TARGET) if name.startswith("train "))
    _, dataset, run, fold, seed = name.split()
    place, logs = f"{dataset}/runs/{run}/fold{fold}-seed{seed}", tree.folder / "results/logs"
    target = f"results/{place}/checkpoint.safetensors"
    done = tree.snakemake(target, *TARGET[1:], *SLURM, check=False)
    assert done.returncode == 1
    (log,) = (logs / f"slurm/rule_train/{dataset}_{run}_{fold}_{seed}").glob("*.log")
    assert "the loss is" in (logs / place / "train.log").read_text()
    assert "the loss is" in log.read_text()
    assert "the loss is" in done.stdout + done.stderr
