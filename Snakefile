"""One DAG from video files to the paper's tables.

    snakemake --cores 8 results/table1.tex
    snakemake ablations
    snakemake figures
    snakemake report_pages && snakemake report_pages --report report.zip
    snakemake -n tables --configfile config/paper.yaml

Stages, one topic a file: data (release → clip store), demo (the rendered dataset and its CLIP),
model (training, evaluation), tables, figures, report. Every rule calls one module of src/dfer by
its command line, and carries the digests of the code it runs (src/dfer/provenance.py).
"""

from snakemake.utils import min_version

min_version("9.20")


if "datasets" not in config:  # --configfile replaces the default, it does not add to it

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/model.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/check.smk"
include: "workflow/rules/figure_inputs.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    """Table 1 and what belongs to it."""
    default_target: True
    input:
        "results/table1.tex",
        "results/flops.txt",
        demo_pictures(),


rule table1:
    """The comparison with other methods."""
    input:
        "results/table1.tex",


rule ablations:
    """Tables 2–5: modules, text, number of blocks, prompts."""
    input:
        expand("results/table{table}.tex", table=[2, 3, 4, 5]),


rule tables:
    """All five tables."""
    input:
        expand("results/table{table}.tex", table=[1, 2, 3, 4, 5]),


localrules:
    all,
    table1,
    ablations,
    tables,
