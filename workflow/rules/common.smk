"""Shared by all rules: the configuration as typed values, where runs lie, the digests of the code.

REQUIRED: config (checked against workflow/schemas/config.schema.yaml)
PROVIDES: EXPERIMENT, DATASETS, STORED, RUN, STUDY, settings(), runs(), packed(), code() …
"""

import gc
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

# A DAG is many small objects that live to the end: to look for garbage less often among them saves
# a quarter of a dry run.
gc.set_threshold(100_000, 50, 50)

# This checkout, from wherever the workflow is included or used as a module.
CHECKOUT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
if not (CHECKOUT / "src/dfer").is_dir():
    sys.exit(
        f"error: {CHECKOUT} has no src/dfer, whose modules the rules run. Clone the repository, "
        "and name workflow/Snakefile of the clone."
    )
if set("{}") & set(str(CHECKOUT)):
    sys.exit(f"error: {CHECKOUT}: Snakemake takes braces in a path for wildcards. Move the clone.")

# Jobs call `python -m dfer.<stage>`: let that be the Python that runs Snakemake, and this checkout.
SOURCE = str(CHECKOUT / "src")
sys.path.insert(0, SOURCE)
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    PYTHONPATH=os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")])),
)

try:
    from dfer import provenance
    from dfer.dag.configuration import check_config
    from dfer.dag.experiment import CORRECTED, STILLS, Experiment, with_own_files
    from dfer.dag.gpu import gpus
    from dfer.datasets import layouts
    from dfer.demo.dataset import folder_name
    from dfer.errors import UserError
    from dfer.settings import RunSettings, unused_modules
    from dfer.tables import reported
    from dfer.tuning.study import tuned_settings
    from dfer.video_settings import PINNED, WEIGHTS, weights_file
except SyntaxError as error:  # an edited module
    sys.exit(f"error: {error.filename}, line {error.lineno}: not Python ({error.msg}). Mend it.")
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}. Run Snakemake in the environment of {CHECKOUT}/environment.yml.")

try:
    schema = CHECKOUT / "workflow/schemas/config.schema.yaml"
    check_config(config, schema, files=map(Path, workflow.configfiles))
    EXPERIMENT = Experiment(with_own_files(config, CHECKOUT))
except UserError as error:
    sys.exit(f"error: {error}")

if sys.getfilesystemencoding() != "utf-8" and not str(config).isascii():
    sys.exit(
        "error: the configuration has letters beyond ASCII, and this locale would change them "
        f"({sys.getfilesystemencoding()}). Set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8."
    )

DATASETS = EXPERIMENT.datasets  # those that runs are trained on
STORED = EXPERIMENT.stored  # the same, and the stills of the demo's CLIP


wildcard_constraints:
    dataset=r"[\w-]+",
    shard=r"\d+",
    run=r"[\w+-]+\.[0-9a-f]{8}",
    fold=r"\d+",
    seed=r"\d+",
    study=r"[\w-]+",
    round=r"\d+",
    place=r"\d+",
    table=r"\d+",


# A machine's GPUs are handed out one a job (dfer.dag.gpu); a cluster's scheduler does that itself.
GPUS = len(gpus())
GPU, GPU_THREADS = (1, 4) if GPUS else (0, 1)  # what a job takes that computes on a GPU if it can
workflow.global_resources.setdefault("gpu", max(1, GPUS))


resource_scopes:
    gpu="local",


# ── The tables: what papers print, and the variants that stand in them ──────────────────────────

REPORTED = os.path.relpath(CHECKOUT / "config/reported.csv")
PRINTED = reported.read(REPORTED)
TABLE_VARIANTS = EXPERIMENT.table_variants(reported.variants(PRINTED))
TABLES = [table for table in TABLE_VARIANTS if table in reported.of_the_paper(PRINTED)]
RARE = 6  # our own: what is done for rare classes, beside the paper's model


# A flag of trainings, by the environment and not by a parameter: to watch one reruns none.
os.environ.update(DFER_TENSORBOARD="--tensorboard" if EXPERIMENT.tensorboard else "")


# ── Runs: a dataset, the settings of a variant, a fold, a seed ──────────────────────────────────

RUN = "results/{dataset}/runs/{run}/fold{fold}-seed{seed}"
RUN_LOG = RUN.replace("results/", "results/logs/", 1)
STUDY = "results/{dataset}/tuning/{study}"

# Dataset and key of every run that there may be → its variant and its share of the train clips.
KNOWN_RUNS = {
    (dataset, EXPERIMENT.run_key(dataset, variant, share)): (variant, share)
    for dataset in DATASETS
    for variant in EXPERIMENT.variants
    for share in (1, *EXPERIMENT.shares)
}
SETTINGS = {
    (dataset, key): EXPERIMENT.settings(dataset, *run) for (dataset, key), run in KNOWN_RUNS.items()
}

