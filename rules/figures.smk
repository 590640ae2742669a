# Stage 7: the figures that compare the experiments, and the copies in git.


# The comparison with the numbers of the paper, for human judgments.
PUBLISHED = f"figures/{config['profile']}"
PAGE = "true"
if config["observer"] == "human" and DOWNSTREAM:
    PAGE = f"python -m glocal replication {RESULTS} --encoder {DOWNSTREAM[0]} --out {PUBLISHED}/replication.md"


rule figures_profile:
    """The overview of a profile, from its tables and first encoder."""
    input:
        rules.tables.input,
        modules=modules_used("notebooks/07_figures.ipynb"),
        notebook="notebooks/07_figures.ipynb",
    output:
        report(f"{RESULTS}/figures/overview.png", category="Figures", caption="../figures/captions/overview.rst"),
        teaser=[f"{RESULTS}/figures/teaser.png"] if config["source"] == "demo" else [],
        table=f"{RESULTS}/headline.csv",
    log:
        notebook=f"{RESULTS}/logs/07_figures.ipynb",
    benchmark:
        f"{RESULTS}/benchmarks/07_figures.tsv"
    conda:
        "../environment.yml"
    threads: 4
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        observer=OBSERVER,
    message:
        f"Figures of {config['profile']}"
    shell:
        RUN


rule figures:
    """Every figure of the profile."""
    input:
        rules.figures_profile.output,
        rules.extract.input,
    message:
        f"All figures of {config['profile']}"


rule publish:
    """Copy figures and headline tables to figures/<profile>, the folder in git."""
    input:
        rules.figures.input,
        rules.tables.input,
    output:
        update(f"{PUBLISHED}/published.csv"),
    log:
        f"{RESULTS}/logs/publish.log",
    conda:
        "../environment.yml"
    message:
        f"Publish figures and tables -> {PUBLISHED}"
    shell:
        f"(python -m glocal publish {RESULTS} {PUBLISHED} && {PAGE}) 2>&1 | tee {{log:q}}"
