"""Tuning with Optuna: rounds of trials, each trial a job.

REQUIRED INPUTS: results/<dataset>/{splits/, store/}, text features; config: tuning.<study>
OUTPUTS, below results/<dataset>/tuning/<study>/:
    rounds/<r>.json                    parameters that the sampler asks for, knowing earlier rounds
    trials/<r>.<k>.json                what became of each trial
    best.yaml                          the best settings; `tuned: <study>` of a variant reads them
    trials.parquet, study.journal      all trials; for `optuna-dashboard study.journal`
    figures/                           history, importances, slices, parallel, curves, pareto

Trials of a round run side by side, as many as cores, cards or cluster allow. A study is the same
whether they do or not, and whether it was killed and resumed.
"""


rule suggest:
    """Ask the sampler for a round's parameters, from all trials of earlier rounds."""
    input:
        trials_before,
    output:
        f"{STUDY}/rounds/{{round}}.json",
    log:
        "results/logs/{dataset}/tuning/{study}/suggest.{round}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tuning.suggest"),
        study=lambda w: study(w).to_json(),
    shell:
        "python -m dfer.tuning.suggest --study {params.study:q} --trials {input} --out {output}"
        " &> {log}"


rule trial:
    """Train with suggested parameters; score on the validation tenth of the train set."""
    input:
        asked=f"{STUDY}/rounds/{{round}}.json",
        before=trials_before,
        splits=study_splits,
        store=shards("results/{dataset}/store/{shard}.arrow"),
        text=study_text,
        clip=study_clip,
    output:
        f"{STUDY}/trials/{{round}}.{{place}}.json",
    log:
        "results/logs/{dataset}/tuning/{study}/trial.{round}.{place}.log",
    conda:
        "../../environment.yml"
    threads: 4 if GPUS else 1
    resources:
        gpu=1 if GPUS else 0,
    params:
        **code("dfer.tuning.trial", unused=unused_by_study),
        study=lambda w: study(w).to_json(),
        number=lambda w: int(w.round) * study(w).width + int(w.place),
        store=lambda w, input: str(Path(input.store[0]).parent),
        classes=lambda w: [f"'{label}'" for label in DATASETS[w.dataset]["classes"]],
    shell:
        "python -m dfer.card {resources.gpu} python -m dfer.tuning.trial --study {params.study:q} --asked {input.asked}"
        " --number {params.number} --trials {input.before} --splits {input.splits}"
        " --store {params.store} --text {input.text} --classes {params.classes}"
        " --runs results/{wildcards.dataset}/runs --threads {threads} --out {output} |& tee {log}"


checkpoint best:
    """Close a study: its best settings, all trials, a storage of Optuna."""
    input:
        all_trials,
    output:
        best=f"{STUDY}/best.yaml",
        table=f"{STUDY}/trials.parquet",
        storage=f"{STUDY}/study.journal",
    log:
        "results/logs/{dataset}/tuning/{study}/best.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tuning.best"),
        study=lambda w: study(w).to_json(),
    shell:
        "python -m dfer.tuning.best --study {params.study:q} --trials {input} --best {output.best}"
        " --table {output.table} --storage {output.storage} |& tee {log}"


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
        "results/logs/{dataset}/tuning/{study}/{figure}.log",
    wildcard_constraints:
        figure="history|importances|slices|parallel|curves|pareto",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tuning.figures"),
        title=study_title,
        out=lambda w, output: output[0].removesuffix(".pdf"),
    shell:
        "python -m dfer.tuning.figures --storage {input} --figure {wildcards.figure}"
        " --title {params.title:q} --out {params.out} &> {log}"


rule tune:
    """All studies of the configuration."""
    input:
        study_files(),


localrules:
    tune,
