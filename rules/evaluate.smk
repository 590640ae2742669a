# Stages 3 to 6: people, few-shot, anomaly detection, structure. Each is one notebook per encoder and its tidy tables.

EVALUATIONS = {"human": "03_human", "few_shot": "04_few_shot", "anomaly": "05_anomaly", "structure": "06_structure"}
TABLES = ["alignment", *EVALUATIONS, *(f"{name}_{table}" for name in MORE for table in MORE[name])]

for name, number in EVALUATIONS.items():

    rule:
        name:
            f"{name}_encoder"
        input:
            TRANSFORMS,
            modules=modules_used(f"notebooks/{number}.ipynb"),
            notebook=f"notebooks/{number}.ipynb",
            triplets=TRIPLETS,
            features=features_of,
        output:
            [f"{RESULTS}/tables/{{encoder}}/{name}_{table}.csv" for table in MORE.get(name, [])],
            table=f"{RESULTS}/tables/{{encoder}}/{name}.csv",
            figure=report(
                f"{RESULTS}/figures/{name}-{{encoder}}.png",
                category="Figures",
                caption=f"../figures/captions/{name}.rst",
            ),
        log:
            notebook=f"{RESULTS}/logs/{number}-{{encoder}}.ipynb",
        conda:
            "../environment.yml"
        threads: 4
        params:
            settings=config.get(name, config.get("references")),
            seed=config["seed"],
        message:
            f"Evaluate {{wildcards.encoder}}: {name}"
        shell:
            RUN_ENCODER


rule gather:
    """One tidy table from the encoders' parts."""
    input:
        lambda wildcards: parts(wildcards.table),
    output:
        f"{RESULTS}/{{table}}.csv",
    log:
        f"{RESULTS}/logs/gather-{{table}}.log",
    wildcard_constraints:
        table="|".join(TABLES),
    conda:
        "../environment.yml"
    message:
        "Gather {output}"
    shell:
        "python -m glocal gather {input:q} --out {output:q} 2>&1 | tee {log:q}"


rule human:
    """Agreement with human odd-one-out choices."""
    input:
        stage("human"),


rule few_shot:
    """Few-shot classification."""
    input:
        stage("few_shot"),


rule anomaly:
    """Anomaly detection."""
    input:
        stage("anomaly"),


rule structure:
    """Neighbours and superclasses before and after."""
    input:
        stage("structure"),


rule tables:
    """All tables."""
    input:
        [stage(name) for name in ["alignment", *EVALUATIONS]],
