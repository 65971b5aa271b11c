"""All that the tables are made of, in one file: predictions, histories, records, configuration.

    python -m dfer.report.archive results/demo/runs/*/*/predictions.parquet --config '{…}'
        --out results/archive.tar.gz

Equal files give an equal archive. In a clone of this repository, at the commit that run.json
names, the tables are made from it without data, weights or training:

    tar -xzf archive.tar.gz
    snakemake tables --allowed-rules tables table summary flops --configfile config/archived.yaml
"""

import argparse
import gzip
import io
import json
import tarfile
from pathlib import Path

import yaml

from dfer.errors import UserError, stage
from dfer.files import atomic

CONFIG = "config/archived.yaml"


def pack(paths: list[Path], config: str, out: Path) -> None:
    """Write the archive: files under their own names, times and owners left out.

    Args:
        paths: relative to the project's folder.
        config: the configuration as YAML.

    Raises:
        UserError: a path is absolute or leaves the project's folder.
    """
    with (
        atomic(out) as temporary,
        open(temporary, "wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        _add(archive, CONFIG, config.encode())
        for path in sorted(set(paths)):
            if path.is_absolute() or ".." in path.parts:
                raise UserError(
                    f"{path}: lies outside of the project's folder. Archive from there."
                )
            _add(archive, path.as_posix(), path.read_bytes())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """A file, without time and owner."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    archive.addfile(info, io.BytesIO(content))


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("files", type=Path, nargs="*", help="relative to the project's folder")
    top.add_argument("--config", required=True, help="JSON: the configuration")
    top.add_argument("--out", type=Path, required=True, help="output (.tar.gz)")
    return top


def main(args: argparse.Namespace) -> None:
    """Write the archive."""
    config = yaml.safe_dump(json.loads(args.config), sort_keys=False, allow_unicode=True)
    pack(args.files, config, args.out)
    print(f"{args.out}: {len(args.files)} files and {CONFIG}")


if __name__ == "__main__":
    stage(main, parser())
