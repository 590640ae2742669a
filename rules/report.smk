# The report of a run: a folder of pages that a browser opens from disk. Tables, figures and the notebooks as they ran are copied.

REPORT = f"{RESULTS}/report"
ENCODERS_OF = {"01_extract": ENCODERS, "02_align": ENCODERS} | {n: encoders_of(step) for step, n in EVALUATIONS.items()}
RUNS = [f"{notebook}-{encoder}" for notebook, encoders in ENCODERS_OF.items() for encoder in encoders] + ["07_figures"]
REPORT_TABLES = [f"{RESULTS}/{table}.csv" for names in TABLES.values() for table in names]
REPORT_TABLES += [*PUBLISHED_TRANSFORMS.values(), rules.figures_profile.output.table]
REPORT_FIGURES = [path for path in rules.figures.input if path.endswith(".png")]


rule report:
    """Headline, figures, the paper's list, notebooks, config, versions, run times, data sources and licences."""
    input:
        REPORT_TABLES,
        REPORT_FIGURES,
        expand(f"{RESULTS}/logs/{{run}}.ipynb", run=RUNS),
        expand(f"{RESULTS}/benchmarks/{{run}}.tsv", run=RUNS),
        ["docs/explanation/paper.md", "NOTICE", "CITATION.cff"],
        sorted(Path("figures/captions").glob("*.rst")),
        sorted(Path("glocal/reporting/templates").iterdir()),
        modules=files_of("reporting.site", "workflow.plan"),
    output:
        expand(f"{REPORT}/{{page}}.html", page=["index", "paper", "notebooks", "run", "data"]),
        expand(f"{REPORT}/notebooks/{{run}}.html", run=RUNS),
        [f"{REPORT}/tables/{Path(path).name}" for path in REPORT_TABLES],
        [f"{REPORT}/figures/{Path(path).name}" for path in REPORT_FIGURES],
    log:
        f"{RESULTS}/logs/report.log",
    localrule: True
    conda:
        "../environment.yml"
    params:
        config=dict(config),
    message:
        f"Report -> {REPORT}/index.html"
    shell:
        f"python -m glocal site --config {shlex.quote(EFFECTIVE)} 2>&1 | tee {{log:q}}"
