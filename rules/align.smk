# Stage 2: fit the transforms: every setting of the grid on every fold, the rule's choice, and the choice on all objects.


rule align_encoder:
    """naive, global and gLocal for one encoder."""
    input:
        modules=uses("notebooks/02_align.ipynb"),
        notebook="notebooks/02_align.ipynb",
        triplets=RESULTS + "/triplets.npz",
        features=RESULTS + "/tables/{encoder}/features.csv",
    output:
        TRANSFORMS,
        table=RESULTS + "/tables/{encoder}/alignment.csv",
        history=RESULTS + "/tables/{encoder}/history.csv",
        figure=RESULTS + "/figures/alignment-{encoder}.png",
    params:
        settings=config["alignment"],
    log:
        notebook=RESULTS + "/logs/02_align-{encoder}.ipynb",
    threads: 4
    conda:
        "../environment.yml"
    message:
        "Align {wildcards.encoder}"
    shell:
        RUN + " -p encoder {wildcards.encoder}"


rule align:
    """All encoders aligned, and the table of them."""
    input:
        RESULTS + "/alignment.csv",
