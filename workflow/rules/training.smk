"""Training and evaluation: one job a dataset, settings of a variant, fold and seed.

REQUIRED INPUTS: results/<dataset>/{splits/, store/}, the CLIP of the configuration
OUTPUTS, below results/<dataset>/:
    text.<backbone>.safetensors                          features of the class words
    runs/<settings>/fold<k>-seed<s>/checkpoint.safetensors, history.parquet, run.json
    runs/<settings>/fold<k>-seed<s>/predictions.parquet, metrics.parquet
    runs/<settings>/fold<k>-seed<s>/held_out.parquet     of a run that has held out train clips
    runs/corrected.<digest>/fold<k>-seed<s>/predictions.parquet, metrics.parquet, correction.json
    speed/<settings>.json                                speed and memory on this machine
"""

BACKBONES = {
    backbone_key(own.backbone): own.backbone for own in SETTINGS.values() if own.model.uses_clip
}
PINNED_FILES = {pinned.file: name for name, pinned in PINNED.items()}
TRAINED_RUN = rf"(?!{CORRECTED}\.)[\w+-]+\.[0-9a-f]{{8}}"


def corrected_from(wildcards):
    """What the predictions of a corrected run are made of."""
    own, other = CORRECTIONS[wildcards.dataset, wildcards.run]
    place = {"dataset": wildcards.dataset, "fold": wildcards.fold, "seed": wildcards.seed}
    return {
        "uncorrected": f"{RUN}/predictions.parquet".format(run=own, **place),
        "record": f"{RUN}/run.json".format(run=own, **place),
        "held_out": f"{RUN}/held_out.parquet".format(run=other, **place),
        "splits": "results/{dataset}/splits/{fold}.parquet".format(**place),
    }


rule text:
    """Features of the class words from the frozen text tower, computed once."""
    input:
        lambda w: backbone_files(BACKBONES[w.backbone]),
    output:
        "results/{dataset}/text.{backbone}.safetensors",
    log:
        "results/logs/{dataset}/text.{backbone}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.training.text"),
        backbone=lambda w: as_json(
            {"model": BACKBONES[w.backbone].model, "weights": BACKBONES[w.backbone].weights}
        ),
        classes=classes,
    shell:
        "python -m dfer.training.text"
        " --backbone {params.backbone:q}"
        " --classes {params.classes:q}"
        " --out {output:q}"
        " &> {log:q}"


rule weights:
    """Weights that networks without CLIP may start from, downloaded once and checked."""
    output:
        f"{WEIGHTS}/{{file}}.pth",
    log:
        "results/logs/weights/{file}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.training.weights"),
        name=lambda w: PINNED_FILES[f"{w.file}.pth"],
    shell:
        "python -m dfer.training.weights"
        " --name {params.name:q}"
        " --out {output:q}"
        " |& tee {log:q}"


rule train:
    """Train one run; a killed one goes on from the epoch it saved last."""
    input:
        splits="results/{dataset}/splits/{fold}.parquet",
        packed=packed,
        text=lambda w: text_features(w.dataset, settings(w)),
        start=lambda w: starts_from(settings(w)),
        tuned=study_result,
    output:
        checkpoint=f"{RUN}/checkpoint.safetensors",
        history=f"{RUN}/history.parquet",
        record=f"{RUN}/run.json",
    log:
        f"{RUN_LOG}/train.log",
    wildcard_constraints:
        run=TRAINED_RUN,
    conda:
        "../../environment.yml"
    threads: GPU_THREADS
    resources:
        gpu=GPU,
    params:
        **code("dfer.training.train", optional=PARTS, unused=unused_by_run, method=method),
        store=store,
        classes=classes,
        synthetic=synthetic,
        landmark_settings=landmark_settings,
        text=text_flag,
        settings=lambda w: settings(w).to_json(),
    shell:
        "python -m dfer.dag.gpu {resources.gpu}"
        " python -m dfer.training.train"
        " --dataset {wildcards.dataset:q}"
        " --classes {params.classes:q}"
        " --landmark-settings {params.landmark_settings:q}"
        " {params.synthetic:q}"
        " --splits {input.splits:q}"
        " --fold {wildcards.fold}"
        " --store {params.store:q}"
        " {params.text:q}"
        " --settings {params.settings:q}"
        " --seed {wildcards.seed}"
        " --threads {threads}"
        " $DFER_TENSORBOARD"
        " --out-checkpoint {output.checkpoint:q}"
        " --out-history {output.history:q}"
        " --out-record {output.record:q}"
        " |& tee {log:q}"