# Corrected runs train nothing: dataset and key of each → the key of the run that it corrects, and
# of the one like it that has held out train clips, which is a run that there may be, too.
CORRECTIONS = {}
for (dataset, key), (name, share) in list(KNOWN_RUNS.items()):
    if (correction := EXPERIMENT.variants[name].corrected) is not None:
        own = EXPERIMENT.holding_out(dataset, correction.variant, share)
        KNOWN_RUNS.setdefault((dataset, own.key), (correction.variant, share))
        SETTINGS[dataset, own.key] = own
        CORRECTIONS[dataset, key] = EXPERIMENT.run_key(dataset, correction.variant, share), own.key


def runs(dataset, variant, file, seeds=EXPERIMENT.seeds, share=1):
    """The path of `file` in the folder of every run of a variant on a dataset.

    What corrected runs do not have, since nothing is trained, is that of those that they correct.
    """
    correction = EXPERIMENT.variants[variant].corrected
    if correction is not None and file not in ("predictions.parquet", "metrics.parquet"):
        variant = correction.variant
    return expand(
        f"{RUN}/{file}",
        dataset=dataset,
        run=EXPERIMENT.run_key(dataset, variant, share),
        fold=DATASETS[dataset].folds,
        seed=seeds,
    )


def table_runs(table, file):
    """The path of `file` in the folder of every run of a table, those of several rows once."""
    seeds = EXPERIMENT.seeds_of(table)
    found = (runs(d, name, file, seeds) for d in DATASETS for name in TABLE_VARIANTS[table])
    return sorted({path for paths in found for path in paths})


def tables_runs(file):
    """The path of `file` in the folder of every run of every table, on all datasets."""
    return sorted({path for table in TABLES for path in table_runs(table, file)})


def study_result(wildcards, wait=True):
    """What the study of a tuned run has found; nothing for other runs.

    Behind a checkpoint, and not by its date: a study that finds the same again retrains nothing.
    """
    variant, _ = KNOWN_RUNS[wildcards.dataset, wildcards.run]
    study = EXPERIMENT.variants[variant].tuned
    if study is None:
        return []
    if wait:
        checkpoints.best.get(dataset=wildcards.dataset, study=study)
    return [ancient(f"results/{wildcards.dataset}/tuning/{study}/best.yaml")]


def settings(wildcards):
    """The settings of a run; of a tuned one as far as its study is finished."""
    own = SETTINGS[wildcards.dataset, wildcards.run]
    found = [Path(path) for path in study_result(wildcards, wait=False)]
    if not found or not found[0].exists():
        return own
    try:
        return tuned_settings(own, found[0])
    except UserError as error:
        sys.exit(f"error: {error}")


PARTS = set().union(*map(unused_modules, SETTINGS.values()))  # modules of some variants only
METHODS = {own.model.module for own in SETTINGS.values()}  # modules of the methods


def method(wildcards):
    """The module of a run's method."""
    return SETTINGS[wildcards.dataset, wildcards.run].model.module


def unused_by_run(wildcards):
    """The `PARTS` that the run's variant does not use; a study may come to use any."""
    if study_result(wildcards, wait=False):
        return set()
    return unused_modules(settings(wildcards))


def packed(wildcards):
    """What says that a dataset's clip store is whole, and what it holds.

    Jobs read the shards and have this for their input: a plan of hundreds of jobs with dozens of
    shards each would take twice as long.
    """
    return f"results/{wildcards.dataset}/store/contents.parquet"


def store(wildcards):
    """The shards of a dataset's clip store."""
    numbers = range(STORED[wildcards.dataset].shards)
    return [f"results/{wildcards.dataset}/store/{number}.arrow" for number in numbers]


# ── Releases, rendered here or on disk ──────────────────────────────────────────────────────────

RENDERED = {name: d.render for name, d in STORED.items() if d.render is not None}


def rendered_files(dataset):
    """The files of a release that these rules make."""
    folder, how = f"results/{dataset.name}/release", dataset.render
    people = sorted({f"{how.kind}/{folder_name(how.kind, n)}" for n in range(how.people)})
    return [f"{folder}/{path}" for path in ("labels.csv", *people)]


def release(wildcards):
    """What a manifest is read from: a release that is rendered here, or the label files of one."""
    dataset = STORED[wildcards.dataset]
    if dataset.render is not None:
        return rendered_files(dataset)
    return [str(path) for path in layouts.label_files(dataset.layout, Path(dataset.root))]


def looks_at_the_demo():
    """What a person looks at to judge the demo: how it looks, and what its CLIP makes of words."""
    shown = [name for name, how in RENDERED.items() if how.kind == "clips"]
    pages = ["results/{dataset}/contact_sheet.png"]
    pages += ["results/figures/{dataset}/words.svg"] * (EXPERIMENT.pretraining is not None)
    return expand(pages, dataset=shown)


# ── The CLIP that a run starts from ─────────────────────────────────────────────────────────────


def backbone_key(backbone):
    """The file name of the class texts of one CLIP."""
    return provenance.digest({"model": backbone.model, "weights": backbone.weights})[:8]


