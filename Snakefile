"""One DAG from video files to the paper's tables.

    snakemake --cores 8 results/table1.tex
    snakemake ablations
    snakemake -n --configfile config/paper.yaml tables

Stages, one topic a file: data (release → clip store), demo (the rendered dataset and its CLIP),
model (training, evaluation), tables, figures. Every rule calls one module of src/dfer by its
command line, and carries the digests of the code it runs (src/dfer/provenance.py).
"""

from snakemake.utils import min_version

min_version("9.20")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/model.smk"
include: "workflow/rules/tables.smk"


localrules:
    all,
    table1,
    flops_table,


rule all:
    """Everything that this checkout makes of its configuration."""
    default_target: True
    input:
        rules.table1.input,
        rules.flops_table.input,
        demo_pictures(),
