"""Figures 2, 4 and 5 of the paper, and those by which a reader judges the numbers.

REQUIRED INPUTS: the tables that analysis.smk makes of the variants that a figure compares
(COMPARED, analysis.smk), metrics and histories of their runs, the summary of Table 4
OUTPUTS: results/figures/<dataset>/<figure>.{pdf,svg,png}, views of those tables
"""

APART = ("shares", "rare")  # figures with trainings of their own, and so with targets of their own


def compared(dataset, figure):
    """Name in the figure → variant; of `blocks` the name is M."""
    if figure != "blocks":
        return COMPARED[figure]
    settings_of = {name: EXPERIMENT.settings(dataset, name) for name in TABLE_VARIANTS[4]}
    return {str(own.model.blocks): name for name, own in settings_of.items()}


def drawn(dataset):
    """The figures whose variants the configuration has, but for those `APART`."""
    found = [figure for figure in COMPARED if figure not in APART and has_variants(figure)]
    return found + ["blocks"] * (len(compared(dataset, "blocks")) > 1)


def figure_parameters(figure):
    """What every figure is told: of which dataset and variants it is."""
    return {
        "title": lambda w: DATASETS[w.dataset].title,
        "synthetic": synthetic,
        "classes": classes,
        "variants": lambda w: as_json(
            {
                name: EXPERIMENT.run_key(w.dataset, variant)
                for name, variant in compared(w.dataset, figure).items()
            }
        ),
        "out_stem": lambda w, output: output.svg.removesuffix(".svg"),
    }


def views(figure, title):
    """The three files of a figure, of which the SVG is in the report under `title`."""
    path = f"results/figures/{{dataset}}/{figure}"
    view = report(
        f"{path}.svg",
        category="Figures",
        subcategory="{dataset}",
        labels={"figure": title},
        caption=f"../report/{figure}.rst",
    )
    return {"pdf": f"{path}.pdf", "png": f"{path}.png", "svg": view}


def of_all_runs(figure, file, seeds=EXPERIMENT.seeds):
    """An input function: the path of `file` in all runs of the variants that a figure compares."""
    return lambda w: sorted(
        {
            path
            for variant in compared(w.dataset, figure).values()
            for path in runs(w.dataset, variant, file, seeds)
        }
    )


def of_each_variant(figure, pattern):
    """An input function: `pattern` for the settings of each variant that a figure compares."""
    return lambda w: [
        pattern.format(dataset=w.dataset, run=EXPERIMENT.run_key(w.dataset, variant))
        for variant in COMPARED[figure].values()
    ]


def figures_of_rare_classes(wildcards):
    """Recall of each class on each dataset, if the configuration has the variants for it."""
    if not has_variants("rare"):
        sys.exit(
            "error: `snakemake rare` compares what is done for rare classes: give the variants "
            f"{', '.join(COMPARED['rare'].values())} in the configuration."
        )
    return expand("results/figures/{dataset}/rare.svg", dataset=DATASETS)


def figures_of_shares(wildcards):
    """The figure of shares of each dataset, if the configuration has shares and its variants."""
    if not EXPERIMENT.shares or not has_variants("shares"):
        sys.exit(
            "error: `snakemake shares` compares shares of the train clips: give `shares` and the "
            f"variants {', '.join(COMPARED['shares'].values())} in the configuration."
        )
    return expand("results/figures/{dataset}/shares.svg", dataset=DATASETS)


def all_figures(wildcards):
    """All figures of all datasets."""
    return [
        f"results/figures/{dataset}/{figure}.svg"
        for dataset in DATASETS
        for figure in drawn(dataset)
    ]


rule figure2:
    """Fig. 2: similarity to each class text, with a text prompt and with both prompts."""
    input:
        first=lambda w: compared_files(w, "figure2", 0, "features.parquet"),
        second=lambda w: compared_files(w, "figure2", 1, "features.parquet"),
        examples="results/{dataset}/figures/figure2.examples.parquet",
    output:
        **views("figure2", "Fig. 2: similarity to class texts"),
    log:
        "results/logs/{dataset}/figures/figure2.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.figure2"),
        **figure_parameters("figure2"),
    shell:
        "python -m dfer.figures.figure2"
        " --examples {input.examples:q}"
        " --features {input.first:q} {input.second:q}"
        " --title {params.title:q}"
        " {params.synthetic:q}"
        " --classes {params.classes:q}"
        " --variants {params.variants:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


