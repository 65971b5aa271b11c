"""Is your copy of a dataset what its authors published? A page that says what is right and wrong.

REQUIRED INPUTS: the releases of the configuration
OUTPUTS: results/<dataset>/check_data.md (the page), check_data.parquet (its findings)
"""

OFFICIAL = os.path.relpath(CHECKOUT / "src/dfer/check/official.json")


rule check_dataset:
    """Compare one release with the official counts, lists and layout."""
    input:
        release,
        official=OFFICIAL,
    output:
        page="results/{dataset}/check_data.md",
        findings="results/{dataset}/check_data.parquet",
    log:
        "results/logs/{dataset}/check_data.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.check.release", optional=LAYOUTS, unused=other_layouts),
        layout=lambda w: STORED[w.dataset].layout,
        root=lambda w: STORED[w.dataset].root,
        source=lambda w: STORED[w.dataset].source,
    shell:
        "python -m dfer.check.release"
        " --layout {params.layout:q}"
        " --root {params.root:q}"
        " --source {params.source:q}"
        " --out {output.page:q}"
        " --out-findings {output.findings:q}"
        " |& tee {log:q}"


rule check_data:
    """The check of every dataset of the configuration."""
    input:
        expand("results/{dataset}/check_data.md", dataset=DATASETS),


localrules:
    check_data,
