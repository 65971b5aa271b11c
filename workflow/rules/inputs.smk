"""What jobs read, as functions of their wildcards: the releases, the shards, the runs of a table.

REQUIRED: common.smk
"""

import csv
from dataclasses import asdict

import yaml

from dfer.settings import RunSettings
from dfer.tuning.study import Damaged, overlay, read_record

DEMO = config.get("demo", {})
PEOPLE = {"demo": DEMO.get("identities", 20), "demo-stills": DEMO.get("stills_identities", 24)}


def rendered(dataset):
    """The files of a release that these rules make; none where it lies on disk already."""
    if dataset not in PEOPLE:
        return []
    release = f"results/{dataset}/release"
    kind, letter = ("clips", "s") if dataset == "demo" else ("stills", "t")
    people = [f"{release}/{kind}/{letter}{number:02d}" for number in range(PEOPLE[dataset])]
    return [f"{release}/labels.csv", *people]


def demo_pictures():
    """What a person looks at to judge the demo."""
    return ["results/demo/contact_sheet.png"] if "demo" in DATASETS else []


def shards(pattern):
    """An input function: `pattern` for every shard of the dataset."""

    def paths(wildcards):
        numbers = range(STORED[wildcards.dataset]["shards"])
        return [pattern.format(dataset=wildcards.dataset, shard=number) for number in numbers]

    return paths


# Where each layout keeps its lists of labels and folds, at the root or in a folder of an archive.
LABEL_FILES = {
    "csv": ["labels.csv"],
    "dfew": ["EmoLabel_DataSplit/*/*.csv", "*/EmoLabel_DataSplit/*/*.csv"],
    "ferv39k": ["4_setups/All_scenes/*.csv", "*/4_setups/All_scenes/*.csv"],
    "mafw": ["*/single/no_caption/*/*.txt", "*/*/single/no_caption/*/*.txt"],
}


def release_of(wildcards):
    """What a manifest is read from: a release that is rendered here, or one's lists on disk."""
    what = STORED[wildcards.dataset]
    found = rendered(wildcards.dataset)
    for pattern in LABEL_FILES[what["reader"]] if not found else []:
        found += sorted(map(str, Path(what["root"]).glob(pattern)))
    return found


def check_arguments(dataset):
    """The command line of `dfer.check_data` for a dataset of the configuration."""
    what = DATASETS[dataset]
    return f"--dataset {what['reader']} --root '{what['root']}' --source {what['source']}"


def shard_list(wildcards):
    """The clips of one shard, known once the manifest is made."""
    checkpoints.manifest.get(dataset=wildcards.dataset)
    return f"results/{wildcards.dataset}/shards/{wildcards.shard}.parquet"


def fold_list(wildcards):
    """The clips of one fold, known once the manifest is made."""
    made = Path(checkpoints.manifest.get(dataset=wildcards.dataset).output.folds)
    path = made / f"{wildcards.fold}.parquet"
    if not path.exists():
        there = ", ".join(sorted((p.stem for p in made.glob("*.parquet")), key=int))
        sys.exit(
            f"error: the release of {wildcards.dataset} has no fold {wildcards.fold}; it has {there}. "
            "Correct the configuration's `folds`."
        )
    return str(path)


def alignment_cards(wildcards):
    """GPUs that a shard's alignment takes: dlib takes none."""
    how = STORED[wildcards.dataset].get("landmarks", {})
    neural = how.get("backend") == "face_alignment" and how.get("device") != "cpu"
    return 1 if GPUS and neural else 0


def aligned_first(wildcards):
    """Landmarks and their rejects, unless the release brings face crops of its own."""
    if STORED[wildcards.dataset]["source"] == "crops":
        return {}
    return {
        "landmarks": f"results/{wildcards.dataset}/landmarks/{wildcards.shard}.parquet",
        "align_rejects": f"results/{wildcards.dataset}/landmarks/{wildcards.shard}.rejects.parquet",
    }


def all_rejects(wildcards):
    """The rejects of every shard's alignment and extraction."""
    patterns = ["results/{dataset}/store/{shard}.rejects.parquet"]
    if STORED[wildcards.dataset]["source"] == "video":
        patterns.append("results/{dataset}/landmarks/{shard}.rejects.parquet")
    return [path for pattern in patterns for path in shards(pattern)(wildcards)]


