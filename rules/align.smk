# Stage 2: fit the transforms: every setting of the grid on every fold, the setting that the rule chooses, and its final fit.


rule align_encoder:
    """naive, global, gLocal and the baselines for one encoder."""
    input:
        modules=modules_used("notebooks/02_align.ipynb", exclude=SHOWN),
        notebook="notebooks/02_align.ipynb",
        triplets=TRIPLETS,
        features=features_of,
    output:
        TRANSFORMS,
        table_of("{encoder}", *TABLES["alignment"], *EXTRA_TABLES["alignment"]),
    log:
        notebook=f"{RESULTS}/logs/02_align-{{encoder}}.ipynb",
    benchmark:
        f"{RESULTS}/benchmarks/02_align-{{encoder}}.tsv"
    conda:
        "../environment.yml"
    threads: 4
    resources:
        mem_mb=memory(8000),
        runtime=more(240),
        gpu=GPU,
    params:
        settings=config["alignment"],
        baselines=[baselines(config), config.get("shrinkage")],
        seed=config["seed"],
    message:
        "Align {wildcards.encoder}"
    shell:
        RUN_ENCODER


rule align:
    """All encoders aligned, and the table of them."""
    input:
        results_of("alignment"),
    message:
        f"All encoders aligned of {config['profile']}"
