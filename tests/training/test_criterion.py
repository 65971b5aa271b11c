"""The prior in the cross-entropy: against numpy, in every method, and nothing at λ = 0."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import CLASSES
from test_on_gpu import TEXT, of_method

from dfer.errors import UserError
from dfer.models.method import build
from dfer.settings import RunSettings, TrainSettings, methods
from dfer.training.criterion import criterion_of

CPU = torch.device("cpu")
LABELS = [0] * 12 + [1] * 3 + [2] * 1  # of the clips that are trained on


def by_hand(s, target, prior, smoothing):
    """The mean over clips of −Σ_j q_j ln softmax(s + λ ln π)_j, q smoothed, one by one."""
    shares = np.array([12, 3, 1]) / 16
    total = 0.0
    for logits, label in zip(s, target, strict=True):
        odds = np.exp(logits) * shares**prior  # exp(s + λ ln π)
        for j, odd in enumerate(odds):
            q = smoothing / 3 + (1 - smoothing) * (j == label)
            total -= q * np.log(odd / odds.sum())
    return total / len(s)


@pytest.mark.parametrize("prior", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_the_equation(prior, smoothing):
    rng = np.random.default_rng(0)
    s, target = rng.normal(0, 3, (20, 3)), rng.integers(0, 3, 20)
    recipe = TrainSettings(prior=prior, label_smoothing=smoothing)
    criterion = criterion_of(recipe, LABELS, CLASSES, CPU)
    found = criterion(torch.tensor(s, dtype=torch.float32), torch.tensor(target)).item()
    assert found == pytest.approx(by_hand(s, target, prior, smoothing), rel=1e-5)


def test_the_best_logits_are_those_of_balanced_classes():
    """One input, of class j in π_j of the clips: ln p is learnt without λ, and nothing with it."""
    target = torch.tensor(LABELS)
    for prior, expected in ((0.0, np.log(np.array([12, 3, 1]) / 16)), (1.0, np.zeros(3))):
        s = torch.zeros(3, requires_grad=True)
        optimiser = torch.optim.LBFGS([s], max_iter=200, tolerance_grad=1e-9)
        criterion = criterion_of(TrainSettings(prior=prior), LABELS, CLASSES, CPU)

        def closure(s=s, optimiser=optimiser, criterion=criterion):
            optimiser.zero_grad()
            loss = criterion(s.expand(16, 3), target)
            loss.backward()
            return loss

        optimiser.step(closure)
        found = s.detach().numpy()
        assert found - found.mean() == pytest.approx(expected - expected.mean(), abs=1e-3)


def test_a_class_without_train_clips_is_refused_only_where_its_prior_is_needed():
    with pytest.raises(UserError, match=r"no train clip is of class 'neutral'.*`prior: 0`"):
        criterion_of(TrainSettings(prior=1.0), [0, 1, 1], CLASSES, CPU)
    criterion_of(TrainSettings(), [0, 1, 1], CLASSES, CPU)


def test_no_prior_is_the_loss_and_the_run_that_it_always_was():
    """Also of a recipe that is smoothed: no addition of zeros, and no other name."""
    plain = criterion_of(TrainSettings(label_smoothing=0.1), LABELS, CLASSES, CPU)
    assert plain.func is F.cross_entropy and plain.keywords == {"label_smoothing": 0.1}
    none = {"prior": 0, "balanced": False, "hold_out": False}
    assert RunSettings.from_dict({"train": none}).to_json() == RunSettings().to_json()
    assert not set(none) & set(json.loads(RunSettings().to_json())["train"])
    keys = {RunSettings.from_dict({"train": {k: 1}}).key for k in none} | {RunSettings().key}
    assert len(keys) == 4


@pytest.mark.parametrize("name", [n for n in methods() if n != "zero_shot"])
def test_every_method_minimises_the_recipe_s_cross_entropy_of_its_classes(name):
    """What each adds of its own goes on: the loss is another by what the cross-entropies differ."""
    own = of_method(name)
    shift = 0.5 * np.log(np.bincount(LABELS) / len(LABELS))
    moved, seen = torch.tensor(shift, dtype=torch.float32), []

    def plain(logits, labels):
        return F.cross_entropy(logits, labels)

    corrected = criterion_of(TrainSettings(prior=0.5), LABELS, CLASSES, CPU)

    def recorded(logits, labels):
        assert logits.shape == (6, 3) and logits.dtype == torch.float32
        seen.append(F.cross_entropy(logits + moved, labels) - F.cross_entropy(logits, labels))
        return corrected(logits, labels)

    torch.manual_seed(0)
    model = build(own.model, own.backbone, CLASSES, TEXT).eval()
    side = model.image_size
    clips = torch.randn(6, own.model.frames, 3, side, side)
    labels, losses = torch.tensor([0, 0, 0, 1, 1, 2]), []
    for criterion in (plain, recorded):
        torch.manual_seed(1)  # EST draws orders
        losses.append(model.loss_of_clips(clips, labels, criterion)[0].item())
    assert seen and losses[1] != losses[0]
    if name != "ial":  # whose auxiliary classifiers weigh less
        assert losses[1] - losses[0] == pytest.approx(sum(seen).item(), rel=1e-3, abs=1e-5)
