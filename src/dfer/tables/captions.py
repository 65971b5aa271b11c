"""What stands around a table: its caption, and where its numbers come from."""

import pandas as pd

from dfer.tables.reported import PAPER

CAPTIONS = {
    1: "Comparison with the methods that the paper compares.",
    2: "Ablation of the modules.",
    3: "Ablation of the text. The paper's FLOPs say that its row without text has no BiEhPro "
    "either, so the difference mixes both; and that row stands above +InterFIT+MSTA of Table 2.",
    4: "Number M of BiEhPro blocks.",
    5: "Prompting methods. TP: text prompt, VP: visual prompt, TM: temporal model.",
    6: "Rare classes: what may raise their recall, and so UAR, beside the paper's model. A table "
    "of ours: the paper does nothing for them, and its loss favours frequent classes.",
}
COMPARED = (  # what stands beside a measured mean
    "95 % interval: bootstrap of the mean over clips, drawn within each fold. Pooled: all folds' "
    "clips taken together.",
    "Difference: from our Baseline where the table has it, else from the first method that was "
    "measured on the dataset, in points; p: two-sided paired sign-flip test by clip. Neither knows "
    "of the spread between seeds, nor that several methods are compared.",
)


def sources(frame: pd.DataFrame) -> list[str]:
    """Where the numbers of a table come from, a sentence a line; `frame`: rows of `NUMBERS`."""
    table = int(frame.table.iloc[0])
    ranks = "Bold: best, underlined: second best."
    if (frame.source == "reported").any():
        lines = [f"Reported: {PAPER}, Table {table}, as printed. {ranks}"]
    else:
        base = frame.method[frame.against.isna()].iloc[0]
        lines = [f"{ranks} In brackets: difference from {base}, in points."]
    if (compared := frame[frame.source == "reported"].dropna(subset="difference")).size:
        lines.append(f"In brackets: difference from {compared.against.iloc[0]}, in points.")
    if (frame.source == "computed").any():
        lines.append(
            "Computed: multiply-accumulates of one clip at ViT-B/32 by the paper's convention, "
            "from this code's model."
        )
    measured = frame[frame.source == "measured"]
    lines += [" ".join(remark.split()) for remark in measured.remark.unique() if remark]
    for (dataset, protocol), rows in measured.groupby(["dataset", "protocol"], sort=False):
        checkpoints = ", ".join(sorted(rows.checkpoint.unique()))
        synthetic = bool(rows.synthetic.iloc[0])
        lines.append(
            f"Measured on {dataset}{' (synthetic)' * synthetic}, {protocol or 'same'} protocol: "
            f"mean ± standard deviation over {rows.folds.max():.0f} fold(s) and "
            f"{rows.seeds.max():.0f} seed(s), {rows.clips.max():.0f} test clips, checkpoint rule: "
            f"{checkpoints}."
        )
        if synthetic:
            lines.append(
                f"{dataset} is a small world of rendered faces with a small vocabulary, which its "
                "CLIP has learnt from captions of other faces: its numbers show that the workflow "
                "works and say nothing of the paper."
            )
    return lines
