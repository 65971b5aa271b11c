"""Counts of all variants beside what some of them took on a machine."""

import json

import pandas as pd
import pytest

from dfer.errors import UserError
from dfer.files import write_parquet
from dfer.tables import costs_here


def record(run, device="cpu", **values):
    around = {"device": device, "processor": "A processor", "threads": 2, "precision": "float32"}
    measured = {"trained_per_second": 10.0, "training_mb": 700.0}
    measured |= {"predicted_per_second": 40.0, "predicting_mb": 500.0}
    return json.dumps({"run": run, **measured, **values, "environment": around})


def side_by_side(folder, *records):
    paths = [folder / f"{number}.json" for number, _ in enumerate(records)]
    for path, text in zip(paths, records, strict=True):
        path.write_text(text)
    rows = {"variant": ["baseline", "same", "zero_shot", "coop"], "run": ["a", "a", "b", "c"]}
    write_parquet(pd.DataFrame(rows | {"macs_true": 0.5}), folder / "costs.parquet")
    words = ["--costs", folder / "costs.parquet", "--speeds", *paths]
    words += ["--out", folder / "here.csv", "--out-text", folder / "here.txt"]
    costs_here.main(costs_here.parser().parse_args(map(str, words)))
    return pd.read_csv(folder / "here.csv").set_index("variant")


def test_each_variant_has_what_was_measured_of_its_run(tmp_path, capsys):
    none = {"trained_per_second": None, "training_mb": None}
    table = side_by_side(tmp_path, record("a"), record("b", "H100", **none))
    assert list(table.index) == ["baseline", "same", "zero_shot", "coop"]
    assert table.trained_per_second.fillna(-1).tolist() == [10, 10, -1, -1]
    assert table.predicting_mb.fillna(-1).tolist() == [500, 500, 500, -1]
    assert table.device.fillna("").tolist() == ["A processor", "A processor", "H100", ""]
    assert (table.macs_true == 0.5).all()
    text = (tmp_path / "here.txt").read_text()
    assert "nan" not in text.lower() and text in capsys.readouterr().out


def test_nothing_measured_is_no_fault(tmp_path):
    assert side_by_side(tmp_path).trained_per_second.isna().all()


@pytest.mark.parametrize("text", ["{", "[]", '{"run": "a"}', '{"run": "a", "environment": 1}'])
def test_a_file_of_something_else_is_named(tmp_path, text):
    with pytest.raises(UserError, match=r"0\.json: not what dfer\.training\.speed writes"):
        side_by_side(tmp_path, text)
