"""What `snakemake …` finds in the repository's root; the workflow stands in workflow/Snakefile."""


include: "workflow/Snakefile"


rule default:
    """What plain `snakemake` makes: a rule of an included file is nobody's default."""
    default_target: True
    input:
        rules.all.input,


localrules:
    default,
