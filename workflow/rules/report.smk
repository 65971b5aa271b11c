"""Pages of the report, and the archive of what the tables are made of.

    snakemake report_pages && snakemake report_pages --report report.zip
    snakemake results/archive.tar.gz

REQUIRED INPUTS: the tables, the data checks, the rejects, the configuration, records of the runs
OUTPUTS: results/report/ (HTML pages; what they and the figures are is said in workflow/report/),
    results/archive.tar.gz
"""

TABLE_PARTS = [  # style and script, which the page of a table holds
    os.path.relpath(CHECKOUT / f"src/dfer/report/table.{ending}") for ending in ("css", "js")
]


def records_of_dataset(wildcards):
    """The records of every run of every table on a dataset."""
    folder = f"results/{wildcards.dataset}/"
    return [path for path in tables_runs("run.json") if path.startswith(folder)]


def archived(wildcards):
    """Of every run of every table: what it predicted, how it learnt, what it was."""
    names = ("predictions.parquet", "metrics.parquet", "history.parquet", "run.json")
    found = [path for name in names for path in tables_runs(name)]
    return sorted([*found, *(f"results/{dataset}/rejects.parquet" for dataset in DATASETS)])


rule table_page:
    """A table for reading in a browser."""
    input:
        table="results/table{table}.parquet",
        parts=TABLE_PARTS,
    output:
        report(
            "results/report/table{table}.html",
            category="Tables",
            labels={"table": "Table {table}"},
            caption="../report/table.rst",
        ),
    log:
        "results/logs/report/table{table}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.report.table_page"),
        title=lambda w: f"Table {w.table}",
    shell:
        "python -m dfer.report.table_page {input.table:q}"
        " --title {params.title:q}"
        " --out {output:q}"
        " &> {log:q}"


rule check_page:
    """The data check for reading in a browser."""
    input:
        "results/{dataset}/check_data.md",
    output:
        report(
            "results/report/{dataset}/check_data.html",
            category="Data",
            subcategory="{dataset}",
            labels={"page": "Check of the release"},
            caption="../report/check_data.rst",
        ),
    log:
        "results/logs/report/{dataset}/check_data.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.report.page"),
        title=lambda w: f"Check of {w.dataset}",
    shell:
        "python -m dfer.report.page {input:q}"
        " --title {params.title:q}"
        " --out {output:q}"
        " &> {log:q}"


rule rejects_page:
    """Clips that could not be used, for reading in a browser."""
    input:
        "results/{dataset}/rejects.parquet",
    output:
        report(
            "results/report/{dataset}/rejects.html",
            category="Data",
            subcategory="{dataset}",
            labels={"page": "Rejected clips"},
            caption="../report/rejects.rst",
        ),
    log:
        "results/logs/report/{dataset}/rejects.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.report.page"),
        title=lambda w: f"Rejected clips of {w.dataset}",
    shell:
        "python -m dfer.report.page {input:q}"
        " --title {params.title:q}"
        " --out {output:q}"
        " &> {log:q}"


rule settings_page:
    """The resolved settings of every variant, for reading in a browser."""
    output:
        report(
            "results/report/{dataset}/settings.html",
            category="Settings",
            labels={"dataset": "{dataset}"},
            caption="../report/settings.rst",
        ),
    log:
        "results/logs/report/{dataset}/settings.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.report.page"),
        settings=settings_of_variants,
        title=lambda w: f"Settings on {w.dataset}",
    shell:
        "python -m dfer.report.page"
        " --variant-settings {params.settings:q}"
        " --title {params.title:q}"
        " --out {output:q}"
        " &> {log:q}"


rule environment_page:
    """Packages, machine and commit that the runs of a dataset were made with, for a browser."""
    input:
        records_of_dataset,
    output:
        report(
            "results/report/{dataset}/environment.html",
            category="Environment",
            labels={"dataset": "{dataset}"},
            caption="../report/environment.rst",
        ),
    log:
        "results/logs/report/{dataset}/environment.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.report.page"),
        title=lambda w: f"Environment on {w.dataset}",
    shell:
        "python -m dfer.report.page"
        " --records {input:q}"
        " --title {params.title:q}"
        " --out {output:q}"
        " &> {log:q}"


# The configuration without how its trainings are watched, which changes no result.
ARCHIVED = {key: config[key] for key in config if key != "tensorboard"}


rule archive:
    """What the tables are made of, to keep or to publish; see dfer.report.archive."""
    input:
        archived,
    output:
        "results/archive.tar.gz",
    log:
        "results/logs/archive.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.report.archive"),
        config=lambda w: as_json(ARCHIVED),  # a function: braces in it are no wildcards
    shell:
        "python -m dfer.report.archive {input:q}"
        " --config {params.config:q}"
        " --out {output:q}"
        " &> {log:q}"


rule report_pages:
    """All that the report shows."""
    input:
        looks_at_the_demo(),
        rules.figures.input,
        expand("results/report/table{table}.html", table=TABLES),
        expand(
            "results/report/{dataset}/{page}.html",
            dataset=DATASETS,
            page=["check_data", "rejects", "settings", "environment"],
        ),


localrules:
    report_pages,
