"""Shared by all rules: the configuration, checked and resolved, and the digests of the code.

REQUIRED: config (checked against workflow/schemas/config.schema.yaml)
PROVIDES: DATASETS, VARIANTS, settings_of(), runs(), code()
"""

import gc
import json
import os
import sys
from pathlib import Path

# A DAG is many small objects that live to the end: to look for garbage less often among them saves
# a quarter of a dry run.
gc.set_threshold(100_000, 50, 50)

# Jobs call `python -m dfer.<stage>`: let that be the Python that runs Snakemake, and this checkout.
SOURCE = str(Path(workflow.basedir) / "src")
sys.path.insert(0, SOURCE)
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    PYTHONPATH=os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")])),
)

from dfer import provenance
from dfer.card import cards
from dfer.configuration import check_config, dataset_settings, study_datasets, study_of
from dfer.files import UserError
from dfer.settings import unused_modules

try:
    check_config(config, Path(workflow.basedir) / "workflow/schemas/config.schema.yaml")
except UserError as error:
    sys.exit(f"error: {error}")


wildcard_constraints:
    dataset=r"[\w-]+",
    shard=r"\d+",
    run=r"[\w+-]+\.[0-9a-f]{8}",
    fold=r"\d+",
    seed=r"\d+",
    study=r"[\w-]+",
    round=r"\d+",
    place=r"\d+",


# A machine's cards are handed out one a job (dfer.card); a cluster's scheduler does that itself.
GPUS = len(cards())
workflow.global_resources.setdefault("gpu", max(1, GPUS))


resource_scopes:
    gpu="local",


DATASETS = config["datasets"]
if "pretrain" in config:
    STORED = DATASETS | {"demo-stills": config["pretrain"]["dataset"]}
else:
    STORED = DATASETS
VARIANTS = config["variants"]
STUDIES = config.get("tuning", {})


def settings_of(dataset, variant):
    """The resolved settings of a variant on a dataset."""
    return dataset_settings(config, dataset, variant)


def run_key(dataset, variant):
    """The folder name of a variant's runs: of its settings, and of the study that completes them."""
    settings, study = settings_of(dataset, variant), VARIANTS[variant].get("tuned")
    if study is None:
        return settings.key
    return f"tuned-{study}.{provenance.digest([settings.to_json(), study])[:8]}"


SETTINGS = {
    (d, run_key(d, variant)): settings_of(d, variant) for d in DATASETS for variant in VARIANTS
}
TUNED = {  # runs whose settings a study completes
    (d, run_key(d, variant)): what["tuned"]
    for d in DATASETS
    for variant, what in VARIANTS.items()
    if "tuned" in what
}


def runs(dataset, variant, pattern):
    """`pattern` filled for every fold and seed of a variant on a dataset."""
    return expand(
        pattern,
        dataset=dataset,
        run=run_key(dataset, variant),
        fold=DATASETS[dataset]["folds"],
        seed=config["seeds"],
    )


def code(*stages, unused=None):
    """Parameters that carry the digest of each module that `stages` run, under its own name.

    `unused(wildcards)` names modules that a job does not use, so that their edits leave it alone.
    """

    def carry(module):
        if unused is None:
            return provenance.stamp(module)

        def stamp(wildcards):
            used = provenance.modules(*stages, without=unused(wildcards))
            return provenance.stamp(module) if module in used else None

        return stamp

    return {module.replace(".", "_"): carry(module) for module in provenance.modules(*stages)}


def text_key(clip):
    """The file name of the class texts of one CLIP."""
    return provenance.digest({"model": clip.model, "weights": clip.weights})[:8]
