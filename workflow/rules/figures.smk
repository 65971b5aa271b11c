"""Figures 2, 4 and 5 of the paper, and those by which a reader judges the numbers.

REQUIRED INPUTS: the runs of the variants that a figure compares (COMPARED, inputs.smk)
OUTPUTS:
    results/<dataset>/runs/<settings>/fold<k>-seed<s>/features.parquet
    results/<dataset>/figures/figure<n>.examples.parquet      the clips that a figure shows
    results/<dataset>/figures/{maps,tsne}.<settings>.parquet  heat maps; features in the plane
    results/figures/<dataset>/<figure>.{pdf,svg,png}          views of those tables
"""


rule features:
    """Features and similarities of the fold's test clips."""
    input:
        checkpoint=f"{RUN}/checkpoint.safetensors",
        splits="results/{dataset}/splits/{fold}.parquet",
        store=shards("results/{dataset}/store/{shard}.arrow"),
        clip=lambda w: clip_files(settings(w).clip)[:1],
    output:
        f"{RUN}/features.parquet",
    log:
        f"results/logs/{RUN.removeprefix('results/')}/features.log",
    conda:
        "../../environment.yml"
    threads: 4 if GPUS else 1
    resources:
        gpu=1 if GPUS else 0,
    params:
        **code("dfer.features", unused=unused_by),
        store=lambda w, input: str(Path(input.store[0]).parent),
    shell:
        "python -m dfer.card {resources.gpu} python -m dfer.features --run {wildcards.run} --checkpoint {input.checkpoint}"
        " --splits {input.splits} --store {params.store} --threads {threads} --out {output} |& tee {log}"


rule examples:
    """Choose the clips that a figure shows, by a rule, and copy their frames."""
    input:
        first=one_variant(None, 0, "predictions.parquet"),
        second=one_variant(None, 1, "predictions.parquet"),
        store=shards("results/{dataset}/store/{shard}.arrow"),
    output:
        "results/{dataset}/figures/{figure}.examples.parquet",
    log:
        "results/logs/{dataset}/figures/{figure}.examples.log",
    wildcard_constraints:
        figure="figure[24]",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.examples"),
        classes=lambda w: [f"'{label}'" for label in DATASETS[w.dataset]["classes"]],
        clips=lambda w: [
            f"'{clip}'" for clip in DATASETS[w.dataset].get("figures", {}).get("clips", [])
        ],
        frames=lambda w: settings_of(w.dataset, list(COMPARED[w.figure].values())[1]).model.frames,
    shell:
        "python -m dfer.examples --first {input.first} --second {input.second}"
        " --classes {params.classes} --clips {params.clips} --store {input.store}"
        " --frames {params.frames} --out {output} &> {log}"


rule example_maps:
    """Where one variant looks in the chosen clips."""
    input:
        checkpoints=lambda w: first_seed(w.dataset, w.run, "checkpoint.safetensors"),
        examples="results/{dataset}/figures/figure4.examples.parquet",
        store=shards("results/{dataset}/store/{shard}.arrow"),
        clip=lambda w: clip_files(settings(w).clip)[:1],
    output:
        "results/{dataset}/figures/maps.{run}.parquet",
    log:
        "results/logs/{dataset}/figures/maps.{run}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=1 if GPUS else 0,
    params:
        **code("dfer.example_maps", unused=unused_by),
        store=lambda w, input: str(Path(input.store[0]).parent),
    shell:
        "python -m dfer.card {resources.gpu} python -m dfer.example_maps --run {wildcards.run} --checkpoints {input.checkpoints}"
        " --examples {input.examples} --store {params.store} --threads {threads} --out {output} &> {log}"


rule embedding:
    """Features of one variant's test clips in the plane, by t-SNE."""
    input:
        lambda w: first_seed(w.dataset, w.run, "features.parquet"),
    output:
        "results/{dataset}/figures/tsne.{run}.parquet",
    log:
        "results/logs/{dataset}/figures/tsne.{run}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.embedding"),
    shell:
        "python -m dfer.embedding --features {input} --out {output} &> {log}"


