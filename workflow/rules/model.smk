"""Training and evaluation: one job a dataset, settings of a variant, fold and seed.

REQUIRED INPUTS: results/<dataset>/{splits.parquet, store/}, the CLIP of the configuration
OUTPUTS, below results/<dataset>/:
    text.<clip>.safetensors                              features of the class words
    runs/<settings>/fold<k>-seed<s>/checkpoint.safetensors, history.parquet, run.json
    runs/<settings>/fold<k>-seed<s>/predictions.parquet, metrics.parquet
"""

RUN = "results/{dataset}/runs/{run}/fold{fold}-seed{seed}"


def settings(wildcards):
    """The settings of a run."""
    return SETTINGS[wildcards.dataset, wildcards.run]


def text_of(wildcards):
    """The class words' features of the run's CLIP."""
    return f"results/{wildcards.dataset}/text.{text_key(settings(wildcards).clip)}.safetensors"


def clip_files(clip):
    """The files of a CLIP that lie on this disk: its JSON configuration, its weights."""
    paths = [clip.model] * clip.model.endswith(".json")
    weights = clip.weights or ""
    return paths + [weights] * (weights.startswith("results/") or Path(weights).is_file())


def unused_by(wildcards):
    """Modules of the model that the run's variant does not use."""
    return unused_modules(settings(wildcards))


CLIPS = {text_key(s.clip): s.clip for s in SETTINGS.values()}


rule text:
    """Features of the class words from the frozen text tower, computed once."""
    input:
        lambda w: clip_files(CLIPS[w.clip]),
    output:
        "results/{dataset}/text.{clip}.safetensors",
    log:
        "results/logs/{dataset}/text.{clip}.log",
    params:
        **code("dfer.text"),
        clip=lambda w: json.dumps({"model": CLIPS[w.clip].model, "weights": CLIPS[w.clip].weights}),
        words=lambda w: [f"'{word}'" for word in DATASETS[w.dataset]["classes"].values()],
    shell:
        "python -m dfer.text --clip {params.clip:q} --words {params.words} --out {output} &> {log}"


rule train:
    """Train one run; a killed one goes on from its last epoch."""
    input:
        splits="results/{dataset}/splits.parquet",
        store=shards("results/{dataset}/store/{shard}.arrow"),
        text=text_of,
        clip=lambda w: clip_files(settings(w).clip),
    output:
        checkpoint=f"{RUN}/checkpoint.safetensors",
        history=f"{RUN}/history.parquet",
        record=f"{RUN}/run.json",
    log:
        f"results/logs/{RUN.removeprefix('results/')}/train.log",
    threads: 4 if GPUS else 1
    resources:
        gpu=1 if GPUS else 0,
    params:
        **code("dfer.train", unused=unused_by),
        store=lambda w, input: str(Path(input.store[0]).parent),
        classes=lambda w: [f"'{label}'" for label in DATASETS[w.dataset]["classes"]],
        settings=lambda w: settings(w).to_json(),
    shell:
        "python -m dfer.train --dataset {wildcards.dataset} --splits {input.splits}"
        " --fold {wildcards.fold} --store {params.store} --text {input.text} --classes {params.classes}"
        " --settings {params.settings:q} --seed {wildcards.seed} --threads {threads}"
        " --checkpoint {output.checkpoint} --history {output.history} --record {output.record}"
        " |& tee {log}"


rule evaluate:
    """Predict the fold's test clips and measure."""
    input:
        checkpoint=f"{RUN}/checkpoint.safetensors",
        splits="results/{dataset}/splits.parquet",
        store=shards("results/{dataset}/store/{shard}.arrow"),
        clip=lambda w: clip_files(settings(w).clip)[:1],
    output:
        predictions=f"{RUN}/predictions.parquet",
        metrics=f"{RUN}/metrics.parquet",
    log:
        f"results/logs/{RUN.removeprefix('results/')}/evaluate.log",
    threads: 4 if GPUS else 1
    resources:
        gpu=1 if GPUS else 0,
    params:
        **code("dfer.evaluate", unused=unused_by),
        store=lambda w, input: str(Path(input.store[0]).parent),
    shell:
        "python -m dfer.evaluate --checkpoint {input.checkpoint} --splits {input.splits}"
        " --store {params.store} --threads {threads} --predictions {output.predictions}"
        " --metrics {output.metrics} |& tee {log}"
