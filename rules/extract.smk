# Stage 1: the odd-one-out triplets with their folds, and one feature file per encoder and image set.


rule triplets:
    """The triplet table and the object-disjoint folds."""
    input:
        uses("glocal/demo.py" if config["source"] == "demo" else "glocal/judgments.py"),
    output:
        f"{RESULTS}/triplets.npz",
    log:
        f"{RESULTS}/logs/triplets.log",
    conda:
        "../environment.yml"
    params:
        splits=config["alignment"]["splits"],
        folds=config["alignment"]["folds"],
        seed=config["seed"],
    message:
        "Odd-one-out triplets -> {output}"
    shell:
        f"python -m glocal triplets --config {EFFECTIVE} --out {{output}} 2>&1 | tee {{log}}"


rule extract_encoder:
    """Features of every image set of one encoder. The feature files keep themselves up to date; the output is their summary."""
    input:
        files=lambda wildcards: named_files(config["encoders"][wildcards.encoder], config.get("images", {})),
        modules=uses("notebooks/01_extract.ipynb"),
        notebook="notebooks/01_extract.ipynb",
    output:
        table=f"{RESULTS}/tables/{{encoder}}/features.csv",
        figure=f"{RESULTS}/figures/features-{{encoder}}.png",
    log:
        notebook=f"{RESULTS}/logs/01_extract-{{encoder}}.ipynb",
    conda:
        "../environment.yml"
    threads: 4
    resources:
        gpu=lambda wildcards: int("model" in config["encoders"][wildcards.encoder]),
    params:
        settings=lambda wildcards: config["encoders"][wildcards.encoder],
        images=config.get("images"),
        # An encoder with a text tower encodes the class names of these labels, too.
        labels=lambda wildcards: task_labels(config) if has_text(config["encoders"][wildcards.encoder]) else [],
        splits=config["alignment"]["splits"],
        folds=config["alignment"]["folds"],
        seed=config["seed"],
    message:
        "Extract {wildcards.encoder}"
    shell:
        RUN_ENCODER


rule extract:
    """Features of all encoders."""
    input:
        [f"{RESULTS}/tables/{encoder}/features.csv" for encoder in ENCODERS],