def backbone_files(backbone):
    """The files of a CLIP that lie on this disk: its JSON configuration, its weights."""
    paths = [backbone.model] * backbone.model.endswith(".json")
    weights = backbone.weights or ""
    return paths + [weights] * (weights.startswith("results/") or Path(weights).is_file())


def text_features(dataset, own):
    """The class words' features of a run's CLIP; none for a method without one."""
    if not own.model.uses_clip:
        return []
    return [f"results/{dataset}/text.{backbone_key(own.backbone)}.safetensors"]


def text_flag(wildcards, input):
    """The flag that names them."""
    return ["--text", str(input.text)] if input.text else []


def starts_from(own):
    """The files on this disk that a run's model starts from.

    One that is missing is none of them: the training says so. As an input it would let Snakemake
    take what was made before for what was asked for.
    """
    if own.model.uses_clip:
        return backbone_files(own.backbone)
    weights = getattr(own.model, "weights", "")
    return [weights_file(weights)] * (weights in PINNED or Path(weights).is_file())


# ── Figures that compare two variants ───────────────────────────────────────────────────────────

# What each figure compares: name in the figure → variant. Those of the paper have its numbers.
COMPARED = {
    "shares": {
        "w/o text": "without_text",
        "w/ text, no BiEhPro": "interfit_msta",
        "w/ text": "full",
        "text prompt": "text_prompt",
        "both prompts": "both_prompts",
    },
    "figure2": {"Text prompt": "text_prompt", "Text and visual prompts": "both_prompts"},
    "figure4": {"Without text": "without_text", "With text": "full"},
    **dict.fromkeys(
        ("figure5", "confusion", "recall", "learning"),
        {"Baseline": "baseline", "Full model": "full"},
    ),
    "rare": {
        "Full model": "full",
        "Prior-corrected": "prior",
        "Corrected afterwards": "post_hoc",
        "Balanced sampling": "balanced",
        "Label smoothing": "smoothing",
    },
}


def has_variants(figure):
    """Whether the configuration has the variants that a figure compares."""
    return set(COMPARED[figure].values()) <= set(EXPERIMENT.variants)


def compared_files(wildcards, figure, place, file):
    """The path of `file` in each fold of the first or second variant of a figure."""
    variant = list(COMPARED[figure].values())[place]
    return runs(wildcards.dataset, variant, file, seeds=EXPERIMENT.seeds[:1])


# ── Parameters ──────────────────────────────────────────────────────────────────────────────────


def code(*stages, optional=frozenset(), unused=lambda wildcards: set(), method=None):
    """Parameters that carry the digest of each module that `stages` run, under its own name.

    `unused(wildcards)` names those of the modules `optional` that a job does not use, so that their
    edits leave it alone; `method(wildcards)` the module of its method, one of `METHODS`, which the
    stages load by name. What all jobs use is no function, which Snakemake would call for each.
    """

    def carry(module):
        if module in always:
            return provenance.stamp(module)

        def stamp(wildcards):
            own = [method(wildcards)] if method else []
            used = provenance.modules(*stages, *own, without=unused(wildcards))
            # Snakemake compares sets: a module that only other jobs use is no change of this one.
            return provenance.stamp(module if module in used else stages[0])

        return stamp

    try:
        all_stages = [(*stages, own) for own in sorted(METHODS)] if method else [stages]
        sometimes = set().union(*(provenance.modules(*names) for names in all_stages))
        always = set(sometimes)
        for names in all_stages:
            always &= set(provenance.modules(*names, without=optional))
        return {module.replace(".", "_"): carry(module) for module in sorted(sometimes)}
    except UserError as error:  # an edited module that is no Python
        sys.exit(f"error: {error}")


def as_json(values):
    """A parameter that a stage reads as JSON."""
    return json.dumps(values, ensure_ascii=False)


def classes(wildcards):
    """JSON: label → class word, of a dataset."""
    return as_json(STORED[wildcards.dataset].classes)


def settings_of_variants(wildcards):
    """JSON: variant → its settings on a dataset, of all that have settings of their own.

    Those of a tuned variant are known when its study has ended.
    """
    return as_json(
        {
            variant.name: EXPERIMENT.settings(wildcards.dataset, variant.name).to_dict()
            for variant in EXPERIMENT.variants.values()
            if variant.corrected is None and variant.tuned is None
        }
    )


def synthetic(wildcards):
    """The flag that says that a dataset is synthetic, where it is."""
    return ["--synthetic"] if STORED[wildcards.dataset].synthetic else []


def without_suffix(suffix):
    """A parameter: the path of the first output without its ending."""
    return lambda wildcards, output: str(output[0]).removesuffix(suffix)


def landmark_settings(wildcards):
    """JSON: how faces are found in a dataset; null where the release brings its own crops."""
    dataset = STORED[wildcards.dataset]
    return as_json(asdict(dataset.landmarks) if dataset.is_aligned_here else None)


LAYOUTS = set().union(*(layouts.modules_of_others(dataset.layout) for dataset in STORED.values()))


def other_layouts(wildcards):
    """The `LAYOUTS` that this dataset does not have."""
    return layouts.modules_of_others(STORED[wildcards.dataset].layout)