def redone_shard(wildcards):
    """What is forced where a clip was mended, with `*` for its shard; the rest follows from it."""
    is_video = STORED[wildcards.dataset]["source"] == "video"
    return f"results/{wildcards.dataset}/" + (
        "landmarks/*.parquet" if is_video else "store/*.arrow"
    )


def other_readers(wildcards):
    """Readers of other layouts than this dataset's."""
    modules = {"csv": "table", "dfew": "dfew", "ferv39k": "ferv39k", "mafw": "mafw"}
    reader = STORED[wildcards.dataset]["reader"]
    return {f"dfer.datasets.{name}" for key, name in modules.items() if key != reader}


def other_backends(wildcards):
    """Landmark backends that this dataset does not use."""
    modules = {"dlib": "dlib_68", "face_alignment": "face_alignment_68"}
    backend = STORED[wildcards.dataset]["landmarks"]["backend"]
    return {f"dfer.faces.{name}" for key, name in modules.items() if key != backend}


def unused_transform(wildcards):
    """The transform of faces, which a release's own crops do not go through."""
    is_crops = STORED[wildcards.dataset]["source"] == "crops"
    return {"dfer.faces.similarity"} if is_crops else set()


RUN = "results/{dataset}/runs/{run}/fold{fold}-seed{seed}"


def settings(wildcards):
    """The settings of a run; of a tuned one as far as its study is finished."""
    own = SETTINGS[wildcards.dataset, wildcards.run]
    found = [Path(path) for path in found_by_study(wildcards, wait=False)]
    if not found or not found[0].exists():
        return own
    best = yaml.safe_load(found[0].read_text(encoding="utf-8"))
    return RunSettings.from_dict(overlay(asdict(own), best["settings"]))


def found_by_study(wildcards, wait=True):
    """What the study of a tuned run has found; nothing for other runs.

    Behind a checkpoint, and not by its date: a study that finds the same again retrains nothing.
    """
    study = TUNED.get((wildcards.dataset, wildcards.run))
    if study is None:
        return []
    if wait:
        checkpoints.best.get(dataset=wildcards.dataset, study=study)
    return [ancient(f"results/{wildcards.dataset}/tuning/{study}/best.yaml")]


def text_of(wildcards):
    """The class words' features of the run's CLIP."""
    return f"results/{wildcards.dataset}/text.{text_key(settings(wildcards).clip)}.safetensors"


def clip_files(clip):
    """The files of a CLIP that lie on this disk: its JSON configuration, its weights."""
    paths = [clip.model] * clip.model.endswith(".json")
    weights = clip.weights or ""
    return paths + [weights] * (weights.startswith("results/") or Path(weights).is_file())


def unused_by(wildcards):
    """Modules of the model that the run's variant does not use; a study may come to use any."""
    if (wildcards.dataset, wildcards.run) in TUNED:
        return set()
    return unused_modules(settings(wildcards))


CLIPS = {text_key(s.clip): s.clip for s in SETTINGS.values()}


REPORTED = "config/reported.csv"

with open(Path(workflow.basedir) / REPORTED, newline="", encoding="utf-8") as file:
    TABLE_VARIANTS = {}
    for row in csv.DictReader(file):
        variants = TABLE_VARIANTS.setdefault(row["table"], [])
        if row["variant"] in VARIANTS and row["variant"] not in variants:
            variants.append(row["variant"])

# A tuned variant has no row in the paper: it stands in the main tables where its like does.
for variant, what in VARIANTS.items():
    if "tuned" in what and variant not in sum(TABLE_VARIANTS.values(), []):
        for table in ("1", "2"):
            if STUDIES[what["tuned"]]["variant"] in TABLE_VARIANTS[table]:
                TABLE_VARIANTS[table].append(variant)


def predictions_of(wildcards):
    """Predictions of every run that a table's rows name, those of several rows once."""
    return sorted(
        {
            path
            for dataset in DATASETS
            for variant in TABLE_VARIANTS[wildcards.table]
            for path in runs(dataset, variant, f"{RUN}/predictions.parquet")
        }
    )


