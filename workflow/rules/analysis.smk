"""What trained runs see: features, chosen clips, heat maps, t-SNE. Figures are views of it.

REQUIRED INPUTS: checkpoints and predictions of the runs, results/<dataset>/{splits/, store/}
OUTPUTS:
    results/<dataset>/runs/<settings>/fold<k>-seed<s>/features.parquet
    results/<dataset>/figures/figure<n>.examples.parquet      the clips that a figure shows
    results/<dataset>/figures/{maps,tsne}.<settings>.parquet  heat maps; features in the plane
"""


def first_seed(dataset, key, file):
    """The path of `file` in each fold of the runs `key`, of the first seed."""
    return expand(
        f"{RUN}/{file}",
        dataset=dataset,
        run=key,
        fold=DATASETS[dataset].folds,
        seed=EXPERIMENT.seeds[0],
    )


def frames_of_examples(wildcards):
    """T of a figure's second variant."""
    variant = list(COMPARED[wildcards.figure].values())[1]
    return EXPERIMENT.settings(wildcards.dataset, variant).model.frames


rule features:
    """Features and similarities of the fold's test clips."""
    input:
        checkpoint=f"{RUN}/checkpoint.safetensors",
        splits="results/{dataset}/splits/{fold}.parquet",
        packed=packed,
    output:
        f"{RUN}/features.parquet",
    log:
        f"{RUN_LOG}/features.log",
    conda:
        "../../environment.yml"
    threads: GPU_THREADS
    resources:
        gpu=GPU,
    params:
        **code("dfer.analysis.features", optional=PARTS, unused=unused_by_run, method=method),
        store=store,
    shell:
        "python -m dfer.dag.gpu {resources.gpu}"
        " python -m dfer.analysis.features"
        " --run-key {wildcards.run:q}"
        " --checkpoint {input.checkpoint:q}"
        " --splits {input.splits:q}"
        " --store {params.store:q}"
        " --threads {threads}"
        " --out {output:q}"
        " |& tee {log:q}"


rule examples:
    """Choose the clips that a figure shows, by a rule, and copy their frames."""
    input:
        first=lambda w: compared_files(w, w.figure, 0, "predictions.parquet"),
        second=lambda w: compared_files(w, w.figure, 1, "predictions.parquet"),
        packed=packed,
    output:
        "results/{dataset}/figures/{figure}.examples.parquet",
    log:
        "results/logs/{dataset}/figures/{figure}.examples.log",
    wildcard_constraints:
        figure="figure[24]",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.analysis.examples"),
        store=store,
        classes=classes,
        clips=lambda w: list(DATASETS[w.dataset].example_clips),
        frames=frames_of_examples,
    shell:
        "python -m dfer.analysis.examples"
        " --first {input.first:q}"
        " --second {input.second:q}"
        " --classes {params.classes:q}"
        " --example-clips {params.clips:q}"
        " --store {params.store:q}"
        " --frames {params.frames}"
        " --out {output:q}"
        " &> {log:q}"


rule maps:
    """Where one variant looks in the chosen clips."""
    input:
        checkpoints=lambda w: first_seed(w.dataset, w.run, "checkpoint.safetensors"),
        examples="results/{dataset}/figures/figure4.examples.parquet",
        packed=packed,
    output:
        "results/{dataset}/figures/maps.{run}.parquet",
    log:
        "results/logs/{dataset}/figures/maps.{run}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=GPU,
    params:
        **code("dfer.analysis.maps", optional=PARTS, unused=unused_by_run, method=method),
        store=store,
    shell:
        "python -m dfer.dag.gpu {resources.gpu}"
        " python -m dfer.analysis.maps"
        " --run-key {wildcards.run:q}"
        " --checkpoints {input.checkpoints:q}"
        " --examples {input.examples:q}"
        " --store {params.store:q}"
        " --threads {threads}"
        " --out {output:q}"
        " &> {log:q}"


rule tsne:
    """Features of one variant's test clips in the plane."""
    input:
        lambda w: first_seed(w.dataset, w.run, "features.parquet"),
    output:
        "results/{dataset}/figures/tsne.{run}.parquet",
    log:
        "results/logs/{dataset}/figures/tsne.{run}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.analysis.tsne"),
    shell:
        "python -m dfer.analysis.tsne" " --features {input:q}" " --out {output:q}" " &> {log:q}"
