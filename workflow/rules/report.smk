"""Pages of the report: `snakemake report_pages`, then `snakemake report_pages --report report.zip`.

REQUIRED INPUTS: the tables, the data checks, the rejects, the configuration, records of the runs
OUTPUTS: results/report/ (HTML pages); what they and the figures are is said in workflow/report/
"""


rule table_page:
    """A table for reading in a browser."""
    input:
        "results/table{table}.md",
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
        **code("dfer.page"),
    shell:
        "python -m dfer.page {input} --title 'Table {wildcards.table}' --out {output} &> {log}"


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
        **code("dfer.page"),
    shell:
        "python -m dfer.page {input} --title 'Check of {wildcards.dataset}' --out {output} &> {log}"


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
        **code("dfer.page"),
    shell:
        "python -m dfer.page {input} --title 'Rejected clips of {wildcards.dataset}' --out {output}"
        " &> {log}"


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
        **code("dfer.page"),
        settings=all_settings,
    shell:
        "python -m dfer.page --settings {params.settings:q}"
        " --title 'Settings on {wildcards.dataset}' --out {output} &> {log}"


rule environment_page:
    """Packages, machine and commit that the runs of a dataset were made with, for a browser."""
    input:
        all_records,
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
        **code("dfer.page"),
    shell:
        "python -m dfer.page --records {input} --title 'Environment on {wildcards.dataset}'"
        " --out {output} &> {log}"


rule report_pages:
    """All that the report shows."""
    input:
        demo_pictures(),
        all_figures,
        expand("results/report/table{table}.html", table=[1, 2, 3, 4, 5]),
        expand(
            "results/report/{dataset}/{page}.html",
            dataset=DATASETS,
            page=["check_data", "rejects", "settings", "environment"],
        ),


localrules:
    report_pages,
