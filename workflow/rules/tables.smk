"""The paper's tables, each as .parquet (the source), .tex (a bare tabular) and .md.

REQUIRED INPUTS: predictions of the runs that a table's rows name; config/reported.csv
OUTPUTS: results/table<n>.{parquet,tex,md}, results/flops.{parquet,txt},
    results/<dataset>/costs.{parquet,txt}, results/<dataset>/costs_here.{csv,txt},
    results/summary/table<n>.parquet, results/proof/
"""

WITH_FLOPS = reported.with_flops(PRINTED)


def predictions(wildcards):
    """Predictions of every run that a table's rows name."""
    return table_runs(int(wildcards.table), "predictions.parquet")


def predictions_of_shares(wildcards):
    """Predictions of all variants that the figure of shares compares, with every share."""
    found = (
        runs(dataset, variant, "predictions.parquet", share=share)
        for dataset in DATASETS
        for variant in COMPARED["shares"].values()
        for share in EXPERIMENT.shares
    )
    return sorted({path for paths in found for path in paths})


def compared_with(wildcards):
    """JSON: dataset → run that a table's others are compared with: the baseline's, or the first."""
    names = TABLE_VARIANTS[int(wildcards.table)]
    base = [name for name in names if name == "baseline"] or names[:1]
    return as_json({d: EXPERIMENT.run_key(d, name) for d in DATASETS for name in base})


def run_keys(wildcards):
    """JSON: dataset → variant → key of its settings, for the rows of a table."""
    names = TABLE_VARIANTS[int(wildcards.table)]
    return as_json({d: {name: EXPERIMENT.run_key(d, name) for name in names} for d in DATASETS})


def tuned_rows(wildcards):
    """JSON: tuned variant → the variant that its study tunes, for the rows of a table."""
    rows = [EXPERIMENT.variants[name] for name in TABLE_VARIANTS[int(wildcards.table)]]
    return as_json({row.name: EXPERIMENT.tuned_variant(row.tuned) for row in rows if row.tuned})


def speeds(wildcards):
    """Measurements of all variants but tuned ones, whose settings are not known beforehand.

    Nor of corrected ones, which are no model of their own.
    """
    keys = {
        EXPERIMENT.run_key(wildcards.dataset, variant.name)
        for variant in EXPERIMENT.variants.values()
        if not variant.tuned and variant.corrected is None
    }
    return [f"results/{wildcards.dataset}/speed/{key}.json" for key in sorted(keys)]


rule summary:
    """Means, deviations and confidence intervals of all runs of a table."""
    input:
        predictions,
    output:
        "results/summary/table{table}.parquet",
    log:
        "results/logs/summary/table{table}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tables.summary"),
        against=compared_with,
    shell:
        "python -m dfer.tables.summary"
        " --predictions {input:q}"
        " --against {params.against:q}"
        " --out {output:q}"
        " &> {log:q}"


rule summary_of_shares:
    """The same of the runs with shares of the train clips."""
    input:
        predictions_of_shares,
    output:
        "results/summary/shares.parquet",
    log:
        "results/logs/summary/shares.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tables.summary"),
    shell:
        "python -m dfer.tables.summary" " --predictions {input:q}" " --out {output:q}" " &> {log:q}"


rule flops:
    """What the configurations of Tables 2–4 cost at ViT-B/32; no data, no weights."""
    input:
        REPORTED,
    output:
        parquet="results/flops.parquet",
        text="results/flops.txt",
    log:
        "results/logs/flops.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tables.flops", "dfer.models.recogniser"),
    shell:
        "python -m dfer.tables.flops"
        " --reported {input:q}"
        " --out {output.parquet:q}"
        " --out-text {output.text:q}"
        " |& tee {log:q}"


rule costs:
    """What each variant of the configuration costs, of whatever method; no data, no weights."""
    input:
        architectures=lambda w: sorted(
            {
                name
                for (dataset, _), own in SETTINGS.items()
                for name in starts_from(own)
                if dataset == w.dataset and name.endswith(".json")
            }
        ),
        printed=os.path.relpath(CHECKOUT / "config/printed_costs.csv"),
    output:
        parquet="results/{dataset}/costs.parquet",
        text="results/{dataset}/costs.txt",
    log:
        "results/logs/{dataset}/costs.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tables.costs", *sorted(METHODS)),
        settings=settings_of_variants,
        classes=classes,
    shell:
        "python -m dfer.tables.costs"
        " --variant-settings {params.settings:q}"
        " --classes {params.classes:q}"
        " --printed {input.printed:q}"
        " --out {output.parquet:q}"
        " --out-text {output.text:q}"
        " |& tee {log:q}"


rule costs_here:
    """The same, and what each variant takes on this machine: speed and memory, measured here."""
    input:
        costs="results/{dataset}/costs.parquet",
        speeds=speeds,
    output:
        csv="results/{dataset}/costs_here.csv",
        text="results/{dataset}/costs_here.txt",
    log:
        "results/logs/{dataset}/costs_here.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tables.costs_here"),
    shell:
        "python -m dfer.tables.costs_here"
        " --costs {input.costs:q}"
        " --speeds {input.speeds:q}"
        " --out {output.csv:q}"
        " --out-text {output.text:q}"
        " |& tee {log:q}"


rule table:
    """One of the paper's tables: what it reports, what was measured here."""
    input:
        reported=REPORTED,
        summary="results/summary/table{table}.parquet",
        flops=lambda w: "results/flops.parquet" if int(w.table) in WITH_FLOPS else [],
    output:
        multiext("results/table{table}", ".parquet", ".tex", ".md"),
    log:
        "results/logs/table{table}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tables.table"),
        datasets=lambda w: as_json(  # a function: braces in a title are no wildcards
            {d.name: {"title": d.title, "synthetic": d.synthetic} for d in DATASETS.values()}
        ),
        runs=run_keys,
        tuned=tuned_rows,
        remark=["--remark", EXPERIMENT.remark] if EXPERIMENT.remark else [],
        flops=lambda w, input: ["--flops", input.flops] if input.flops else [],
        out_stem=without_suffix(".parquet"),
    shell:
        "python -m dfer.tables.table"
        " --table {wildcards.table}"
        " --reported {input.reported:q}"
        " --summary {input.summary:q}"
        " {params.flops:q}"
        " --datasets {params.datasets:q}"
        " --runs {params.runs:q}"
        " --tuned {params.tuned:q}"
        " {params.remark:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


rule proof:
    """A picture of a table as LaTeX sets it; only this needs pdflatex and pdftoppm."""
    input:
        "results/table{table}.tex",
    output:
        pdf="results/proof/table{table}.pdf",
        png="results/proof/table{table}.png",
    log:
        "results/logs/proof/table{table}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tables.proof"),
    shell:
        "python -m dfer.tables.proof {input:q}"
        " --out-pdf {output.pdf:q}"
        " --out-png {output.png:q}"
        " &> {log:q}"


rule proof_all:
    """All tables as a paper sets them, in one PDF; needs pdflatex."""
    input:
        expand("results/table{table}.tex", table=TABLES),
    output:
        "results/proof/tables.pdf",
    log:
        "results/logs/proof/tables.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tables.proof"),
    shell:
        "python -m dfer.tables.proof {input:q}" " --out-pdf {output:q}" " &> {log:q}"
