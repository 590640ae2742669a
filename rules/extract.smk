# Stage 1: the odd-one-out triplets with their folds, and one feature file per encoder and image set.


rule triplets:
    """The triplet table and the object-disjoint folds."""
    input:
        files_of({"demo": "datasets.observer", "public": "datasets.judgments", "own": "datasets.own"}[config["source"]]),
        [config["triplets"]["file"]] if config["source"] == "own" else [],
    output:
        table=TRIPLETS[0],
        about=TRIPLETS[1],
    log:
        f"{RESULTS}/logs/triplets.log",
    localrule: True
    conda:
        "../environment.yml"
    params:
        splits=config["alignment"]["splits"],
        folds=config["alignment"]["folds"],
        human_folds=human_folds(config),
        seed=config["seed"],
        own=config.get("triplets"),
        objects=sorted({settings["objects"] for settings in config["encoders"].values()} - set(embeddings())),
    message:
        "Odd-one-out triplets -> {output.table}"
    shell:
        f"python -m glocal triplets --config {shlex.quote(EFFECTIVE)} --out {{output.table:q}} 2>&1 | tee {{log:q}}"


for encoder, settings in config["encoders"].items():

    rule:
        name:
            f"extract_{encoder}"
        input:
            files=named_files(settings, config.get("images", {})),
            modules=modules_used("notebooks/01_extract.ipynb", exclude=SHOWN),
            notebook="notebooks/01_extract.ipynb",
        output:
            # `update`: sets that are complete and have the same key are not made again.
            [update(path) for path in feature_files(encoder)],
            tables=table_of(encoder, *EXTRA_TABLES["extract"]),
        log:
            notebook=f"{RESULTS}/logs/01_extract-{encoder}.ipynb",
        benchmark:
            f"{RESULTS}/benchmarks/01_extract-{encoder}.tsv"
        group:
            f"extract_{encoder}"  # on a cluster one job with the first look
        conda:
            "../environment.yml"
        threads: 4
        resources:
            gpu=int("model" in settings),
            mem_mb=memory(8000),
            runtime=more(720),
        params:
            encoder=encoder,
            settings=settings,
            images=config.get("images"),
            # An encoder with a text tower encodes the class names of these labels, too.
            labels=task_labels(config) if has_text(settings) else [],
            splits=config["alignment"]["splits"],
            folds=config["alignment"]["folds"],
            seed=config["seed"],
        message:
            f"Extract {encoder}"
        shell:
            RUN_PARAMS


rule extract:
    """Features of all encoders."""
    input:
        [path for e in ENCODERS for path in (*table_of(e, *EXTRA_TABLES["extract"]), *feature_files(e))],
        [path for e in ENCODERS for path in (*first_look(e), *first_look(e, vector))],
    message:
        f"Features of all encoders of {config['profile']}"
