"""The paper's tables, each as .parquet (the source), .tex (a bare tabular) and .md.

REQUIRED INPUTS: predictions of the runs that a table's rows name; config/reported.csv
OUTPUTS: results/table<n>.{parquet,tex,md}, results/flops.{parquet,txt},
    results/summary/table<n>.parquet, results/archive.tar.gz
"""


rule summary:
    """Means, deviations and confidence intervals of all runs of a table."""
    input:
        predictions_of,
    output:
        "results/summary/table{table}.parquet",
    log:
        "results/logs/summary/table{table}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.summary"),
        against=compared_with,
    shell:
        "python -m dfer.summary --predictions {input} --against {params.against:q}"
        " --out {output} &> {log}"


rule flops:
    """What the nine configurations of Tables 2–4 cost at ViT-B/32; no data, no weights."""
    output:
        parquet="results/flops.parquet",
        text="results/flops.txt",
    log:
        "results/logs/flops.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.flops"),
    shell:
        "python -m dfer.flops --out {output.parquet} --text {output.text} |& tee {log}"


rule table:
    """One of the paper's tables: what it reports, what was measured here."""
    input:
        reported=REPORTED,
        summary="results/summary/table{table}.parquet",
        flops=flops_of,
    output:
        multiext("results/table{table}", ".parquet", ".tex", ".md"),
    log:
        "results/logs/table{table}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.tables"),
        datasets=json.dumps(
            {
                n: {"title": d["title"], "synthetic": d.get("synthetic", False)}
                for n, d in DATASETS.items()
            }
        ),
        runs=run_names,
        tuned=tuned_rows,
        flops=lambda w, input: f"--flops {input.flops}" if input.flops else "",
        out=lambda w, output: output[0].removesuffix(".parquet"),
    shell:
        "python -m dfer.tables --table {wildcards.table} --reported {input.reported}"
        " --summary {input.summary} {params.flops} --datasets {params.datasets:q} --runs {params.runs:q}"
        " --tuned {params.tuned:q} --out {params.out} &> {log}"


rule archive:
    """What the tables are made of, to keep or to publish; how to use it is said in dfer.archive."""
    input:
        archived,
    output:
        "results/archive.tar.gz",
    log:
        "results/logs/archive.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.archive"),
        config=json.dumps(config),
    shell:
        "python -m dfer.archive {input} --config {params.config:q} --out {output} &> {log}"


rule proof:
    """A picture of a table as LaTeX sets it; needs pdflatex and pdftoppm, which no other rule does."""
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
        **code("dfer.proof"),
    shell:
        "python -m dfer.proof {input} --pdf {output.pdf} --png {output.png} &> {log}"


rule proof_all:
    """All tables as a paper sets them, in one PDF; needs pdflatex."""
    input:
        expand("results/table{table}.tex", table=[1, 2, 3, 4, 5]),
    output:
        "results/proof/tables.pdf",
    log:
        "results/logs/proof/tables.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.proof"),
    shell:
        "python -m dfer.proof {input} --pdf {output} &> {log}"