rule figure2:
    """Fig. 2: similarity to each class text, with a text prompt and with both prompts."""
    input:
        first=one_variant("figure2", 0, "features.parquet"),
        second=one_variant("figure2", 1, "features.parquet"),
        examples="results/{dataset}/figures/figure2.examples.parquet",
    output:
        **views("figure2", "Fig. 2: similarity to class texts"),
    log:
        "results/logs/{dataset}/figures/figure2.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.similarity"),
        dataset=figure_dataset,
        runs=figure_runs("figure2"),
        out=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m dfer.figures.similarity --examples {input.examples} --features {input.first} {input.second}"
        " --dataset {params.dataset:q} --runs {params.runs:q} --out {params.out} &> {log}"


rule figure4:
    """Fig. 4: heat maps over the frames, without and with text."""
    input:
        maps=per_variant("figure4", "results/{dataset}/figures/maps.{run}.parquet"),
        examples="results/{dataset}/figures/figure4.examples.parquet",
    output:
        **views("figure4", "Fig. 4: heat maps"),
    log:
        "results/logs/{dataset}/figures/figure4.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.heatmaps"),
        dataset=figure_dataset,
        runs=figure_runs("figure4"),
        out=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m dfer.figures.heatmaps --examples {input.examples} --maps {input.maps}"
        " --dataset {params.dataset:q} --runs {params.runs:q} --out {params.out} &> {log}"


rule figure5:
    """Fig. 5: t-SNE of the features of baseline and full model, fold by fold."""
    input:
        per_variant("figure5", "results/{dataset}/figures/tsne.{run}.parquet"),
    output:
        **views("figure5", "Fig. 5: t-SNE"),
    log:
        "results/logs/{dataset}/figures/figure5.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.embedding"),
        dataset=figure_dataset,
        runs=figure_runs("figure5"),
        out=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m dfer.figures.embedding --points {input}"
        " --dataset {params.dataset:q} --runs {params.runs:q} --out {params.out} &> {log}"


rule confusion_matrices:
    """Which expression is taken for which."""
    input:
        all_runs("confusion", "metrics.parquet"),
    output:
        **views("confusion", "Confusion matrices"),
    log:
        "results/logs/{dataset}/figures/confusion.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.confusion"),
        dataset=figure_dataset,
        runs=figure_runs("confusion"),
        out=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m dfer.figures.confusion --metrics {input}"
        " --dataset {params.dataset:q} --runs {params.runs:q} --out {params.out} &> {log}"


rule recall:
    """Recall of each class, with its spread."""
    input:
        all_runs("recall", "metrics.parquet"),
    output:
        **views("recall", "Recall of each class"),
    log:
        "results/logs/{dataset}/figures/recall.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.recall"),
        dataset=figure_dataset,
        runs=figure_runs("recall"),
        out=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m dfer.figures.recall --metrics {input}"
        " --dataset {params.dataset:q} --runs {params.runs:q} --out {params.out} &> {log}"


rule learning_curves:
    """Loss and WAR, epoch by epoch."""
    input:
        all_runs("learning", "history.parquet"),
    output:
        **views("learning", "Learning curves"),
    log:
        "results/logs/{dataset}/figures/learning.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.learning"),
        dataset=figure_dataset,
        runs=figure_runs("learning"),
        histories=histories,
        out=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m dfer.figures.learning --histories {params.histories:q}"
        " --dataset {params.dataset:q} --runs {params.runs:q} --out {params.out} &> {log}"


rule blocks:
    """Sensitivity to M, the number of BiEhPro blocks."""
    input:
        "results/summary/table4.parquet",
    output:
        **views("blocks", "Sensitivity to M"),
    log:
        "results/logs/{dataset}/figures/blocks.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.blocks"),
        dataset=figure_dataset,
        runs=figure_runs("blocks"),
        out=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m dfer.figures.blocks --summary {input} --name {wildcards.dataset}"
        " --dataset {params.dataset:q} --runs {params.runs:q} --out {params.out} &> {log}"


rule figures:
    """All figures of all datasets."""
    input:
        all_figures,


localrules:
    figures,
