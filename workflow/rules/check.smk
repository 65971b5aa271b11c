"""Is your copy of a dataset what its authors published? A page that says what is right and wrong.

REQUIRED INPUTS: the releases of the configuration
OUTPUTS: results/<dataset>/check_data.md (the page), check_data.parquet (its findings)
"""


rule check_dataset:
    """Compare one release with the official counts, lists and layout."""
    input:
        release_of,
        "src/dfer/datasets/official.json",
    output:
        page="results/{dataset}/check_data.md",
        findings="results/{dataset}/check_data.parquet",
    log:
        "results/logs/{dataset}/check_data.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.check_data", unused=other_readers),
        arguments=lambda w: check_arguments(w.dataset),
    shell:
        "python -m dfer.check_data {params.arguments} --out {output.page} |& tee {log}"


rule check_data:
    """The check of every dataset of the configuration."""
    input:
        expand("results/{dataset}/check_data.md", dataset=DATASETS),
