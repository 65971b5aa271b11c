"""The image's recipe: what it copies is enough, and no more than the checkout has to give."""

import os
import re
import shutil
import subprocess
import sys

from checkout import ROOT

RECIPE = (ROOT / "containers/Dockerfile").read_text(encoding="utf-8")
COPIED = [
    source
    for words in re.findall(r"^COPY (?!--from)(.*)$", RECIPE, re.M)
    for source in words.split()[:-1]
]


def test_what_is_copied_is_what_is_sent_to_the_builder():
    sent = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.M)
    assert sorted(sent) == sorted(COPIED)
    assert all((ROOT / source).exists() for source in COPIED)


def test_it_does_not_run_as_root_and_names_no_index():
    assert re.findall(r"^USER (.*)$", RECIPE, re.M)[-1] == "1000"
    assert "index-url" not in RECIPE  # the Makefile knows where PyTorch without CUDA is


def test_what_is_copied_is_enough_to_plan_the_table_from_another_folder(tmp_path):
    image, work = tmp_path / "image", tmp_path / "work"
    image.mkdir()
    work.mkdir()
    for source in COPIED:
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / source, image / source, ignore=ignored)
        else:
            shutil.copy(ROOT / source, image / source)
    planned = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "-s", str(image / "workflow/Snakefile")),
            *("--cores", "1", "-n", "results/table1.tex"),
        ],
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(image / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert planned.returncode == 0, planned.stderr
    assert re.search(r"^train +10$", planned.stdout, re.M)
    install = subprocess.run(
        ["make", "-n", "setup", "EXTRAS=", "TORCH=cpu"],
        cwd=image,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    torch, locked, *_ = [line for line in install.splitlines() if "pip install" in line]
    assert re.search(r"torch==\S+ torchvision==\S+$", torch)
    assert "--require-hashes" in locked and "run.txt" in locked and "torch.txt" not in locked
