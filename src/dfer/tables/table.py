"""The paper's tables: what it reports and what was measured here, side by side, never mixed.

    python -m dfer.tables.table --table 1 --reported config/reported.csv --summary results/summary.parquet
        --flops results/flops.parquet --datasets '{"demo": {"title": "Demo", …}}'
        --runs '{"demo": {"baseline": "clip.0a1b2c3d"}}' --out results/table1

writes three files. `<out>.parquet` is the source: one tidy row a number (schema `NUMBERS`, the same
for all tables). `<out>.tex`, a bare booktabs `tabular` for `\\input`, and `<out>.md` are views of
it. `source` says where a number comes from: `reported` by a paper (`origin` names table and row),
`measured` here (`origin` names the settings; folds, seeds and checkpoint rule have columns of their
own), or `computed` here from the model's definition (FLOPs).
"""

import argparse
import json
from typing import Any

import pandas as pd
import pyarrow as pa

from dfer.errors import UserError, stage
from dfer.files import read_parquet, write_parquet, write_text

PAPER = "Zhang et al., IJCB 2024"

NUMBERS = pa.schema(
    [
        ("table", pa.int32()),
        ("row", pa.int32()),  # of the paper's table, from 1
        ("method", pa.string()),
        ("variant", pa.string()),  # ours of that row, if there is one
        ("venue", pa.string()),
        ("backbone", pa.string()),
        ("dataset", pa.string()),  # title
        ("synthetic", pa.bool_()),
        ("metric", pa.string()),  # UAR or WAR (%), FLOPs (G multiply–accumulates a clip)
        ("source", pa.string()),  # reported, measured or computed
        ("value", pa.float64()),
        ("printed", pa.string()),  # as the paper prints it
        ("std", pa.float64()),  # over folds and seeds
        ("low", pa.float64()),  # 95 % bootstrap interval over clips
        ("high", pa.float64()),
        ("pooled", pa.float64()),  # all folds' clips taken together
        ("folds", pa.int32()),
        ("seeds", pa.int32()),
        ("checkpoint", pa.string()),  # rule: last, val or test
        ("against", pa.string()),  # run that it is compared with, clip by clip
        ("difference", pa.float64()),  # from it, in points
        ("difference_low", pa.float64()),  # 95 % bootstrap interval of the difference
        ("difference_high", pa.float64()),
        ("p", pa.float64()),  # of a paired sign-flip test by clip
        ("origin", pa.string()),
        ("note", pa.string()),
    ]
)

CAPTIONS = {
    1: "Comparison with the methods that the paper compares.",
    2: "Ablation of the modules.",
    3: "Ablation of the text. The paper's FLOPs say that its row without text has no BiEhPro "
    "either, so the difference mixes both; and that row stands above +InterFIT+MSTA of Table 2.",
    4: "Number M of BiEhPro blocks.",
    5: "Prompting methods. TP: text prompt, VP: visual prompt, TM: temporal model.",
}


def numbers(
    table: int,
    reported: pd.DataFrame,
    summary: pd.DataFrame,
    flops: pd.DataFrame | None,
    datasets: dict[str, dict[str, Any]],
    runs: dict[str, dict[str, str]],
    tuned: dict[str, str] | None = None,
) -> pd.DataFrame:
    """All numbers of a table as tidy rows, in the order of the paper's rows.

    Args:
        reported: rows of config/reported.csv, all columns as text.
        summary: rows of `dfer.tables.summary`.
        flops: rows of `dfer.tables.flops`, for tables that print FLOPs.
        datasets: name → title, synthetic; those that are configured, in order.
        runs: dataset → variant → key of its settings.
        tuned: variant whose settings a study has found → the one of the paper that it tuned; rows
            of ours, below those of the paper.
    """
    printed = reported[reported.table == str(table)]
    rows = [_reported(row) for row in printed.itertuples()]
    lines = printed.drop_duplicates("row")
    found = summary.set_index(["dataset", "run", "metric"])
    ours = list(lines[lines.variant != ""].itertuples())
    for variant, base in (tuned or {}).items():
        (line,) = [line for line in ours if line.variant == base][:1]
        place = max(int(row) for row in [*lines.row, *(line.row for line in ours)]) + 1
        ours.append(line._replace(row=place, method=f"{line.method}, tuned", variant=variant))
    for line in ours:
        shared = {
            "table": table,
            "row": int(line.row),
            "method": line.method,
            "variant": line.variant,
            "venue": line.venue,
            "backbone": line.backbone,
        }
        if "FLOPs" in set(printed.metric) and line.variant not in (tuned or {}):
            rows.append(shared | _computed(flops, line))
        for dataset, what in datasets.items():
            key = runs[dataset].get(line.variant)
            for metric in ("UAR", "WAR"):
                if (dataset, key, metric) in found.index:
                    measured = _measured(found.loc[dataset, key, metric], dataset, key, what)
                    rows.append(shared | {"metric": metric} | measured)
    frame = pd.DataFrame(rows, columns=NUMBERS.names)
    return frame.sort_values("row", kind="stable", ignore_index=True)