rule evaluate:
    """Predict the fold's test clips and measure."""
    input:
        checkpoint=f"{RUN}/checkpoint.safetensors",
        splits="results/{dataset}/splits/{fold}.parquet",
        packed=packed,
    output:
        predictions=f"{RUN}/predictions.parquet",
        metrics=f"{RUN}/metrics.parquet",
    log:
        f"{RUN_LOG}/evaluate.log",
    wildcard_constraints:
        run=TRAINED_RUN,
    conda:
        "../../environment.yml"
    threads: GPU_THREADS
    resources:
        gpu=GPU,
    params:
        **code("dfer.training.evaluate", optional=PARTS, unused=unused_by_run, method=method),
        store=store,
    shell:
        "python -m dfer.dag.gpu {resources.gpu}"
        " python -m dfer.training.evaluate"
        " --run-key {wildcards.run:q}"
        " --checkpoint {input.checkpoint:q}"
        " --splits {input.splits:q}"
        " --store {params.store:q}"
        " --threads {threads}"
        " --out-predictions {output.predictions:q}"
        " --out-metrics {output.metrics:q}"
        " |& tee {log:q}"


rule held_out:
    """Predict the train clips that a run has held out."""
    input:
        checkpoint=f"{RUN}/checkpoint.safetensors",
        splits="results/{dataset}/splits/{fold}.parquet",
        packed=packed,
    output:
        f"{RUN}/held_out.parquet",
    log:
        f"{RUN_LOG}/held_out.log",
    conda:
        "../../environment.yml"
    threads: GPU_THREADS
    resources:
        gpu=GPU,
    params:
        **code("dfer.training.held_out", optional=PARTS, unused=unused_by_run, method=method),
        store=store,
    shell:
        "python -m dfer.dag.gpu {resources.gpu}"
        " python -m dfer.training.held_out"
        " --run-key {wildcards.run:q}"
        " --checkpoint {input.checkpoint:q}"
        " --splits {input.splits:q}"
        " --store {params.store:q}"
        " --threads {threads}"
        " --out {output:q}"
        " |& tee {log:q}"


rule correct:
    """Take the class prior out of a run's predictions; nothing is trained."""
    input:
        unpack(corrected_from),
    output:
        predictions=f"{RUN}/predictions.parquet",
        metrics=f"{RUN}/metrics.parquet",
        record=f"{RUN}/correction.json",
    log:
        f"{RUN_LOG}/correct.log",
    wildcard_constraints:
        run=rf"{CORRECTED}\.[0-9a-f]{{8}}",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.training.correct"),
        prior=lambda w: EXPERIMENT.variants[KNOWN_RUNS[w.dataset, w.run][0]].corrected.prior,
    shell:
        "python -m dfer.training.correct"
        " --run-key {wildcards.run:q}"
        " --uncorrected {input.uncorrected:q}"
        " --record {input.record:q}"
        " --held-out {input.held_out:q}"
        " --splits {input.splits:q}"
        " --prior {params.prior}"
        " --out-predictions {output.predictions:q}"
        " --out-metrics {output.metrics:q}"
        " --out-record {output.record:q}"
        " |& tee {log:q}"


rule speed:
    """How fast a variant trains and predicts here, while no other job runs beside it."""
    input:
        splits=lambda w: f"results/{w.dataset}/splits/{DATASETS[w.dataset].folds[0]}.parquet",
        packed=packed,
        text=lambda w: text_features(w.dataset, settings(w)),
        start=lambda w: starts_from(settings(w)),
    output:
        "results/{dataset}/speed/{run}.json",
    log:
        "results/logs/{dataset}/speed/{run}.log",
    conda:
        "../../environment.yml"
    threads: max(GPU_THREADS, workflow.cores or 1)
    resources:
        gpu=GPU,
    params:
        **code("dfer.training.speed", optional=PARTS, unused=unused_by_run, method=method),
        fold=lambda w: DATASETS[w.dataset].folds[0],
        seed=EXPERIMENT.seeds[0],
        store=store,
        classes=classes,
        text=text_flag,
        settings=lambda w: settings(w).to_json(),
        computing=GPU_THREADS,
    shell:
        "python -m dfer.dag.gpu {resources.gpu}"
        " python -m dfer.training.speed"
        " --classes {params.classes:q}"
        " --splits {input.splits:q}"
        " --fold {params.fold}"
        " --store {params.store:q}"
        " {params.text:q}"
        " --settings {params.settings:q}"
        " --seed {params.seed}"
        " --threads {params.computing}"
        " --out {output:q}"
        " |& tee {log:q}"
