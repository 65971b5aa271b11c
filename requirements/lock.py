"""Lock what is installed: each package that pyproject.toml brings, with the hashes of its files.

    python requirements/lock.py [--upgrade]        # or: make lock

Writes beside itself, for every platform and Python that pyproject.toml allows:

    torch.txt       PyTorch, and on Linux the CUDA libraries that it is built against
    run.txt         all else that the workflow needs
    <extra>.txt     what an extra of pyproject.toml needs beyond these two

Files are parts of one resolution, so that any of them go together, and each is complete: install
with `pip install --no-deps --require-hashes`. Versions that they name already are kept where they
still fit; `--upgrade` takes the newest. Needs uv on the PATH, and asks the package index that uv is
set up for; the files name none.
"""

import argparse
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parent / "pyproject.toml"
OF_TORCH = re.compile(r"(torch|torchvision|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
HEAD = "# Made by `make lock` from pyproject.toml; do not edit.\n"


def compiled(*options: str, out: Path) -> dict[str, str]:
    """What uv resolves: requirement with its marker → its lines, hashes included."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--output-file", str(out)]
    done = subprocess.run([*command, *options, str(PROJECT)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    blocks = re.split(r"^(?=\S)", out.read_text(encoding="utf-8"), flags=re.M)
    return {block.split("\\\n")[0].strip(): block for block in blocks if block}


def write(name: str, blocks: list[str]) -> None:
    """A file of requirements."""
    (HERE / f"{name}.txt").write_text(HEAD + "".join(blocks), encoding="utf-8")


def main(args: argparse.Namespace) -> None:
    """Resolve everything once, then part it."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    with tempfile.TemporaryDirectory() as folder:
        everything, part = Path(folder, "everything.txt"), Path(folder, "part.txt")
        kept = "".join(path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.txt")))
        everything.write_text(kept, encoding="utf-8")  # uv keeps the versions that stand there
        compiled("--all-extras", *["--upgrade"] * args.upgrade, out=everything)
        basis = compiled("--constraint", str(everything), out=part)
        write("torch", [block for name, block in basis.items() if OF_TORCH.match(name)])
        write("run", [block for name, block in basis.items() if not OF_TORCH.match(name)])
        for extra in project["optional-dependencies"]:
            more = compiled("--constraint", str(everything), "--extra", extra, out=part)
            write(extra, [block for name, block in more.items() if name not in basis])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    main(parser.parse_args())
