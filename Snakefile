# The workflow itself stands in workflow/; this file makes `snakemake` find it from the top level.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