def archived(wildcards):
    """Of every run of every table: what it predicted, how it learnt, what it was."""
    names = ("predictions.parquet", "metrics.parquet", "history.parquet", "run.json")
    found = {f"results/{dataset}/rejects.parquet" for dataset in DATASETS}
    for dataset in DATASETS:
        for variant in sum(TABLE_VARIANTS.values(), []):
            for name in names:
                found.update(runs(dataset, variant, f"{RUN}/{name}"))
    return sorted(found)


def compared_with(wildcards):
    """JSON: dataset → run of the table's first variant, with which its others are compared."""
    first = TABLE_VARIANTS[wildcards.table][:1]
    return json.dumps({d: run_key(d, variant) for d in DATASETS for variant in first})


def flops_of(wildcards):
    """The FLOPs, for tables that print them."""
    return [] if wildcards.table in ("1", "5") else "results/flops.parquet"


def run_names(wildcards):
    """JSON: dataset → variant → key of its settings, for the rows of a table."""
    return json.dumps(
        {
            dataset: {v: run_key(dataset, v) for v in TABLE_VARIANTS[wildcards.table]}
            for dataset in DATASETS
        }
    )


def tuned_rows(wildcards):
    """JSON: tuned variant → the variant that its study tunes, for the rows of a table."""
    tuned = [v for v in TABLE_VARIANTS[wildcards.table] if "tuned" in VARIANTS[v]]
    return json.dumps({v: STUDIES[VARIANTS[v]["tuned"]]["variant"] for v in tuned})


STUDY = "results/{dataset}/tuning/{study}"
STUDY_FIGURES = ["history", "importances", "slices", "parallel", "curves"]


def study(wildcards):
    """The study of a job, as the configuration has it."""
    return study_of(config, wildcards.dataset, wildcards.study)


def study_title(wildcards):
    """Whose study a figure shows."""
    what = DATASETS[wildcards.dataset]
    synthetic = " (synthetic)" if what.get("synthetic") else ""
    return f"{what['title']}{synthetic}, study {wildcards.study}"


def study_text(wildcards):
    """The class words' features of a study's CLIP, those of the ablations."""
    clip = study(wildcards).trial_settings({}).clip
    return f"results/{wildcards.dataset}/text.{text_key(clip)}.safetensors"


def study_splits(wildcards):
    """The clips of the fold that a study trains on."""
    return f"results/{wildcards.dataset}/splits/{study(wildcards).fold}.parquet"


def study_clip(wildcards):
    """The files of a study's CLIP."""
    return clip_files(study(wildcards).trial_settings({}).clip)


def unused_by_study(wildcards):
    """The count of operations, where they are no objective of the study."""
    return set() if "macs" in study(wildcards).objectives else {"dfer.flops"}


def trials_of(wildcards, rounds):
    """The files of all trials of so many rounds.

    Refuses a study that was begun with another space or other settings, before anything is run
    or deleted.
    """
    now = study(wildcards)
    begun = Path(STUDY.format(**wildcards)) / "rounds/0.json"
    if begun.exists():
        try:
            read_record(begun, now)
        except Damaged:
            pass  # made anew if its job did not end; else the job that reads it says so
        except UserError as error:
            sys.exit(f"error: {error}")
    return [
        f"{STUDY.format(**wildcards)}/trials/{number}.{place}.json"
        for number in range(rounds)
        for place in range(now.width)
    ]


def trials_before(wildcards):
    """The trials of all earlier rounds, which the sampler and the pruner know."""
    return trials_of(wildcards, int(wildcards.round))


def all_trials(wildcards):
    """Every trial of a study."""
    return trials_of(wildcards, STUDIES[wildcards.study]["rounds"])


def study_files():
    """What each study ends with: the best settings, all trials, figures."""
    paths = []
    for name in STUDIES:
        figures = STUDY_FIGURES + ["pareto"] * (len(STUDIES[name].get("objectives", [])) > 1)
        for dataset in study_datasets(config, name):
            paths += expand(
                f"{STUDY}/{{file}}",
                dataset=dataset,
                study=name,
                file=["best.yaml", *(f"figures/{figure}.pdf" for figure in figures)],
            )
    return paths
