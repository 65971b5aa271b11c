"""From a release on disk to clips that a training can read.

REQUIRED INPUTS: the release of each dataset (config: datasets.<name>.root)
OUTPUTS, below results/<dataset>/:
    manifest.parquet, folds/, shards/          what there is, as the release's own label files say
    landmarks/<shard>.parquet                  68 points in every frame (source: video)
    store/<shard>.arrow                        aligned face frames, all of every clip
    rejects.parquet                            clips that could not be used, each with the reason
    splits/<fold>.parquet                      clips of a fold, less the rejected ones
"""


checkpoint manifest:
    """Read a release: its clips, its folds, and which shard each clip is in."""
    input:
        release_of,
    output:
        manifest="results/{dataset}/manifest.parquet",
        folds=directory("results/{dataset}/folds"),
        shards=directory("results/{dataset}/shards"),
    log:
        "results/logs/{dataset}/manifest.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.manifest", unused=other_readers),
        reader=lambda w: STORED[w.dataset]["reader"],
        root=lambda w: STORED[w.dataset]["root"],
        source=lambda w: STORED[w.dataset]["source"],
        classes=lambda w: json.dumps(STORED[w.dataset]["classes"]),
        shards=lambda w: STORED[w.dataset]["shards"],
    shell:
        "python -m dfer.manifest --reader {params.reader} --root {params.root:q}"
        " --source {params.source} --classes {params.classes:q} --shards {params.shards}"
        " --manifest {output.manifest} --fold-lists {output.folds} --shard-lists {output.shards}"
        " &> {log}"


rule align:
    """Find the face and its 68 landmarks in every frame of a shard's clips."""
    input:
        clips=shard_list,
    output:
        landmarks="results/{dataset}/landmarks/{shard}.parquet",
        rejects="results/{dataset}/landmarks/{shard}.rejects.parquet",
    log:
        "results/logs/{dataset}/align/{shard}.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=alignment_cards,
    params:
        **code("dfer.align", unused=other_backends),
        root=lambda w: STORED[w.dataset]["root"],
        landmarks=lambda w: json.dumps(STORED[w.dataset]["landmarks"]),
    shell:
        "python -m dfer.card {resources.gpu} python -m dfer.align --clips {input.clips} --root {params.root:q}"
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
    conda:
        "../../environment.yml"
    params:
        **code("dfer.extract", unused=unused_transform),
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
    conda:
        "../../environment.yml"
    params:
        **code("dfer.splits"),
    shell:
        "python -m dfer.splits rejects --rejects {input} --out {output} &> {log}"


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
        **code("dfer.splits"),
        allowed=lambda w: STORED[w.dataset].get("allow_rejects", 0),
        redo=redone_shard,
    shell:
        "python -m dfer.splits accept --rejects {input} --allow-rejects {params.allowed}"
        " --redo {params.redo:q} --out {output} &> {log}"


rule splits:
    """The clips of a fold that can be used, and which of them are held out for validation."""
    input:
        clips=fold_list,
        rejects="results/{dataset}/rejects.parquet",
        accepted="results/{dataset}/accepted.txt",
    output:
        "results/{dataset}/splits/{fold}.parquet",
    log:
        "results/logs/{dataset}/splits/{fold}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.splits"),
    shell:
        "python -m dfer.splits fold --fold {wildcards.fold} --clips {input.clips}"
        " --rejects {input.rejects} --out {output} &> {log}"