rule figure4:
    """Fig. 4: heat maps over the frames, without and with text."""
    input:
        maps=of_each_variant("figure4", "results/{dataset}/figures/maps.{run}.parquet"),
        examples="results/{dataset}/figures/figure4.examples.parquet",
    output:
        **views("figure4", "Fig. 4: heat maps"),
    log:
        "results/logs/{dataset}/figures/figure4.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.figure4"),
        **figure_parameters("figure4"),
    shell:
        "python -m dfer.figures.figure4"
        " --examples {input.examples:q}"
        " --maps {input.maps:q}"
        " --title {params.title:q}"
        " {params.synthetic:q}"
        " --classes {params.classes:q}"
        " --variants {params.variants:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


rule figure5:
    """Fig. 5: t-SNE of the features of baseline and full model, fold by fold."""
    input:
        of_each_variant("figure5", "results/{dataset}/figures/tsne.{run}.parquet"),
    output:
        **views("figure5", "Fig. 5: t-SNE"),
    log:
        "results/logs/{dataset}/figures/figure5.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.figure5"),
        **figure_parameters("figure5"),
    shell:
        "python -m dfer.figures.figure5"
        " --points {input:q}"
        " --title {params.title:q}"
        " {params.synthetic:q}"
        " --classes {params.classes:q}"
        " --variants {params.variants:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


rule confusion_matrices:
    """Which expression is taken for which."""
    input:
        of_all_runs("confusion", "metrics.parquet"),
    output:
        **views("confusion", "Confusion matrices"),
    log:
        "results/logs/{dataset}/figures/confusion.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.confusion"),
        **figure_parameters("confusion"),
    shell:
        "python -m dfer.figures.confusion"
        " --metrics {input:q}"
        " --title {params.title:q}"
        " {params.synthetic:q}"
        " --classes {params.classes:q}"
        " --variants {params.variants:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


rule recall:
    """Recall of each class, with its spread."""
    input:
        of_all_runs("recall", "metrics.parquet"),
    output:
        **views("recall", "Recall of each class"),
    log:
        "results/logs/{dataset}/figures/recall.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.recall"),
        **figure_parameters("recall"),
    shell:
        "python -m dfer.figures.recall"
        " --metrics {input:q}"
        " --title {params.title:q}"
        " {params.synthetic:q}"
        " --classes {params.classes:q}"
        " --variants {params.variants:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


rule rare_figure:
    """Recall of each class with what is done for rare ones, beside the paper's model."""
    input:
        of_all_runs("rare", "metrics.parquet", EXPERIMENT.seeds_of(RARE)),
    output:
        **views("rare", "Recall of rare classes"),
    log:
        "results/logs/{dataset}/figures/rare.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.recall"),
        **figure_parameters("rare"),
    shell:
        "python -m dfer.figures.recall"
        " --metrics {input:q}"
        " --title {params.title:q}"
        " {params.synthetic:q}"
        " --classes {params.classes:q}"
        " --variants {params.variants:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


rule learning_curves:
    """Loss and WAR, epoch by epoch."""
    input:
        of_all_runs("learning", "history.parquet"),
    output:
        **views("learning", "Learning curves"),
    log:
        "results/logs/{dataset}/figures/learning.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.learning"),
        **figure_parameters("learning"),
    shell:
        "python -m dfer.figures.learning"
        " --histories {input:q}"
        " --title {params.title:q}"
        " {params.synthetic:q}"
        " --classes {params.classes:q}"
        " --variants {params.variants:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


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
        **figure_parameters("blocks"),
    shell:
        "python -m dfer.figures.blocks"
        " --summary {input:q}"
        " --dataset {wildcards.dataset:q}"
        " --title {params.title:q}"
        " {params.synthetic:q}"
        " --classes {params.classes:q}"
        " --variants {params.variants:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


rule shares_figure:
    """UAR against the share of the train clips, with and without text."""
    input:
        "results/summary/shares.parquet",
    output:
        **views("shares", "What text is worth with fewer clips"),
    log:
        "results/logs/{dataset}/figures/shares.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.figures.shares"),
        **figure_parameters("shares")
        | {
            "variants": lambda w: as_json(
                {
                    name: {
                        str(share): EXPERIMENT.run_key(w.dataset, variant, share)
                        for share in EXPERIMENT.shares
                    }
                    for name, variant in COMPARED["shares"].items()
                }
            )
        },
    shell:
        "python -m dfer.figures.shares"
        " --summary {input:q}"
        " --dataset {wildcards.dataset:q}"
        " --title {params.title:q}"
        " {params.synthetic:q}"
        " --classes {params.classes:q}"
        " --variants {params.variants:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


rule shares:
    """The figure of shares of the train clips, of all datasets: trainings of its own."""
    input:
        figures_of_shares,


rule rare:
    """What is done for rare classes: a table of ours and a figure, with trainings of their own."""
    input:
        figures_of_rare_classes,
        f"results/table{RARE}.tex",


rule figures:
    """All figures of all datasets."""
    input:
        all_figures,


localrules:
    shares,
    rare,
    figures,
