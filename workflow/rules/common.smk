"""Shared by all rules: the configuration, checked and resolved, and the digests of the code.

REQUIRED: config (checked against workflow/schemas/config.schema.yaml)
PROVIDES: DATASETS, VARIANTS, settings_of(), runs(), code()
"""

import json
import os
import sys
from pathlib import Path

# Jobs call `python -m dfer.<stage>`: let that be the Python that runs Snakemake, and this checkout.
SOURCE = str(Path(workflow.basedir) / "src")
sys.path.insert(0, SOURCE)
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    PYTHONPATH=os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")])),
)

from dfer import provenance
from dfer.configuration import check_config, dataset_settings, device_count
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


# A machine's cards are shared out one a job; a cluster's scheduler does that itself.
GPUS = device_count()
workflow.global_resources.setdefault("gpu", max(1, GPUS))


resource_scopes:
    gpu="local",


DATASETS = config["datasets"]
if "pretrain" in config:
    STORED = DATASETS | {"demo-stills": config["pretrain"]["dataset"]}
else:
    STORED = DATASETS
VARIANTS = config["variants"]


def settings_of(dataset, variant):
    """The resolved settings of a variant on a dataset."""
    return dataset_settings(config, dataset, variant)


SETTINGS = {
    (dataset, settings.key): settings
    for dataset in DATASETS
    for settings in (settings_of(dataset, variant) for variant in VARIANTS)
}


def runs(dataset, variant, pattern):
    """`pattern` filled for every fold and seed of a variant on a dataset."""
    return expand(
        pattern,
        dataset=dataset,
        run=settings_of(dataset, variant).key,
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
