"""What `snakemake …` finds in the repository's root; the workflow stands in workflow/Snakefile."""


include: "workflow/Snakefile"
