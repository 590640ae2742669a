# Stages 3 to 6: human judgments, few-shot, anomaly detection, structure; and 8, gLocal against global, if the config has it.
# Each is one notebook per encoder and its tidy tables.

EVALUATIONS = {
    "human": "03_human",
    "few_shot": "04_few_shot",
    "anomaly": "05_anomaly",
    "structure": "06_structure",
    "trade_off": "08_trade_off",
    "judgments": "09_judgments",
}
EVALUATIONS = {step: notebook for step, notebook in EVALUATIONS.items() if step in TABLES}

THREADS = {
    "human": 1,
    "few_shot": 4,
    "anomaly": 2,
    "structure": 1,
    "judgments": 2,
    "trade_off": 4,
}  # what they make use of: the others run at the same time

for name, number in EVALUATIONS.items():

    rule:
        name:
            f"{name}_encoder"
        input:
            TRANSFORMS,
            modules=modules_used(f"notebooks/{number}.ipynb", exclude=SHOWN),
            notebook=f"notebooks/{number}.ipynb",
            triplets=TRIPLETS,
            features=features_of,
            chosen=table_of("{encoder}", "alignment"),
        output:
            table_of("{encoder}", *TABLES[name], *EXTRA_TABLES[name]),
        log:
            notebook=f"{RESULTS}/logs/{number}-{{encoder}}.ipynb",
        benchmark:
            f"{RESULTS}/benchmarks/{number}-{{encoder}}.tsv"
        conda:
            "../environment.yml"
        threads: THREADS[name]
        resources:
            gpu=0 if name in ("human", "structure") else GPU,  # these compute on the processor
            mem_mb=memory(6000),
            runtime=more(240),
        params:
            settings=[config.get(name), config.get("references")]
            + ([config["few_shot"]] if name == "judgments" else []),
            # What the fits of a trade-off share with those of the alignment.
            fit=config["alignment"]["fit"] if name == "trade_off" else None,
            seed=config["seed"],
        message:
            f"Evaluate {{wildcards.encoder}}: {name}"
        shell:
            RUN_ENCODER


for name in TABLES:

    rule:
        name:
            f"gather_{name}"
        input:
            parts(name),
        output:
            [f"{RESULTS}/{table}.csv" for table in TABLES[name]],
        log:
            f"{RESULTS}/logs/gather-{name}.log",
        localrule: True
        conda:
            "../environment.yml"
        params:
            encoders=[f"{RESULTS}/tables/{encoder}" for encoder in encoders_of(name)],
            tables=[f"--table={table}" for table in TABLES[name]],
        message:
            f"Gather the tables of {name}"
        shell:
            f"python -m glocal gather {{params.encoders:q}} {{params.tables}} --out {shlex.quote(RESULTS)} 2>&1 | tee {{log:q}}"


# A target a step: agreement with people, few-shot classification, anomaly detection, neighbours and superclasses, gLocal against
# global at equal neighbourhoods, what the judgments are worth.
for name in EVALUATIONS:

    rule:
        name:
            name
        input:
            results_of(name),
        localrule: True
        message:
            f"{name.replace('_', ' ').capitalize()}, all encoders of {config['profile']}"


# The authors' own weights, beside c I and on public features of one network; nothing of this profile's is read.
PUBLISHED_TRANSFORMS = (
    {
        option: f"{RESULTS}/published_{name}.csv"
        for option, name in {"out": "transforms", "matrices": "matrices", "spectra": "spectra"}.items()
    }
    if config.get("published_transforms")
    else {}
)


if PUBLISHED_TRANSFORMS:

    rule published_transforms:
        """What a published transform changes (CLIP RN50 on Caltech-101), and the spectra of all nine."""
        input:
            files_of("evaluation.published_transforms"),
        output:
            **PUBLISHED_TRANSFORMS,
        log:
            f"{RESULTS}/logs/published_transforms.log",
        conda:
            "../environment.yml"
        message:
            "Published transforms -> {output}"
        shell:
            "python -m glocal published --out {output.out:q} --matrices {output.matrices:q} --spectra {output.spectra:q} 2>&1 | tee {log:q}"


rule tables:
    """All tables of every step."""
    input:
        [results_of(name) for name in TABLES],
        list(PUBLISHED_TRANSFORMS.values()),
    message:
        f"All tables of {config['profile']}"
