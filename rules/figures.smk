# Stage 7: every figure, from the tables of all stages, and the copies in git.


# The comparison with the numbers of the paper, for human judgments.
PUBLISHED = f"figures/{config['profile']}"
PAGE = "true"
if config["observer"] == "human" and DOWNSTREAM:
    PAGE = f"python -m glocal replication {RESULTS} --encoder {DOWNSTREAM[0]} --out {PUBLISHED}/replication.md"


for encoder in ENCODERS:

    rule:
        name:
            f"first_look_{encoder}"
        input:
            feature_files(encoder),
            table_of(encoder, "cosines"),
            modules=files_of("reporting.draw"),
        output:
            first_look(encoder, report_figure),
            first_look(encoder, vector),
        log:
            f"{RESULTS}/logs/first_look-{encoder}.log",
        priority: 1  # before the fits
        group:
            f"extract_{encoder}"
        conda:
            "../environment.yml"
        resources:
            mem_mb=memory(4000),
            runtime=more(30),
        params:
            names=inventory.first_look(config, encoder),
            encoder=encoder,
        message:
            f"First look at {encoder}"
        shell:
            f"python -m glocal draw {{params.names}} --config {shlex.quote(EFFECTIVE)} --encoder {{params.encoder:q}} 2>&1 | tee {{log:q}}"


rule figures_profile:
    """Every figure of a profile but the first look, from its tables; images are opened for thumbnails alone."""
    input:
        rules.tables.input,
        modules=modules_used("notebooks/07_figures.ipynb"),
        notebook="notebooks/07_figures.ipynb",
        # What stands beside the demo's images in the README's figure.
        beside=(
            ["config/clip-b32.yaml", *sorted(map(str, Path("figures/clip-b32/tables").glob("*.csv")))]
            if config["source"] == "demo"
            else []
        ),
    output:
        [report_figure(name) for name in inventory.of_profile(config)],
        [path for encoder in ENCODERS for path in figures_of(encoder, report_figure)],
        [vector(name) for name in inventory.of_profile(config)],
        [path for encoder in ENCODERS for path in figures_of(encoder, vector)],
        table=f"{RESULTS}/headline.csv",
    log:
        notebook=f"{RESULTS}/logs/07_figures.ipynb",
    benchmark:
        f"{RESULTS}/benchmarks/07_figures.tsv"
    conda:
        "../environment.yml"
    threads: 2
    resources:
        mem_mb=memory(4000),
        runtime=more(60),
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
        [path for encoder in ENCODERS for path in first_look(encoder)],
    message:
        f"All figures of {config['profile']}"


rule publish:
    """Copy figures and headline tables to figures/<profile>, the folder in git."""
    input:
        rules.figures.input,
        rules.tables.input,
        sorted(Path("figures/captions").glob("*.rst")),
        modules=files_of("reporting.gallery", "reporting.comparison"),
    output:
        update(f"{PUBLISHED}/published.csv"),
        update(f"{PUBLISHED}/index.md"),
    log:
        f"{RESULTS}/logs/publish.log",
    conda:
        "../environment.yml"
    message:
        f"Publish figures and tables -> {PUBLISHED}"
    shell:
        f"({PAGE} && python -m glocal publish {RESULTS} {PUBLISHED}) 2>&1 | tee {{log:q}}"


rule encoders:
    """The table and figures over the encoders of all profiles in figures/; nothing is run for it."""
    input:
        sorted(Path("figures").glob("*/tables/*.csv")),
        modules=files_of("reporting.encoder_figure"),
    output:
        "figures/encoders.csv",
        report("figures/encoders.png", category="Figures", caption="../figures/captions/encoders.rst"),
        report("figures/encoders_anomaly.png", category="Figures", caption="../figures/captions/encoders_anomaly.rst"),
        ["figures/encoders.svg", "figures/encoders_anomaly.svg"],
    log:
        f"{RESULTS}/logs/encoders.log",
    localrule: True
    conda:
        "../environment.yml"
    message:
        "Table and figures over all encoders -> figures/encoders.png"
    shell:
        "python -m glocal encoders 2>&1 | tee {log:q}"
