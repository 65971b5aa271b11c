"""Tuning with Optuna: rounds of trials, each trial a job.

REQUIRED INPUTS: results/<dataset>/{splits/, store/}, text features; config: tuning.<study>
OUTPUTS, below results/<dataset>/tuning/<study>/:
    rounds/<r>.json                    parameters that the sampler asks for, knowing earlier rounds
    trials/<r>.<k>.json                what became of each trial
    best.yaml                          the best settings; `tuned: <study>` of a variant reads them
    trials.parquet, study.journal      all trials; for `optuna-dashboard study.journal`
    figures/                           history, importances, slices, parallel, curves, pareto

Trials of a round run side by side, as many as cores, GPUs or cluster allow. A study is the same
whether they do or not, and whether it was killed and resumed.
"""

from dfer.tuning.study import Damaged, read_record

STUDY_LOG = STUDY.replace("results/", "results/logs/", 1)
STUDY_FIGURES = ["history", "importances", "slices", "parallel", "curves"]


def study(wildcards):
    """The study of a job, as the configuration has it."""
    return EXPERIMENT.study(wildcards.dataset, wildcards.study)


def study_settings(wildcards):
    """The settings of a study's trials, but for what it tunes."""
    return study(wildcards).trial_settings({})


def study_title(wildcards):
    """Whose study a figure shows."""
    dataset = DATASETS[wildcards.dataset]
    return f"{dataset.title}{' (synthetic)' * dataset.synthetic}, study {wildcards.study}"


COUNTED = {"dfer.models.flops"}


def unused_by_study(wildcards):
    """The count of operations, where it is no objective of the study."""
    return set() if "macs" in study(wildcards).objectives else COUNTED


def trials_of_rounds(wildcards, rounds):
    """The files of all trials of so many rounds.

    Refuses a study that was begun with another space or other settings, before anything is run
    or deleted.
    """
    own = study(wildcards)
    folder = STUDY.format(**wildcards)
    begun = Path(folder) / "rounds/0.json"
    if begun.exists():
        try:
            read_record(begun, own)
        except Damaged:
            pass  # made anew if its job did not end; else the job that reads it says so
        except UserError as error:
            sys.exit(f"error: {error}")
    return [
        f"{folder}/trials/{number}.{place}.json"
        for number in range(rounds)
        for place in range(own.width)
    ]


def trials_before(wildcards):
    """The trials of all earlier rounds, which the sampler and the pruner know."""
    return trials_of_rounds(wildcards, int(wildcards.round))


def all_trials(wildcards):
    """Every trial of a study."""
    return trials_of_rounds(wildcards, EXPERIMENT.rounds(wildcards.study))


def study_files():
    """What each study ends with: the best settings, all trials, figures."""
    paths = []
    for name in EXPERIMENT.studies:
        figures = STUDY_FIGURES + ["pareto"] * (len(EXPERIMENT.objectives(name)) > 1)
        paths += expand(
            f"{STUDY}/{{file}}",
            dataset=EXPERIMENT.study_datasets(name),
            study=name,
            file=["best.yaml", *(f"figures/{figure}.pdf" for figure in figures)],
        )
    return paths


rule suggest:
    """Ask the sampler for a round's parameters, from all trials of earlier rounds."""
    input:
        trials_before,
    output:
        f"{STUDY}/rounds/{{round}}.json",
    log:
        f"{STUDY_LOG}/suggest.{{round}}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tuning.suggest"),
        study=lambda w: study(w).to_json(),
    shell:
        "python -m dfer.tuning.suggest"
        " --study {params.study:q}"
        " --trials {input:q}"
        " --out {output:q}"
        " &> {log:q}"


rule trial:
    """Train with suggested parameters; score on the validation tenth of the train set."""
    input:
        asked=f"{STUDY}/rounds/{{round}}.json",
        before=trials_before,
        splits=lambda w: f"results/{w.dataset}/splits/{study(w).fold}.parquet",
        packed=packed,
        text=lambda w: text_features(w.dataset, study_settings(w)),
        start=lambda w: starts_from(study_settings(w)),
    output:
        f"{STUDY}/trials/{{round}}.{{place}}.json",
    log:
        f"{STUDY_LOG}/trial.{{round}}.{{place}}.log",
    conda:
        "../../environment.yml"
    threads: GPU_THREADS
    resources:
        gpu=GPU,
    params:
        **code(
            "dfer.tuning.trial",
            optional=COUNTED,
            unused=unused_by_study,
            method=lambda w: study_settings(w).model.module,
        ),
        store=store,
        text=text_flag,
        study=lambda w: study(w).to_json(),
        number=lambda w: int(w.round) * study(w).width + int(w.place),
        classes=classes,
    shell:
        "python -m dfer.dag.gpu {resources.gpu}"
        " python -m dfer.tuning.trial"
        " --study {params.study:q}"
        " --asked {input.asked:q}"
        " --number {params.number}"
        " --trials {input.before:q}"
        " --splits {input.splits:q}"
        " --store {params.store:q}"
        " {params.text:q}"
        " --classes {params.classes:q}"
        " --run-folders results/{wildcards.dataset}/runs"
        " --threads {threads}"
        " $DFER_TENSORBOARD"
        " --out {output:q}"
        " |& tee {log:q}"


checkpoint best:
    """Close a study: its best settings, all trials, a storage of Optuna."""
    input:
        all_trials,
    output:
        best=f"{STUDY}/best.yaml",
        table=f"{STUDY}/trials.parquet",
        storage=f"{STUDY}/study.journal",
    log:
        f"{STUDY_LOG}/best.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tuning.best"),
        study=lambda w: study(w).to_json(),
    shell:
        "python -m dfer.tuning.best"
        " --study {params.study:q}"
        " --trials {input:q}"
        " --out-best {output.best:q}"
        " --out-table {output.table:q}"
        " --out-storage {output.storage:q}"
        " |& tee {log:q}"


rule tuning_figure:
    """One figure of a study."""
    input:
        f"{STUDY}/study.journal",
    output:
        multiext(f"{STUDY}/figures/{{figure}}", ".pdf", ".png"),
        report(
            f"{STUDY}/figures/{{figure}}.svg",
            category="Tuning",
            subcategory="{dataset}",
            labels={"study": "{study}", "figure": "{figure}"},
            caption="../report/tuning.rst",
        ),
    log:
        f"{STUDY_LOG}/{{figure}}.log",
    wildcard_constraints:
        figure="|".join([*STUDY_FIGURES, "pareto"]),
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tuning.figures"),
        title=study_title,
        out_stem=without_suffix(".pdf"),
    shell:
        "python -m dfer.tuning.figures"
        " --storage {input:q}"
        " --figure {wildcards.figure}"
        " --title {params.title:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


rule tune:
    """All studies of the configuration."""
    input:
        study_files(),


localrules:
    tune,
