"""What each variant costs, of whatever method."""

import json

import pandas as pd

from dfer.files import read_parquet
from dfer.tables import costs, reported

TINY = {"model": "config/backbone/tiny.json", "weights": None}
CLASSES = {"happy": "happiness", "sad": "sadness", "fear": "fear"}


def test_a_row_a_variant_at_its_own_clip_and_frames(tmp_path, capsys):
    models = {
        "baseline": {"interfit": False, "aggregation": "mean", "blocks": 0},
        "full": {},
        "zero_shot": {"method": "zero_shot"},
        "coop": {"method": "coop", "context": 4, "frames": 16},
        "cocoop": {"method": "cocoop"},
        "m3dfel": {"method": "m3dfel"},
    }
    variants = {name: {"backbone": TINY, "model": model} for name, model in models.items()}
    words = [
        *("--variant-settings", json.dumps(variants), "--classes", json.dumps(CLASSES)),
        *("--printed", "config/printed_costs.csv"),
        *("--out", str(tmp_path / "costs.parquet"), "--out-text", str(tmp_path / "costs.txt")),
    ]
    costs.main(costs.parser().parse_args(words))
    table = read_parquet(tmp_path / "costs.parquet").set_index("variant")
    assert list(table.index) == list(models)
    assert table.method.tolist() == ["bidirectional"] * 2 + list(models)[2:]
    true = table.macs_true
    assert true["zero_shot"] == true["baseline"] and true["coop"] == 2 * true["baseline"]
    assert true["full"] > true["cocoop"] > true["baseline"]
    assert table.trained["zero_shot"] == 0 and table.trained["coop"] == 4 * 32 / 1e6
    assert table.trained["full"] == table.parameters["full"]
    assert table.macs_paper.isna().tolist() == [False] * 5 + [True]
    assert (tmp_path / "costs.txt").read_text() in capsys.readouterr().out


def test_what_is_printed_stands_apart_from_what_is_counted(tmp_path):
    """M3DFEL's 1.65 G are those that thop sees of 43.19."""
    words = [f"word {n}" for n in range(7)]
    variants = {"m3dfel": {"model": {"method": "m3dfel"}}, "own": {"model": {"method": "ial"}}}
    table = costs.costs(variants, words, pd.read_csv("config/printed_costs.csv"))
    table = table.set_index("variant")
    m3dfel, own = table.loc["m3dfel"], table.loc["own"]
    assert round(m3dfel.macs_true, 2) == 43.19 and m3dfel.macs_printed == 1.65
    assert (m3dfel.frames_printed, m3dfel.size_printed) == (m3dfel.frames, m3dfel["size"])
    assert "thop passes over" in m3dfel.note_printed
    assert pd.isna(own.macs_printed) and own.macs_true > 5


def test_every_printed_cost_is_of_a_row_of_table_1():
    printed = pd.read_csv("config/printed_costs.csv")
    rows = {cell.variant for cell in reported.read("config/reported.csv") if cell.table == 1}
    assert set(printed.variant) <= rows
    assert (
        not printed.source.isna().any()
        and printed[["macs", "parameters"]].notna().any(axis=1).all()
    )
