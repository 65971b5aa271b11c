"""Training and evaluation: one job a dataset, settings of a variant, fold and seed.

REQUIRED INPUTS: results/<dataset>/{splits/, store/}, the CLIP of the configuration
OUTPUTS, below results/<dataset>/:
    text.<clip>.safetensors                              features of the class words
    runs/<settings>/fold<k>-seed<s>/checkpoint.safetensors, history.parquet, run.json
    runs/<settings>/fold<k>-seed<s>/predictions.parquet, metrics.parquet
"""


rule text:
    """Features of the class words from the frozen text tower, computed once."""
    input:
        lambda w: clip_files(CLIPS[w.clip]),
    output:
        "results/{dataset}/text.{clip}.safetensors",
    log:
        "results/logs/{dataset}/text.{clip}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.text"),
        clip=lambda w: json.dumps({"model": CLIPS[w.clip].model, "weights": CLIPS[w.clip].weights}),
        words=lambda w: [f"'{word}'" for word in DATASETS[w.dataset]["classes"].values()],
    shell:
        "python -m dfer.text --clip {params.clip:q} --words {params.words} --out {output} &> {log}"


rule train:
    """Train one run; a killed one goes on from the epoch it saved last."""
    input:
        splits="results/{dataset}/splits/{fold}.parquet",
        store=shards("results/{dataset}/store/{shard}.arrow"),
        text=text_of,
        clip=lambda w: clip_files(settings(w).clip),
        tuned=found_by_study,
    output:
        checkpoint=f"{RUN}/checkpoint.safetensors",
        history=f"{RUN}/history.parquet",
        record=f"{RUN}/run.json",
    log:
        f"results/logs/{RUN.removeprefix('results/')}/train.log",
    conda:
        "../../environment.yml"
    threads: 4 if GPUS else 1
    resources:
        gpu=1 if GPUS else 0,
    params:
        **code("dfer.train", unused=unused_by),
        store=lambda w, input: str(Path(input.store[0]).parent),
        classes=lambda w: [f"'{label}'" for label in DATASETS[w.dataset]["classes"]],
        settings=lambda w: settings(w).to_json(),
    shell:
        "python -m dfer.card {resources.gpu} python -m dfer.train --dataset {wildcards.dataset} --splits {input.splits}"
        " --fold {wildcards.fold} --store {params.store} --text {input.text} --classes {params.classes}"
        " --settings {params.settings:q} --seed {wildcards.seed} --threads {threads}"
        " --checkpoint {output.checkpoint} --history {output.history} --record {output.record}"
        " |& tee {log}"


rule evaluate:
    """Predict the fold's test clips and measure."""
    input:
        checkpoint=f"{RUN}/checkpoint.safetensors",
        splits="results/{dataset}/splits/{fold}.parquet",
        store=shards("results/{dataset}/store/{shard}.arrow"),
        clip=lambda w: clip_files(settings(w).clip)[:1],
    output:
        predictions=f"{RUN}/predictions.parquet",
        metrics=f"{RUN}/metrics.parquet",
    log:
        f"results/logs/{RUN.removeprefix('results/')}/evaluate.log",
    conda:
        "../../environment.yml"
    threads: 4 if GPUS else 1
    resources:
        gpu=1 if GPUS else 0,
    params:
        **code("dfer.evaluate", unused=unused_by),
        store=lambda w, input: str(Path(input.store[0]).parent),
    shell:
        "python -m dfer.card {resources.gpu} python -m dfer.evaluate --run {wildcards.run} --checkpoint {input.checkpoint}"
        " --splits {input.splits} --store {params.store} --threads {threads} --predictions {output.predictions}"
        " --metrics {output.metrics} |& tee {log}"
