# Stage 7: the figures that put the experiments side by side, and the copies that are kept in git.


# Our numbers beside the paper's, where people judged.
PAGE = "true"
if config["observer"] == "human" and DOWNSTREAM:
    PAGE = f"python -m glocal replication {RESULTS} --encoder {DOWNSTREAM[0]} --out {{output}}/replication.md"


rule figures_profile:
    """The overview of a profile, from its tables and first encoder."""
    input:
        rules.tables.input,
        modules=uses("notebooks/07_figures.ipynb"),
        notebook="notebooks/07_figures.ipynb",
    output:
        report(f"{RESULTS}/figures/overview.png", category="Figures", caption="../figures/captions/overview.rst"),
        table=f"{RESULTS}/headline.csv",
    log:
        notebook=f"{RESULTS}/logs/07_figures.ipynb",
    conda:
        "../environment.yml"
    threads: 4
    message:
        f"Figures of {config['profile']}"
    shell:
        RUN


rule figures:
    """Every figure of the profile."""
    input:
        f"{RESULTS}/figures/overview.png",


rule publish:
    """Copy figures and headline tables to figures/<profile>, the folder that is kept in git."""
    input:
        rules.figures.input,
        rules.tables.input,
    output:
        directory(f"figures/{config['profile']}"),
    log:
        f"{RESULTS}/logs/publish.log",
    conda:
        "../environment.yml"
    message:
        "Publish figures and tables -> {output}"
    shell:
        f"(mkdir -p {{output}}/tables; cp {RESULTS}/figures/*.png {{output}}; cp {RESULTS}/*.csv {{output}}/tables; {PAGE}) 2>&1 | tee {{log}}"