def _reported(row: Any) -> dict[str, Any]:
    return {
        "table": int(row.table),
        "row": int(row.row),
        "method": row.method,
        "variant": row.variant,
        "venue": row.venue,
        "backbone": row.backbone,
        "dataset": row.dataset,
        "synthetic": False,
        "metric": row.metric,
        "source": "reported",
        "value": float(row.value),
        "printed": row.value,
        "origin": f"{PAPER}, Table {row.table}, row {row.row}",
        "note": row.note,
    }


def _computed(flops: pd.DataFrame, line: Any) -> dict[str, Any]:
    """FLOPs of the row's model at ViT-B/32, by the paper's convention."""
    cell = f"Table {line.table}, row {line.row}"
    match = flops[[cell in cells.split("; ") for cells in flops.cells]]
    if match.empty:
        raise UserError(
            f"no FLOPs of {cell}: dfer.tables.flops does not list it among its configurations"
        )
    return {
        "dataset": "",
        "synthetic": False,
        "metric": "FLOPs",
        "source": "computed",
        "value": float(match.macs_paper.iloc[0]),
        "origin": f"dfer.tables.flops, {match.configuration.iloc[0]}",
        "note": "multiply–accumulates by the paper's convention",
    }


def _measured(found: pd.Series, dataset: str, key: str, what: dict[str, Any]) -> dict[str, Any]:
    kept = set(NUMBERS.names) & set(found.index) - {"dataset", "metric"}
    return {name: found[name] for name in kept} | {
        "dataset": what["title"],
        "synthetic": what.get("synthetic", False),
        "source": "measured",
        "origin": f"results/{dataset}/runs/{key}",
        "note": "synthetic data: shows that the workflow works, says nothing of the paper"
        if what.get("synthetic")
        else "",
    }


def layout(frame: pd.DataFrame) -> pd.DataFrame:
    """A table as readers see it: a line a method, columns (source, dataset, metric), cells rows.

    The cells are indices into `frame`, so that a view formats each from all that is known of it;
    -1 where there is none.
    """
    frame = frame.assign(
        group=frame.source.map({"reported": 0, "computed": 1, "measured": 2}),
        place=range(len(frame)),
    )
    order = frame.drop_duplicates(["source", "dataset", "metric"])
    order = order.assign(first=order.metric != "FLOPs").sort_values(["group", "first", "place"])
    columns = list(zip(order.source, order.dataset, order.metric, strict=True))
    cells = pd.DataFrame(
        -1,
        index=sorted(frame.row.unique()),
        columns=pd.MultiIndex.from_tuples(columns, names=["source", "dataset", "metric"]),
    )
    for index, row in frame.iterrows():
        cells.loc[row["row"], (row.source, row.dataset, row.metric)] = index
    return cells


def ranks(frame: pd.DataFrame, cells: pd.DataFrame) -> dict[int, int]:
    """Which numbers are the best (1) and the second best (2) of their column, by index in `frame`.

    Only columns of UAR or WAR are ranked, and the second only where there are more than two rows.
    """
    found = {}
    for column in cells:
        places = [index for index in cells[column] if index >= 0]
        if column[2] == "FLOPs" or len(places) < 2:
            continue
        values = frame.value[places].rank(method="min", ascending=False)
        most = 2 if len(places) > 2 else 1
        found |= {index: int(rank) for index, rank in values.items() if rank <= most}
    return found


