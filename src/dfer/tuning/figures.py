"""One figure of a study, as PDF, SVG and PNG.

    python -m dfer.tuning.figures --storage study.journal --figure history
        --title "Demo (synthetic), study full" --out-stem history

`history`, `importances`, `slices`, `parallel` and `pareto` are Optuna's own; `curves` draws the
score after each epoch of every trial, complete and pruned ones apart.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import optuna
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as draw

from dfer.errors import UserError, stage
from dfer.figures import style

optuna.logging.set_verbosity(optuna.logging.WARNING)


def history(study: optuna.Study) -> Figure:
    """Scores trial by trial, and the best so far."""
    draw.plot_optimization_history(study, target=score(study), target_name=names(study)[0])
    return plt.gcf()


def importances(study: optuna.Study) -> Figure:
    """How much of the score's variance each parameter explains."""
    if len({trial.values[0] for trial in complete(study)}) < 2:
        return sentence("Too few trials are complete, or all score the same.")
    draw.plot_param_importances(
        study,
        evaluator=FanovaImportanceEvaluator(seed=0),  # Optuna's default, made repeatable
        target=score(study),
        target_name=names(study)[0],
    )
    return plt.gcf()


def slices(study: optuna.Study) -> Figure:
    """The score over each parameter by itself."""
    draw.plot_slice(study, target=score(study), target_name=names(study)[0])
    figure = plt.gcf()
    figure.set_size_inches(3.2 * len(distributions(study)), 3.2)
    for axes in figure.axes:
        if axes.get_xscale() == "log":
            few_ticks(axes.xaxis)
    return figure


def parallel(study: optuna.Study) -> Figure:
    """Each trial as a line through its parameters."""
    draw.plot_parallel_coordinate(study, target=score(study), target_name=names(study)[0])
    figure = plt.gcf()
    figure.set_size_inches(2.4 * len(distributions(study)), 4.8)
    space = distributions(study)
    scores, *parameters = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    scores.set_facecolor("#e5e5e5")  # on which pale lines can be seen
    for name, axes in zip(sorted(space), parameters, strict=True):
        if axes.get_yscale() == "log":
            few_ticks(axes.yaxis)
        elif isinstance(space[name], IntDistribution):
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def pareto(study: optuna.Study) -> Figure:
    """The trials that no other beats in both score and cost, among all."""
    draw.plot_pareto_front(study, target_names=names(study))
    return plt.gcf()


def curves(study: optuna.Study) -> Figure:
    """The score after each epoch: complete trials, pruned ones with a cross where they ended."""
    figure, axes = plt.subplots(figsize=(6.4, 4.0))
    best = max(complete(study), key=lambda trial: trial.values[0]).number
    for trial in study.trials:
        epochs, scores = list(trial.intermediate_values), list(trial.intermediate_values.values())
        if trial.state == TrialState.PRUNED:
            axes.plot(epochs, scores, color="tab:orange", alpha=0.6, linewidth=1)
            axes.plot(epochs[-1:], scores[-1:], "x", color="tab:orange")
        elif trial.state == TrialState.COMPLETE:
            line = {"linewidth": 2.5} if trial.number == best else {"alpha": 0.5, "linewidth": 1}
            axes.plot(epochs, scores, color="tab:blue", **line)
    axes.plot([], [], color="tab:blue", label="complete (the best is thick)")
    axes.plot([], [], "-x", color="tab:orange", label="pruned")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="epoch", ylabel=f"{names(study)[0]} on validation clips (%)")
    axes.legend()
    return figure


FIGURES: dict[str, tuple[Callable[[optuna.Study], Figure], str]] = {  # and what each shows
    "history": (history, "the score of each trial, and the best so far"),
    "importances": (
        importances,
        "how much of the score's variance each parameter explains (fANOVA)",
    ),
    "slices": (slices, "the score over each parameter by itself"),
    "parallel": (parallel, "each trial as a line through its parameters"),
    "curves": (curves, "the score after each epoch of every trial"),
    "pareto": (pareto, "the trials that no other beats in both score and cost, among all"),
}


def names(study: optuna.Study) -> list[str]:
    """The objectives as figures call them."""
    words = {"uar": "UAR", "war": "WAR", "mean": "mean of UAR and WAR", "macs": "MACs (G)"}
    return [words[name] for name in study.metric_names]


def score(study: optuna.Study) -> Callable[[FrozenTrial], float] | None:
    """What to draw of a trial; None is the value of a study with one objective."""
    return (lambda trial: trial.values[0]) if len(study.directions) > 1 else None


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have a score."""
    return [trial for trial in study.trials if trial.state == TrialState.COMPLETE]


def distributions(study: optuna.Study) -> dict[str, BaseDistribution]:
    """The space, by name."""
    return {name: own for trial in study.trials for name, own in trial.distributions.items()}


def few_ticks(axis: Axis) -> None:
    """Label a logarithmic axis as 3e-4, 0.001, 0.003, 0.01: as much as fits beside its like."""
    axis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.set_major_formatter(
        lambda x, _: f"{x:g}" if x >= 1e-3 else f"{x:.0e}".replace("e-0", "e-")
    )
    axis.set_minor_formatter(NullFormatter())


def remove_titles(figure: Figure) -> None:
    """Make room for ours."""
    figure.suptitle("")
    for axes in figure.axes:
        axes.set_title("")
        axes.set_title("", loc="left")


def sentence(text: str) -> Figure:
    """A figure that says why it is empty."""
    figure = plt.figure()
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def load(path: str) -> optuna.Study:
    """The study of a journal file that `dfer.tuning.best` wrote.

    Raises:
        UserError: there is none.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file. Run dfer.tuning.best, which writes it, first.")
    return optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(path)))


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--storage", required=True, help="the study as a journal file (dfer.tuning.best)")
    add("--figure", required=True, choices=sorted(FIGURES), help="name of the figure")
    add("--title", required=True, help="title to show (of dataset and study)")
    add("--out-stem", type=Path, required=True, help="output (path without .pdf, .svg, .png)")
    return top


def main(args: argparse.Namespace) -> None:
    """Draw one figure."""
    study = load(args.storage)
    draw_figure, caption = FIGURES[args.figure]
    with (
        plt.rc_context(),  # Optuna sets a style of its own for all figures to come
        warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning),
    ):
        figure = draw_figure(study)
        remove_titles(figure)
        style.write_heading(figure, args.title, caption)
        style.save(figure, args.out_stem)


if __name__ == "__main__":
    stage(main, parser())
