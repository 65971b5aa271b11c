"""Which clips a run trains on, and how often their classes are."""

import numpy as np
import pandas as pd
import pytest
from conftest import CLASSES

from dfer.errors import UserError
from dfer.settings import TrainSettings
from dfer.training.share import chosen
from dfer.training.train_set import log_prior, trained


@pytest.fixture
def fold(tiny_store):
    splits = tiny_store[1]
    return splits[splits.fold == 2]


def names(fold, **recipe):
    return set(fold["clip"][trained(fold, TrainSettings(**recipe), 0)])


def test_the_tenth_is_left_out_by_the_rule_val_or_where_it_is_said(fold):
    train = set(fold["clip"][fold.split == "train"])
    held_out = set(fold["clip"][fold.held_out])
    assert held_out and held_out < train
    assert names(fold) == names(fold, checkpoint="test") == train
    assert names(fold, checkpoint="val") == names(fold, hold_out=True) == train - held_out


def test_a_share_is_of_what_is_left(fold):
    rest = fold[(fold.split == "train") & ~fold.held_out]
    expected = rest["clip"][chosen(rest["clip"].tolist(), rest.label.tolist(), 0.4, 0)]
    assert names(fold, share=0.4, hold_out=True) == set(expected)


def test_test_labels_change_nothing(fold):
    test = fold.split == "test"
    other = fold.assign(label=fold.label.where(~test, fold.label.shift(-1)))
    assert (other.label != fold.label).any()
    for recipe in ({"share": 0.4}, {"hold_out": True, "share": 0.7}):
        assert names(other, **recipe) == names(fold, **recipe)


def test_the_prior_by_hand():
    labels = [0] * 6 + [2] * 3 + [1]
    assert log_prior(labels, CLASSES) == pytest.approx(np.log([0.6, 0.1, 0.3]))
    with pytest.raises(UserError, match="no train clip is of class 'sad'"):
        log_prior([0, 2, 2], CLASSES)


def test_it_works_on_an_index_of_any_kind(fold):
    shuffled = fold.sample(frac=1, random_state=0)
    assert names(shuffled, share=0.4) == names(fold, share=0.4)
    assert isinstance(trained(shuffled, TrainSettings(), 0), pd.Series)