def to_latex(frame: pd.DataFrame) -> str:
    """A bare booktabs `tabular`, after comment lines that say where each number comes from."""
    cells, table = layout(frame), int(frame.table.iloc[0])
    best = ranks(frame, cells)

    def show(index: int) -> str:
        if index < 0:
            return "--"
        row = frame.loc[index]
        text = row.printed if row.source == "reported" else f"{row.value:.2f}"
        mark = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(best.get(index), "%s")
        spread = rf"\,$\pm$\,{row['std']:.2f}" if pd.notna(row["std"]) else ""
        return mark % text + spread

    heads = [_escape(name) for name in _stub_names(table)]
    body = [
        " & ".join([*map(_escape_venue, _stub(frame, row, table)), *map(show, cells.loc[row])])
        + r" \\"
        for row in cells.index
    ]
    top, rules, middle = _latex_heads(frame, cells.columns, len(heads))
    columns = "l" * len(heads) + "r" * len(cells.columns)
    lines = [
        *(f"% {line}" for line in provenance_lines(frame)),
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *(" & ".join(line) + r" \\ " + rule for line, rule in zip(top, rules, strict=True)),
        " & ".join(heads + middle) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_heads(
    frame: pd.DataFrame, columns: pd.MultiIndex, stub: int
) -> tuple[list[list[str]], list[str], list[str]]:
    """Two spanning header lines with their rules, and the line of metrics."""
    words = {"reported": "Reported", "computed": "Computed", "measured": "Measured here"}
    synthetic = set(frame.dataset[frame.synthetic])
    lines, rules = [], []
    for depth in (1, 2):
        line, rule, start = [""] * stub, [], stub + 1
        for key, width in _spans([column[:depth] for column in columns]):
            name = words[key[0]] if depth == 1 else _escape(key[1])
            name += " (synthetic)" * (depth == 2 and key[1] in synthetic)
            line.append(rf"\multicolumn{{{width}}}{{c}}{{{name}}}")
            rule.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}" if name else "")
            start += width
        lines.append(line)
        rules.append(" ".join(filter(None, rule)))
    return lines, rules, ["FLOPs (G)" if column[2] == "FLOPs" else column[2] for column in columns]


def _spans(keys: list[tuple]) -> list[tuple[tuple, int]]:
    """Runs of equal neighbours: (key, length)."""
    spans: list[list] = []
    for key in keys:
        if spans and spans[-1][0] == key:
            spans[-1][1] += 1
        else:
            spans.append([key, 1])
    return [(key, width) for key, width in spans]


def to_markdown(frame: pd.DataFrame) -> str:
    """The table for reading on screen, with caption, provenance and notes."""
    cells, table = layout(frame), int(frame.table.iloc[0])
    best, synthetic = ranks(frame, cells), set(frame.dataset[frame.synthetic])
    notes: list[str] = []

    def show(index: int) -> str:
        if index < 0:
            return "–"
        row = frame.loc[index]
        text = row.printed if row.source == "reported" else f"{row.value:.2f}"
        text = {1: "**%s**", 2: "<u>%s</u>"}.get(best.get(index), "%s") % text
        if pd.notna(row["std"]):
            text += f" ± {row['std']:.2f}"
        if row.source == "reported" and row.note:
            if row.note not in notes:
                notes.append(row.note)
            text += f" [{notes.index(row.note) + 1}]"
        return text

    def head(source: str, dataset: str, metric: str) -> str:
        name = dataset + " (synthetic)" * (dataset in synthetic)
        unit = " (G)" if metric == "FLOPs" else ""
        return " ".join(filter(None, [name, metric + unit])) + f"<br>*{source}*"

    heads = [*_stub_names(table), *(head(*column) for column in cells.columns)]
    lines = [f"**Table {table}.** {CAPTIONS[table]}", ""]
    lines += [
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(_stub_names(table)) + "---:|" * len(cells.columns),
    ]
    for row in cells.index:
        line = [*_stub(frame, row, table), *map(show, cells.loc[row])]
        lines.append("| " + " | ".join(line) + " |")
    lines += ["", *(f"- {line}" for line in provenance_lines(frame))]
    lines += [f"- [{number}] {note}" for number, note in enumerate(notes, 1)]
    return "\n".join([*lines, *_measured_lines(frame)]) + "\n"


