"""The tab of the tables: from a measured number to its runs, curves, confusions and wrong clips."""

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

import gradio as gr
import pandas as pd

from dfer.app.behind import Behind, behind
from dfer.app.page import ONE_AT_A_TIME, problem
from dfer.app.seen import data_image
from dfer.errors import UserError
from dfer.files import read_parquet
from dfer.report import sortable
from dfer.report.runs import anchors
from dfer.report.table_page import body_of

NONE = (
    "There are no tables in `{results}` yet. This makes the first one, of the embedded demo:\n\n"
    "    snakemake --cores all results/table1.tex\n\n"
    "Then load this page again."
)
SCRIPT = Path(__file__).with_name("results.js")


@dataclass(frozen=True)
class ResultsTab:
    """Its layout and what happens in it.

    Attributes:
        results: folder of the workflow's results.
    """

    results: Path

    def build(self, page: gr.Blocks) -> None:
        """Lay it out, inside a `gr.Tab` of a page."""
        none = gr.Markdown(visible=False)
        with gr.Column() as tables:
            choice = gr.Radio(label="Table", elem_id="table")
            chosen = gr.State(None)

            @gr.render(inputs=choice, triggers=[choice.change], show_progress="hidden")
            def shown_table(name: str | None) -> None:
                if name is None:
                    return
                shown = gr.HTML(
                    body_of(self.table(name)),
                    css_template=sortable.STYLE.read_text(encoding="utf-8"),
                    js_on_load=sortable.SCRIPT.read_text(encoding="utf-8")
                    + SCRIPT.read_text(encoding="utf-8"),
                    apply_default_css=False,
                    elem_classes="report",
                )
                shown.open_run(_anchor, None, chosen, show_progress="hidden")

        with gr.Column(visible=False) as details:
            back = gr.Button("← Back to the table", size="md", elem_id="back")
            about = gr.HTML(
                css_template=sortable.STYLE.read_text(encoding="utf-8"),
                apply_default_css=False,
                elem_id="behind",
                elem_classes="report",
            )
            wrong = gr.Dataframe(
                label="Wrong clips, the surest first",
                interactive=False,
                show_search="filter",
                max_height=420,
                elem_id="wrong",
            )
        page.load(self.listed, None, [none, tables, choice], show_progress="hidden")
        chosen.change(
            self.opened,
            [choice, chosen],
            [tables, details, about, wrong],
            show_progress_on=[about],
            **ONE_AT_A_TIME,
        ).then(fn=None, js="() => document.querySelector('#behind h2')?.focus()")
        back.click(lambda: None, None, chosen, show_progress="hidden")

    def names(self) -> list[str]:
        """The tables that there are now."""
        names = [path.stem for path in self.results.glob("table*.parquet")]
        return sorted((name for name in names if re.fullmatch(r"table\d+", name)), key=_number)

    def table(self, name: str) -> pd.DataFrame:
        """One of them, and no other file."""
        if name not in self.names():
            raise gr.Error(f"{name}: no such table here any more. Load the page again.")
        return read_parquet(self.results / f"{name}.parquet")

    def listed(self) -> tuple:
        """What is shown first: a table, or how to make one."""
        names = self.names()
        return (
            gr.Markdown(NONE.format(results=self.results), visible=not names),
            gr.Column(visible=bool(names)),
            gr.Radio(
                choices=[(f"Table {_number(name)}", name) for name in names],
                value=names[0] if names else None,
            ),
        )

    def opened(self, name: str | None, anchor: str | None) -> tuple:
        """What stands behind the number that leads to `anchor`; None: the table again."""
        if anchor is None or name is None:
            return gr.Column(visible=True), gr.Column(visible=False), "", None
        frame = self.table(name)
        measured = frame[frame.source == "measured"]
        folders = {row: folder for folder, row in anchors(measured).items()}
        rows = measured[measured.origin == folders[anchor]]
        heading = _heading(rows)
        below = Path(folders[anchor]).relative_to("results")  # as every table names it
        try:
            found = behind(
                self.results / below,
                "; ".join(dict.fromkeys(rows.method)),
                rows.dataset.iloc[0],
                synthetic=bool(rows.synthetic.iloc[0]),
            )
        except UserError as error:
            said, wrong = heading + problem(str(error)), gr.Dataframe(visible=False)
        else:
            said, wrong = heading + _html(found), gr.Dataframe(found.wrong, visible=True)
        return gr.Column(visible=False), gr.Column(visible=True), said, wrong


def _anchor(event: gr.EventData) -> str:
    return event.row


def _number(name: str) -> int:
    return int(name.removeprefix("table"))


def _heading(rows: pd.DataFrame) -> str:
    """Whose numbers they are, how they were measured, where their files are."""
    first = rows.iloc[0]
    scores = "; ".join(
        f"{row.metric} {row.value:.2f}" + (f" ± {row['std']:.2f}" if pd.notna(row["std"]) else "")
        for _, row in rows.drop_duplicates("metric").iterrows()
    )
    protocol = f"protocol {first.protocol}, " if first.protocol else ""
    return (
        f'<h2 tabindex="-1">{escape("; ".join(dict.fromkeys(rows.method)))} on '
        f"{escape(first.dataset)}{' (synthetic)' * bool(first.synthetic)}</h2>"
        f"<p>{scores}; {escape(protocol)}checkpoint rule {escape(first.checkpoint)}.</p>"
        f"<p><code>{escape(first.origin)}/</code></p>"
    )


def _html(found: Behind) -> str:
    """Runs and figures."""
    heads = dict.fromkeys(found.runs, "number")
    rows = [
        "".join(sortable.number(f"{value:g}", value) for value in row)
        for row in found.runs.itertuples(index=False)
    ]
    figures = [
        f'<div class="wide figure" role="region" aria-label="{title}" tabindex="0">'
        f"{data_image(content, 'svg+xml', title)}</div>"
        for title, content in found.figures
    ]
    return sortable.table("Runs", [sortable.columns(heads)], rows, "") + "".join(figures)
