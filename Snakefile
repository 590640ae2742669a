# gLocal, end to end: data -> features -> triplets -> transforms -> human, few-shot, anomaly, structure -> figures.
#
#     snakemake --cores 8                                         the embedded demo
#     snakemake --cores 8 --configfile config/clip-b32.yaml       real judgments, real CLIP
#     snakemake --cores 8 few_shot                                one stage (extract align human few_shot anomaly structure figures)
#
# Each stage is one notebook and one file below. Defaults for the command line are in profiles/default.


if not workflow.overwrite_configfiles:

    configfile: "config/demo.yaml"


container: "glocal.sif"  # with --sdm apptainer: profiles/container.def says how it is built


include: "rules/common.smk"
include: "rules/extract.smk"
include: "rules/align.smk"
include: "rules/evaluate.smk"
include: "rules/figures.smk"
include: "rules/report.smk"


localrules:
    all,
    extract,
    align,
    tables,
    figures,
    publish,
    encoders,


rule all:
    default_target: True
    input:
        rules.extract.input,
        rules.figures.input,
        rules.tables.input,
        rules.report.output,
    message:
        f"All results of {config['profile']}"
