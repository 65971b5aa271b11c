"""What stands behind a measured number: scores, wrong clips, figures."""

import shutil

import numpy as np
import pytest
from small_results import KEY, predictions, small_results

from dfer.app.behind import behind, wrong_clips
from dfer.errors import UserError


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return small_results(tmp_path_factory.mktemp("results"))


def test_wrong_clips_are_those_of_another_label_the_surest_first():
    wrong = wrong_clips(predictions(1))
    assert wrong[["clip", "true", "predicted"]].to_numpy().tolist() == [
        ["f1-clip5", "neutral", "happy"],
        ["f1-clip1", "happy", "sad"],
    ]
    odds = np.exp([4.0, 2.0])
    assert wrong.probability.to_numpy() == pytest.approx(odds / (odds + 2), abs=5e-4)


def test_each_fold_has_its_scores_and_how_many_are_wrong(runs):
    found = behind(runs, "Ours", "Demo", synthetic=True)
    assert found.runs.to_numpy().tolist() == [
        [1, 0, 66.67, 66.67, 6, 2],
        [2, 0, 66.67, 66.67, 6, 2],
    ]
    assert len(found.wrong) == 4 and set(found.wrong.fold) == {1, 2}
    assert [title for title, _ in found.figures] == ["Learning curves", "Confusion matrix"]
    assert all(b"<svg" in content for _, content in found.figures)


def test_a_run_without_a_history_has_no_curves(runs, tmp_path):
    copy = shutil.copytree(runs, tmp_path / KEY)
    for path in copy.glob("*/history.parquet"):
        path.unlink()
    found = behind(copy, "Ours", "Demo", synthetic=True)
    assert [title for title, _ in found.figures] == ["Confusion matrix"]


def test_files_that_are_gone_are_named(tmp_path):
    with pytest.raises(UserError, match=r"metrics\.parquet of its runs is not here"):
        behind(tmp_path / KEY, "Ours", "Demo", synthetic=False)
