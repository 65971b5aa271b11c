"""What each variant costs, of whatever method."""

import json

from dfer.files import read_parquet
from dfer.tables import costs

TINY = {"model": "config/backbone/tiny.json", "weights": None}
CLASSES = {"happy": "happiness", "sad": "sadness", "fear": "fear"}


def test_a_row_a_variant_at_its_own_clip_and_frames(tmp_path, capsys):
    models = {
        "baseline": {"interfit": False, "aggregation": "mean", "blocks": 0},
        "full": {},
        "zero_shot": {"method": "zero_shot"},
        "coop": {"method": "coop", "context": 4, "frames": 16},
        "cocoop": {"method": "cocoop"},
    }
    variants = {name: {"backbone": TINY, "model": model} for name, model in models.items()}
    words = [
        *("--variant-settings", json.dumps(variants), "--classes", json.dumps(CLASSES)),
        *("--out", str(tmp_path / "costs.parquet"), "--out-text", str(tmp_path / "costs.txt")),
    ]
    costs.main(costs.parser().parse_args(words))
    table = read_parquet(tmp_path / "costs.parquet").set_index("variant")
    assert list(table.index) == list(models)
    assert table.method.tolist() == ["bidirectional"] * 2 + ["zero_shot", "coop", "cocoop"]
    true = table.macs_true
    assert true["zero_shot"] == true["baseline"] and true["coop"] == 2 * true["baseline"]
    assert true["full"] > true["cocoop"] > true["baseline"]
    assert table.trained["zero_shot"] == 0 and table.trained["coop"] == 4 * 32 / 1e6
    assert table.trained["full"] == table.parameters["full"]
    assert (tmp_path / "costs.txt").read_text() in capsys.readouterr().out
