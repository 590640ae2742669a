# Stage 2: fit the transforms: every setting of the grid on every fold, the rule's choice, and the choice on all objects.


rule align_encoder:
    """naive, global and gLocal for one encoder."""
    input:
        modules=modules_used("notebooks/02_align.ipynb"),
        notebook="notebooks/02_align.ipynb",
        triplets=TRIPLETS,
        features=features_of,
    output:
        TRANSFORMS,
        table=f"{RESULTS}/tables/{{encoder}}/alignment.csv",
        history=f"{RESULTS}/tables/{{encoder}}/history.csv",
        figure=f"{RESULTS}/figures/alignment-{{encoder}}.png",
        training=f"{RESULTS}/figures/training-{{encoder}}.png",
    log:
        notebook=f"{RESULTS}/logs/02_align-{{encoder}}.ipynb",
    conda:
        "../environment.yml"
    threads: 4
    params:
        settings=config["alignment"],
    message:
        "Align {wildcards.encoder}"
    shell:
        RUN_ENCODER


rule align:
    """All encoders aligned, and the table of them."""
    input:
        stage("alignment"),
