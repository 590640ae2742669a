# Stages 3 to 6: people, few-shot, anomaly detection, structure. Each is one notebook per encoder and one tidy table.

EVALUATIONS = {"human": "03_human", "few_shot": "04_few_shot", "anomaly": "05_anomaly", "structure": "06_structure"}


def parts(table):
    """The encoders' parts of a results table."""
    encoders = ENCODERS if table in ("alignment", "human") else DOWNSTREAM
    return expand(RESULTS + "/tables/{encoder}/{table}.csv", encoder=encoders, table=table)


for name, number in EVALUATIONS.items():

    rule:
        name:
            f"{name}_encoder"
        input:
            TRANSFORMS,
            modules=uses(f"notebooks/{number}.ipynb"),
            notebook=f"notebooks/{number}.ipynb",
            triplets=RESULTS + "/triplets.npz",
            features=RESULTS + "/tables/{encoder}/features.csv",
        output:
            table=RESULTS + "/tables/{encoder}/" + name + ".csv",
            figure=report(
                RESULTS + "/figures/" + name + "-{encoder}.png",
                category="Figures",
                caption=f"../figures/captions/{name}.rst",
            ),
        params:
            settings=config.get(name, config.get("references")),
        log:
            notebook=RESULTS + "/logs/" + number + "-{encoder}.ipynb",
        threads: 4
        conda:
            "../environment.yml"
        message:
            f"Evaluate {{wildcards.encoder}}: {name}"
        shell:
            RUN + " -p encoder {wildcards.encoder}"


rule gather:
    """One tidy table from the encoders' parts."""
    input:
        lambda wildcards: parts(wildcards.table),
    output:
        RESULTS + "/{table}.csv",
    log:
        RESULTS + "/logs/gather-{table}.log",
    wildcard_constraints:
        table="alignment|human|few_shot|anomaly|structure",
    conda:
        "../environment.yml"
    message:
        "Gather {output}"
    shell:
        "python -m glocal gather {input} --out {output} 2>&1 | tee {log}"


rule human:
    """Agreement with human odd-one-out choices."""
    input:
        RESULTS + "/human.csv",


rule few_shot:
    """Few-shot classification."""
    input:
        RESULTS + "/few_shot.csv",


rule anomaly:
    """Anomaly detection."""
    input:
        RESULTS + "/anomaly.csv",


rule structure:
    """Neighbours and superclasses before and after."""
    input:
        RESULTS + "/structure.csv",


rule tables:
    """All five tables."""
    input:
        expand(RESULTS + "/{table}.csv", table=["alignment", "human", "few_shot", "anomaly", "structure"]),
