"""How the programs of this folder measure: cases by turns, and one tidy table of what came out.

Cases of a comparison run interleaved, round by round, after a warm-up, so that a busy machine slows
all alike; ratios are taken within a run and never between two. A row of the table is one case:

    benchmark, case     what was measured ("loader", "DFER-CLIP as published")
    unit                of the values ("clips/s", "s", "MB", "×")
    median, low, high   of `repeats` rounds: their median and quartiles
    precision, frames   T, and clips a batch (B); null where it does not apply
    batch, threads
    device, processor   the GPU's name or "cpu", and the processor's
    versions, git       JSON of package versions; the commit, "-dirty" where files differ
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import torch

from dfer.files import write_parquet
from dfer.provenance import environment

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("case", pa.string()),
        ("unit", pa.string()),
        ("repeats", pa.int32()),
        ("median", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("precision", pa.string()),
        ("frames", pa.int32()),
        ("batch", pa.int32()),
        ("threads", pa.int32()),
        ("device", pa.string()),
        ("processor", pa.string()),
        ("versions", pa.string()),
        ("git", pa.string()),
    ]
)


@dataclass(frozen=True)
class Measured:
    """The values of one case, one a round, and what they were measured under."""

    case: str
    unit: str
    values: list[float]
    precision: str | None = None
    frames: int | None = None
    batch: int | None = None


def seconds(work: Callable[[], object]) -> float:
    """The time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def by_turns(
    cases: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """The values that each case returned, `rounds` of them; those of the warm-up are dropped."""
    values: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(warm_up + rounds):
        for name, measure in cases.items():
            value = measure()
            if turn >= warm_up:
                values[name].append(value)
    return values


def ratio(values: list[float], others: list[float]) -> list[float]:
    """value / other, round by round."""
    return [value / other for value, other in zip(values, others, strict=True)]


def report(
    benchmark: str, measured: list[Measured], out: Path | str, *, threads: int, device: str = "cpu"
) -> None:
    """Write the table, and print a line a case."""
    machine = environment(threads, device)
    rows = []
    for case in measured:
        low, median, high = _quartiles(case.values)
        row = {key: value for key, value in asdict(case).items() if key != "values"}
        row |= {"benchmark": benchmark, "repeats": len(case.values)}
        row |= {"median": median, "low": low, "high": high, "threads": threads, "device": device}
        row |= {"processor": machine["processor"], "git": machine["git"]}
        row["versions"] = json.dumps({"python": machine["python"]} | machine["packages"])
        rows.append(row)
        under = [f"T = {case.frames}"] * bool(case.frames) + [f"B = {case.batch}"] * bool(
            case.batch
        )
        text = ", ".join([*filter(None, [case.precision]), *under])
        print(
            f"{benchmark}: {case.case}{f' ({text})' if text else ''}: "
            f"{median:.4g} {case.unit} ({low:.4g} – {high:.4g}, {len(case.values)} rounds)",
            flush=True,
        )
    write_parquet(pd.DataFrame(rows)[SCHEMA.names], out, SCHEMA)


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))
