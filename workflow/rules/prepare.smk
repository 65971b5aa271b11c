"""From a release on disk to clips that a training can read.

REQUIRED INPUTS: the release of each dataset (config: datasets.<name>.root)
OUTPUTS, below results/<dataset>/:
    manifest.parquet, folds/, shards/          what there is, as the release's own label files say
    landmarks/<shard>.parquet                  68 points in every frame (source: video)
    store/<shard>.arrow                        aligned face frames, all of every clip
    store/contents.parquet                     what the shards hold
    rejects.parquet                            clips that could not be used, each with the reason
    splits/<fold>.parquet                      clips of a fold, less the rejected ones
"""

from dfer.faces.backends import BACKENDS


def shard_list(wildcards):
    """The clips of one shard, known once the manifest is made."""
    checkpoints.manifest.get(dataset=wildcards.dataset)
    return f"results/{wildcards.dataset}/shards/{wildcards.shard}.parquet"


def fold_list(wildcards):
    """The clips of one fold, known once the manifest is made."""
    made = Path(checkpoints.manifest.get(dataset=wildcards.dataset).output.fold_lists)
    path = made / f"{wildcards.fold}.parquet"
    if not path.exists():
        there = ", ".join(sorted((p.stem for p in made.glob("*.parquet")), key=int))
        sys.exit(
            f"error: the release of {wildcards.dataset} has no fold {wildcards.fold}; it has "
            f"{there}. Correct the configuration's `folds`."
        )
    return str(path)


def landmarks_of_shard(wildcards):
    """Landmarks and their rejects, unless the release brings face crops of its own."""
    if not STORED[wildcards.dataset].is_aligned_here:
        return {}
    path = f"results/{wildcards.dataset}/landmarks/{wildcards.shard}"
    return {"landmarks": f"{path}.parquet", "align_rejects": f"{path}.rejects.parquet"}


def all_rejects(wildcards):
    """The rejects of every shard's extraction and alignment."""
    dataset = STORED[wildcards.dataset]
    folders = ["store", "landmarks"] if dataset.is_aligned_here else ["store"]
    return [
        f"results/{dataset.name}/{folder}/{shard}.rejects.parquet"
        for folder in folders
        for shard in range(dataset.shards)
    ]


def redone_file(wildcards):
    """What is forced where a clip was mended, with `*` for its shard; the rest follows from it."""
    is_aligned = STORED[wildcards.dataset].is_aligned_here
    return f"results/{wildcards.dataset}/" + (
        "landmarks/*.parquet" if is_aligned else "store/*.arrow"
    )


def gpus_of_alignment(wildcards):
    """GPUs that a shard's alignment takes: dlib takes none."""
    used = getattr(STORED[wildcards.dataset].landmarks, "device", "cpu")
    return 0 if used == "cpu" else GPU


OF_BACKENDS = set().union(*BACKENDS.values())


def other_backends(wildcards):
    """Modules of landmark backends that this dataset does not use."""
    return OF_BACKENDS - BACKENDS[STORED[wildcards.dataset].landmarks.backend]


TRANSFORM = {"dfer.faces.similarity"}


def unused_transform(wildcards):
    """The transform of faces, which a release's own crops do not go through."""
    return set() if STORED[wildcards.dataset].is_aligned_here else TRANSFORM


checkpoint manifest:
    """Read a release: its clips, its folds, and which shard each clip is in."""
    input:
        release,
    output:
        manifest="results/{dataset}/manifest.parquet",
        fold_lists=directory("results/{dataset}/folds"),
        shard_lists=directory("results/{dataset}/shards"),
    log:
        "results/logs/{dataset}/manifest.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.prepare.manifest", optional=LAYOUTS, unused=other_layouts),
        layout=lambda w: STORED[w.dataset].layout,
        root=lambda w: STORED[w.dataset].root,
        source=lambda w: STORED[w.dataset].source,
        classes=classes,
        shards=lambda w: STORED[w.dataset].shards,
    shell:
        "python -m dfer.prepare.manifest"
        " --layout {params.layout:q}"
        " --root {params.root:q}"
        " --source {params.source:q}"
        " --classes {params.classes:q}"
        " --shards {params.shards}"
        " --out-manifest {output.manifest:q}"
        " --out-fold-lists {output.fold_lists:q}"
        " --out-shard-lists {output.shard_lists:q}"
        " &> {log:q}"


