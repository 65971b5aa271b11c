"""Run a command on a GPU of its own: Snakemake counts GPUs, but hands none out.

    python -m dfer.dag.gpu 1 python -m dfer.training.train …

The first GPU that no other such command holds is locked for as long as this one runs, and is the
only one that it sees (`CUDA_VISIBLE_DEVICES`). A command that asks for 0 GPUs is run as it is, and
so are all under Slurm, which hands out GPUs itself. The command takes this process's place, so
signals and the exit status are its own.
"""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def gpus() -> list[str]:
    """The ids of the GPUs that this machine's jobs may use.

    Those of CUDA_VISIBLE_DEVICES where it is set, else the UUIDs that nvidia-smi lists.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"^GPU \d+:.*\(UUID: (GPU-[\w-]+)\)", listed.stdout, re.M)


def take(ids: list[str]) -> str:
    """Lock the first GPU that is free until this process, or what replaces it, ends.

    Where all are taken (`--resources gpu=4` on two GPUs), one is shared.
    """
    for gpu in ids:
        name = f"dfer-{os.getuid()}-{re.sub(r'[^A-Za-z0-9-]', '_', gpu)}.lock"
        file = os.open(Path(tempfile.gettempdir()) / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        os.set_inheritable(file, True)
        return gpu
    return ids[os.getpid() % len(ids)]


def main(words: list[str]) -> None:
    """Become the command, with a GPU if it asks for one."""
    asked, *command = words
    ids = [] if asked == "0" or "SLURM_JOB_ID" in os.environ else gpus()
    if ids:
        os.environ["CUDA_VISIBLE_DEVICES"] = take(ids)
        print(f"GPU {os.environ['CUDA_VISIBLE_DEVICES']}", flush=True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
