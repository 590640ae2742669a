# Stage 7: the figures that put the experiments side by side, and the copies that are kept in git.


rule figures_profile:
    """The overview of a profile, from its tables and first encoder."""
    input:
        rules.tables.input,
        modules=uses("notebooks/07_figures.ipynb"),
        notebook="notebooks/07_figures.ipynb",
    output:
        report(RESULTS + "/figures/overview.png", category="Figures", caption="../figures/captions/overview.rst"),
        table=RESULTS + "/headline.csv",
    log:
        notebook=RESULTS + "/logs/07_figures.ipynb",
    threads: 4
    conda:
        "../environment.yml"
    message:
        "Figures of " + config["profile"]
    shell:
        RUN


rule figures:
    """Every figure of the profile."""
    input:
        RESULTS + "/figures/overview.png",


rule publish:
    """Copy figures and headline tables to figures/<profile>, the folder that is kept in git."""
    input:
        rules.figures.input,
        rules.tables.input,
    output:
        directory("figures/" + config["profile"]),
    log:
        RESULTS + "/logs/publish.log",
    conda:
        "../environment.yml"
    message:
        "Publish figures and tables -> {output}"
    shell:
        "mkdir -p {output}/tables && cp " + RESULTS + "/figures/*.png {output} && cp " + RESULTS + "/*.csv {output}/tables"
        " 2>&1 | tee {log}"