rule align:
    """Find the face and its 68 landmarks in every frame of a shard's clips."""
    input:
        shard_list=shard_list,
    output:
        landmarks="results/{dataset}/landmarks/{shard}.parquet",
        rejects="results/{dataset}/landmarks/{shard}.rejects.parquet",
    log:
        "results/logs/{dataset}/align/{shard}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=gpus_of_alignment,
    params:
        **code("dfer.prepare.align", optional=OF_BACKENDS, unused=other_backends),
        root=lambda w: STORED[w.dataset].root,
        landmark_settings=landmark_settings,
    shell:
        "python -m dfer.dag.gpu {resources.gpu}"
        " python -m dfer.prepare.align"
        " --shard-list {input.shard_list:q}"
        " --root {params.root:q}"
        " --landmark-settings {params.landmark_settings:q}"
        " --out {output.landmarks:q}"
        " --out-rejects {output.rejects:q}"
        " &> {log:q}"


rule extract:
    """Pack all aligned frames of a shard's clips for random access."""
    input:
        unpack(landmarks_of_shard),
        shard_list=shard_list,
    output:
        store="results/{dataset}/store/{shard}.arrow",
        rejects="results/{dataset}/store/{shard}.rejects.parquet",
    log:
        "results/logs/{dataset}/extract/{shard}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.prepare.extract", optional=TRANSFORM, unused=unused_transform),
        root=lambda w: STORED[w.dataset].root,
        landmarks=lambda w, input: (
            ["--landmarks", input.landmarks, "--rejects", input.align_rejects]
            if STORED[w.dataset].is_aligned_here
            else []
        ),
    shell:
        "python -m dfer.prepare.extract"
        " --shard-list {input.shard_list:q}"
        " --root {params.root:q}"
        " {params.landmarks:q}"
        " --out {output.store:q}"
        " --out-rejects {output.rejects:q}"
        " &> {log:q}"


rule contents:
    """Note what the shards of a clip store hold: what trainings depend on."""
    input:
        store,
    output:
        "results/{dataset}/store/contents.parquet",
    log:
        "results/logs/{dataset}/contents.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.prepare.contents"),
    shell:
        "python -m dfer.prepare.contents" " --store {input:q}" " --out {output:q}" " &> {log:q}"


rule rejects:
    """List every clip that could not be used, with the reason."""
    input:
        all_rejects,
    output:
        "results/{dataset}/rejects.parquet",
    log:
        "results/logs/{dataset}/rejects.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.prepare.splits"),
    shell:
        "python -m dfer.prepare.splits rejects"
        " --rejects {input:q}"
        " --out {output:q}"
        " &> {log:q}"


rule accept:
    """Stop where more clips were rejected than the configuration allows."""
    input:
        "results/{dataset}/rejects.parquet",
    output:
        "results/{dataset}/accepted.txt",
    log:
        "results/logs/{dataset}/accept.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.prepare.splits"),
        allowed=lambda w: STORED[w.dataset].allow_rejects,
        redo=redone_file,
    shell:
        "python -m dfer.prepare.splits accept"
        " --rejects {input:q}"
        " --allow-rejects {params.allowed}"
        " --redo {params.redo:q}"
        " --out {output:q}"
        " &> {log:q}"


rule splits:
    """The clips of a fold that can be used, and which of them are held out for validation."""
    input:
        fold_list=fold_list,
        rejects="results/{dataset}/rejects.parquet",
        accepted="results/{dataset}/accepted.txt",
    output:
        "results/{dataset}/splits/{fold}.parquet",
    log:
        "results/logs/{dataset}/splits/{fold}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.prepare.splits"),
    shell:
        "python -m dfer.prepare.splits fold"
        " --fold {wildcards.fold}"
        " --fold-list {input.fold_list:q}"
        " --rejects {input.rejects:q}"
        " --out {output:q}"
        " &> {log:q}"