def _measured_lines(frame: pd.DataFrame) -> list[str]:
    """A Markdown table of all that is known of each measured number."""
    measured = frame[frame.source == "measured"]
    if measured.empty:
        return []
    heads = ["Method", "Dataset", "Metric", "Mean ± std", "95 % interval", "Pooled"]
    heads += ["Difference, 95 % interval", "p", "Folds × seeds", "Checkpoint", "Runs"]
    lines = ["", "**What was measured.**", "", "| " + " | ".join(heads) + " |"]
    lines.append("|---|---|---|" + "---:|" * 6 + "---|---|")
    for row in measured.sort_values(["dataset", "metric", "row"], kind="stable").itertuples():
        spread = f" ± {row.std:.2f}" if pd.notna(row.std) else ""
        compared = pd.notna(row.difference)
        cells = [
            row.method,
            row.dataset + " (synthetic)" * row.synthetic,
            row.metric,
            f"{row.value:.2f}{spread}",
            f"{row.low:.2f} – {row.high:.2f}",
            f"{row.pooled:.2f}",
            f"{row.difference:+.2f} ({row.difference_low:+.2f} – {row.difference_high:+.2f})"
            if compared
            else "–",
            f"{row.p:.4f}" if compared else "–",
            f"{row.folds:.0f} × {row.seeds:.0f}",
            row.checkpoint,
            f"`{row.origin}`",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return [
        *lines,
        "",
        "- 95 % interval: bootstrap of the mean over clips, drawn within each fold. Pooled: all "
        "folds' clips taken together.",
        "- Difference: from the first method of the table that was measured on the dataset, in "
        "points; p: two-sided paired sign-flip test by clip. Neither knows of the spread between "
        "seeds, nor that several methods are compared.",
    ]


def provenance_lines(frame: pd.DataFrame) -> list[str]:
    """Where the table's numbers come from, in words."""
    table = int(frame.table.iloc[0])
    lines = [f"Reported: {PAPER}, Table {table}, as printed. Bold: best, underlined: second best."]
    if (frame.source == "computed").any():
        lines.append(
            "Computed: multiply-accumulates of one clip at ViT-B/32 by the paper's convention, "
            "from this code's model."
        )
    measured = frame[frame.source == "measured"]
    for dataset, rows in measured.groupby("dataset", sort=False):
        checkpoints = ", ".join(sorted(rows.checkpoint.unique()))
        lines.append(
            f"Measured on {dataset}{' (synthetic)' * bool(rows.synthetic.iloc[0])}: "
            f"mean ± standard deviation over {rows.folds.max():.0f} fold(s) and "
            f"{rows.seeds.max():.0f} seed(s), checkpoint rule: {checkpoints}."
        )
        if rows.synthetic.iloc[0]:
            lines.append(
                f"{dataset} is rendered: its numbers show that the workflow works and say nothing "
                "of the paper. Its class words carry no meaning."
            )
    return lines


def _stub_names(table: int) -> list[str]:
    return ["Method", "Backbone"] if table == 1 else ["Method"]


def _stub(frame: pd.DataFrame, row: int, table: int) -> list[str]:
    """The first cells of a line: the method with its venue, and in Table 1 its backbone."""
    line = frame[frame["row"] == row].iloc[0]
    method = f"{line.method} ({line.venue})" if line.venue else line.method
    return [method, line.backbone] if table == 1 else [method]


def _escape(text: str) -> str:
    """Plain text for LaTeX."""
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text


def _escape_venue(text: str) -> str:
    return _escape(text).replace("±", r"$\pm$")


def parser() -> argparse.ArgumentParser:
    """The stage's command line."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = top.add_argument
    add("--table", type=int, required=True, choices=sorted(CAPTIONS))
    add("--reported", required=True, help="numbers that papers print, config/reported.csv")
    add("--summary", required=True, help="what was measured, as dfer.tables.summary writes it")
    add("--flops", help="as dfer.tables.flops writes it, for tables that print them")
    add("--datasets", required=True, help="JSON: name → {title, synthetic}")
    add("--runs", required=True, help="JSON: dataset → variant → key of its settings")
    add("--tuned", default="{}", help="JSON: tuned variant → variant of the paper that it tunes")
    add("--out", required=True, help="path without ending: .parquet, .tex and .md are written")
    return top


def main(args: argparse.Namespace) -> None:
    """Write the three files of one table."""
    reported = pd.read_csv(args.reported, dtype=str, keep_default_na=False)
    frame = numbers(
        args.table,
        reported,
        read_parquet(args.summary),
        read_parquet(args.flops) if args.flops else None,
        json.loads(args.datasets),
        json.loads(args.runs),
        json.loads(args.tuned),
    )
    write_parquet(frame, f"{args.out}.parquet", NUMBERS)
    write_text(to_latex(frame), f"{args.out}.tex")
    write_text(to_markdown(frame), f"{args.out}.md")


if __name__ == "__main__":
    stage(main, parser())
