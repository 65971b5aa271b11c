"""From a release on disk to clips that a training can read.

REQUIRED INPUTS: the release of each dataset (config: datasets.<name>.root)
OUTPUTS, below results/<dataset>/:
    manifest.parquet, folds.parquet, shards/   what there is, as the release's own label files say
    landmarks/<shard>.parquet                  68 points in every frame (source: video)
    store/<shard>.arrow                        aligned face frames, all of every clip
    rejects.parquet                            clips that could not be used, each with the reason
    splits.parquet                             clips of each fold, less the rejected ones
"""


def shards(pattern):
    """An input function: `pattern` for every shard of the dataset."""

    def paths(wildcards):
        count = STORED[wildcards.dataset]["shards"]
        return expand(pattern, dataset=wildcards.dataset, shard=range(count))

    return paths


def release_of(wildcards):
    """The release's root, where rules of this workflow make it; nobody's input otherwise."""
    return rendered(wildcards.dataset)


def shard_list(wildcards):
    """The clips of one shard, known once the manifest is made."""
    checkpoints.manifest.get(dataset=wildcards.dataset)
    return f"results/{wildcards.dataset}/shards/{wildcards.shard}.parquet"


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


checkpoint manifest:
    """Read a release: its clips, its folds, and which shard each clip is in."""
    input:
        release_of,
    output:
        manifest="results/{dataset}/manifest.parquet",
        folds="results/{dataset}/folds.parquet",
        shards=directory("results/{dataset}/shards"),
    log:
        "results/logs/{dataset}/manifest.log",
    params:
        **code("dfer.manifest", unused=other_readers),
        reader=lambda w: STORED[w.dataset]["reader"],
        root=lambda w: STORED[w.dataset]["root"],
        source=lambda w: STORED[w.dataset]["source"],
        classes=lambda w: json.dumps(STORED[w.dataset]["classes"]),
        shards=lambda w: STORED[w.dataset]["shards"],
        folds=lambda w: STORED[w.dataset]["folds"],
    shell:
        "python -m dfer.manifest --reader {params.reader} --root {params.root:q}"
        " --source {params.source} --classes {params.classes:q} --shards {params.shards}"
        " --folds {params.folds} --manifest {output.manifest} --splits {output.folds}"
        " --shard-lists {output.shards} &> {log}"


rule align:
    """Find the face and its 68 landmarks in every frame of a shard's clips."""
    input:
        clips=shard_list,
    output:
        landmarks="results/{dataset}/landmarks/{shard}.parquet",
        rejects="results/{dataset}/landmarks/{shard}.rejects.parquet",
    log:
        "results/logs/{dataset}/align/{shard}.log",
    params:
        **code("dfer.align", unused=other_backends),
        root=lambda w: STORED[w.dataset]["root"],
        landmarks=lambda w: json.dumps(STORED[w.dataset]["landmarks"]),
    shell:
        "python -m dfer.align --clips {input.clips} --root {params.root:q}"
        " --landmarks {params.landmarks:q} --out {output.landmarks} --rejects {output.rejects}"
        " &> {log}"


rule extract:
    """Pack all aligned frames of a shard's clips for random access."""
    input:
        unpack(aligned_first),
        clips=shard_list,
    output:
        store="results/{dataset}/store/{shard}.arrow",
        rejects="results/{dataset}/store/{shard}.rejects.parquet",
    log:
        "results/logs/{dataset}/extract/{shard}.log",
    params:
        **code("dfer.extract"),
        root=lambda w: STORED[w.dataset]["root"],
        landmarks=lambda w, input: (
            f"--landmarks {input.landmarks} --align-rejects {input.align_rejects}"
            if "landmarks" in input.keys()
            else ""
        ),
    shell:
        "python -m dfer.extract --clips {input.clips} --root {params.root:q} {params.landmarks}"
        " --size 224 --out {output.store} --rejects {output.rejects} &> {log}"


rule rejects:
    """List every clip that could not be used, with the reason."""
    input:
        all_rejects,
    output:
        "results/{dataset}/rejects.parquet",
    log:
        "results/logs/{dataset}/rejects.log",
    params:
        **code("dfer.splits"),
    shell:
        "python -m dfer.splits rejects --rejects {input} --out {output} &> {log}"


rule splits:
    """The clips of each fold; stops where more were rejected than the configuration allows."""
    input:
        manifest="results/{dataset}/manifest.parquet",
        folds="results/{dataset}/folds.parquet",
        rejects="results/{dataset}/rejects.parquet",
    output:
        "results/{dataset}/splits.parquet",
    log:
        "results/logs/{dataset}/splits.log",
    params:
        **code("dfer.splits"),
        allowed=lambda w: STORED[w.dataset].get("allow_rejects", 0),
    shell:
        "python -m dfer.splits accept --manifest {input.manifest} --folds {input.folds}"
        " --rejects {input.rejects} --allow-rejects {params.allowed} --out {output} &> {log}"
