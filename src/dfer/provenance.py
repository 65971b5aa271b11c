"""Code as an input: which of our modules a stage runs, and what they mean.

`stamps("dfer.training.train")` lists one `module@digest` string for every module of this project
that `python -m dfer.training.train` can import. Rules carry that list as parameters, so Snakemake
reruns a job exactly when one of them changes and names it as the reason; a training's state file
carries it so that a state of other code is refused. Comments, docstrings and formatting are not in
the digest.

Imports are followed statically, those inside functions too. A stage that imports a module only
where the configuration asks for it (a dataset's layout, a block of the model) is described by
`without`: those modules, and what only they import, are left out. So are `VIEWS`.

What a module's source says is kept in `__pycache__`, beside its byte code: to parse all of them
takes half a second, a fifth of a plan with nothing to do.
"""

import ast
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from dfer.errors import UserError

SOURCE = Path(__file__).parents[1]
# Modules that only show what a stage does, and on which no result depends.
VIEWS = frozenset({"dfer.training.events"})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def modules(*stages: str, without: Collection[str] = ()) -> list[str]:
    """The project modules that `stages` run, sorted: themselves and all that they import."""
    return list(_closure(stages, VIEWS.union(without)))


@cache
def _closure(stages: tuple[str, ...], without: frozenset[str]) -> list[str]:
    seen: set[str] = set()
    todo = list(stages)
    while todo:
        name = todo.pop()
        if name not in seen and name not in without:
            seen.add(name)
            todo += _imports(name)
    return sorted(seen)


@cache
def stamp(module: str) -> str:
    """`module@digest`, the digest taken over the syntax tree without docstrings and positions."""
    return f"{module}@{_read(module)[0]}"


def stamps(*stages: str, without: Collection[str] = ()) -> list[str]:
    """`stamp` of each of `modules`."""
    return [stamp(module) for module in modules(*stages, without=without)]


def environment(threads: int, device: str) -> dict[str, Any]:
    """What a result depends on beside code, settings and data: versions, machine, git state."""
    packages = ("torch", "open_clip_torch", "numpy", "torchvision", "simplejpeg", "pandas")
    return {
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
        "platform": platform.platform(),
        "processor": _processor(),
        "device": device,
        "threads": threads,
        "git": _git(),
    }


def _processor() -> str:
    """The processor's model name, as Linux tells it, or the platform's word for it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git() -> str | None:
    """The commit of the source tree, with `-dirty` where files differ; None outside a checkout."""
    command = ["git", "-C", str(SOURCE), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def digest(value: Any) -> str:
    """Twelve hex digits of a JSON-able value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def file_digest(path: Path | str) -> str:
    """Twelve hex digits of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


@cache
def _imports(name: str) -> list[str]:
    """Project modules that `name` imports, at its top or inside a function, and its packages."""
    found = {name.rpartition(".")[0], *_read(name)[1]}
    found |= {parent for item in found if (parent := item.rpartition(".")[0])}
    return sorted(item for item in found if item and _file(item))


@cache
def _read(name: str) -> tuple[str, list[str]]:
    """The digest of a module's syntax tree, and all names that may be modules which it imports.

    Raises:
        UserError: it is no Python.
    """
    file = _file(name)
    source = file.read_bytes()
    key = hashlib.sha256(_own_source() + source).hexdigest()
    kept = Path(cache_from_source(file)).with_suffix(".stamp")
    with suppress(OSError, ValueError):  # there is none, or a power cut tore it
        of_key, digest, imports = json.loads(kept.read_bytes())
        if of_key == key:
            return digest, imports

    try:
        tree = ast.parse(source, file)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        place = f"{file}, line {line}" if line else str(file)
        raise UserError(f"{place}: not Python ({error.args[0]}). Mend it, then go on.") from None
    digest = hashlib.sha256(repr(_shape(tree)).encode()).hexdigest()[:10]
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    imports = sorted(_imported(tree, package))
    if not sys.dont_write_bytecode:
        part = kept.with_suffix(f".{os.getpid()}.part")
        with suppress(OSError):  # the next process parses it again
            kept.parent.mkdir(exist_ok=True)
            part.write_text(json.dumps([key, digest, imports]))
            part.replace(kept)
    return digest, imports


@cache
def _own_source() -> bytes:
    """Of this file, which decides what is kept."""
    return Path(__file__).read_bytes()


def _imported(tree: ast.Module, package: str) -> set[str]:
    """Names that may be modules which a module of `package` imports."""
    found = set()
    for node in _statements(tree.body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join((parts if node.level else []) + [node.module] * bool(node.module))
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


@cache
def _file(name: str) -> Path | None:
    """The file of a project module; None for a module of somebody else."""
    path = SOURCE.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _shape(node: Any) -> Any:
    """A syntax tree as nested tuples, without positions, docstrings and empty fields."""
    if isinstance(node, list):
        return tuple(map(_shape, node))
    if not isinstance(node, ast.AST):
        return node
    kept = [type(node).__name__]
    for key in node._fields:
        value = getattr(node, key, None)
        if key == "body" and isinstance(node, _DOCUMENTED):
            value = value[ast.get_docstring(node, clean=False) is not None :]
        if value is not None and value != []:
            kept.append((key, _shape(value)))
    return tuple(kept)


def _statements(parts: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All statements in a body, those inside others too."""
    for part in parts:
        yield part
        for inner in ("body", "orelse", "handlers", "finalbody", "cases"):
            yield from _statements(getattr(part, inner, ()))
