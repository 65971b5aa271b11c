"""What figures and pages read, as functions of their wildcards.

REQUIRED: common.smk, inputs.smk
"""

# What each figure compares: name in the figure → variant. Those of the paper have its numbers.
COMPARED = {
    "figure2": {"Text prompt": "text_prompt", "Text and visual prompts": "both_prompts"},
    "figure4": {"Without text": "without_text", "With text": "full"},
    **dict.fromkeys(
        ("figure5", "confusion", "recall", "learning"),
        {"Baseline": "baseline", "Full model": "full"},
    ),
}


def compared(dataset, figure):
    """Name in the figure → variant; of `blocks` the name is M."""
    if figure != "blocks":
        return COMPARED[figure]
    return {str(settings_of(dataset, v).model.blocks): v for v in TABLE_VARIANTS["4"]}


def figures_of(dataset):
    """The figures whose variants the configuration has."""
    drawn = [name for name, names in COMPARED.items() if set(names.values()) <= set(VARIANTS)]
    return drawn + ["blocks"] * (len(compared(dataset, "blocks")) > 1)


def figure_runs(figure):
    """A parameter: JSON of name in the figure → key of its runs."""
    return lambda w: json.dumps(
        {
            name: run_key(w.dataset, variant)
            for name, variant in compared(w.dataset, figure).items()
        },
        ensure_ascii=False,
    )


def figure_dataset(wildcards):
    """JSON of what a figure says of its dataset."""
    what = DATASETS[wildcards.dataset]
    shown = {"title": what["title"], "synthetic": what.get("synthetic", False)}
    return json.dumps(shown | {"classes": list(what["classes"])}, ensure_ascii=False)


def all_runs(figure, name):
    """An input function: the file `name` of all runs of the variants that a figure compares."""
    return lambda w: sorted(
        {
            path
            for variant in compared(w.dataset, figure).values()
            for path in runs(w.dataset, variant, f"{RUN}/{name}")
        }
    )


def first_seed(dataset, key, name):
    """The file `name` of each fold of the runs `key`, of the first seed."""
    return expand(
        f"{RUN}/{name}",
        dataset=dataset,
        run=key,
        fold=DATASETS[dataset]["folds"],
        seed=config["seeds"][0],
    )


def one_variant(figure, place, name):
    """An input function: the file `name` of each fold of a figure's variant, of the first seed."""

    def paths(wildcards):
        variant = list(COMPARED[figure or wildcards.figure].values())[place]
        return first_seed(wildcards.dataset, run_key(wildcards.dataset, variant), name)

    return paths


def histories(wildcards):
    """JSON: key of its runs → histories of its runs."""
    variants = compared(wildcards.dataset, "learning").values()
    keys = {v: run_key(wildcards.dataset, v) for v in variants}
    pattern = f"{RUN}/history.parquet"
    return json.dumps({key: runs(wildcards.dataset, v, pattern) for v, key in keys.items()})


def per_variant(figure, pattern):
    """An input function: `pattern` for the settings of each variant that a figure compares."""
    return lambda w: [
        pattern.format(dataset=w.dataset, run=run_key(w.dataset, variant))
        for variant in COMPARED[figure].values()
    ]


def views(figure, title):
    """The three files of a figure, of which the SVG is in the report under `title`."""
    path = f"results/figures/{{dataset}}/{figure}"
    view = report(
        f"{path}.svg",
        category="Figures",
        subcategory="{dataset}",
        labels={"figure": title},
        caption=f"../report/{figure}.rst",
    )
    return {"pdf": f"{path}.pdf", "png": f"{path}.png", "svg": view}


def all_figures(wildcards):
    """All figures of all datasets."""
    return [
        f"results/figures/{dataset}/{figure}.svg"
        for dataset in DATASETS
        for figure in figures_of(dataset)
    ]


def all_records(wildcards):
    """The records of every run of every table on a dataset."""
    return sorted(
        {
            path
            for variant in sum(TABLE_VARIANTS.values(), [])
            for path in runs(wildcards.dataset, variant, f"{RUN}/run.json")
        }
    )


def all_settings(wildcards):
    """JSON: variant → its settings on a dataset."""
    return json.dumps(
        {v: json.loads(settings_of(wildcards.dataset, v).to_json()) for v in VARIANTS},
        ensure_ascii=False,
    )
