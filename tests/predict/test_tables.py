"""Predictions as Parquet, CSV and JSON: the same numbers."""

import math
from pathlib import Path

import pandas as pd
import pytest

from dfer.errors import UserError
from dfer.predict.tables import check_suffix, write_tables

ROWS = [
    ("a, b.mp4", 0, 0.0, 4.0, "happy", 1.0, 0.1 + 0.2, 1 / 3),
    ("ü.mp4", 1, math.nan, math.nan, "sad", 0.5, 1e-12, 1 - 1e-12),
]
REJECTED = [("c.mp4", None, None, None, "no face"), ("ü.mp4", 2, 8.0, 12.0, 'no "face"')]
READ = {".parquet": pd.read_parquet, ".csv": pd.read_csv, ".json": pd.read_json}


@pytest.mark.parametrize("suffix", READ)
def test_every_format_has_the_same_numbers(tmp_path, suffix):
    for name in (".parquet", suffix):
        write_tables(tmp_path / f"p{name}", ROWS, REJECTED, ["happy", "sad"])
    for kind in ("p", "p.rejects"):
        expected = pd.read_parquet(tmp_path / f"{kind}.parquet")
        found = READ[suffix](tmp_path / f"{kind}{suffix}")
        pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-14, atol=0)


def test_another_format_is_refused_with_those_that_there_are():
    with pytest.raises(
        UserError, match=r"p\.xlsx: give a name that ends with .parquet, .csv, .json"
    ):
        check_suffix(Path("p.xlsx"))
