"""The tab of one's own video: drop it, and see what a trained run sees in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from dfer.app import seen
from dfer.app.job import CSV, Kept, Limits, explain
from dfer.app.page import HOUR, ONE_AT_A_TIME, problem
from dfer.errors import UserError
from dfer.predict.api import Model

LEAD = (
    "Drop a video of a face or record one. Each window of it is classified as one clip; the "
    "numbers are those of `dfer predict`, probabilities that nobody has calibrated."
)
CAMERA = gr.WebcamOptions(mirror=False, constraints={"video": True, "audio": False})


@dataclass(frozen=True)
class VideoTab:
    """Its layout and what happens in it.

    Attributes:
        models: to choose from.
        kept: who keeps the files.
    """

    models: Sequence[Model]
    limits: Limits
    kept: Kept

    def build(self) -> None:
        """Lay it out, inside a `gr.Tab`."""
        gr.Markdown(LEAD)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                video = gr.Video(
                    label="Video",
                    sources=["upload", "webcam"],
                    webcam_options=CAMERA,
                    elem_id="video",
                )
                gr.Markdown(self.limits.text(), elem_classes="hint")
                run = gr.Dropdown(
                    choices=[(name_of(model), n) for n, model in enumerate(self.models)],
                    value=0,
                    label="Run",
                    visible=len(self.models) > 1,
                )
                with gr.Row():
                    window = gr.Number(4.0, label="Seconds a window", minimum=0.1, min_width=120)
                    stride = gr.Number(4.0, label="One every (s)", minimum=0.1, min_width=120)
                go = gr.Button("Find expressions", variant="primary")
                said = gr.HTML(elem_id="said", apply_default_css=False)
            with gr.Column(scale=3, min_width=300, visible=False) as found:
                summary = gr.HTML(elem_id="summary", apply_default_css=False)
                overlay = gr.Video(show_label=False, buttons=[], elem_id="overlay")
                with gr.Row():
                    csv = gr.DownloadButton("Table (CSV)", elem_id="csv")
                    mp4 = gr.DownloadButton("Video with overlay (MP4)", elem_id="mp4")
        with gr.Column(visible=False) as windows:
            chart = gr.HTML(elem_id="chart", apply_default_css=False)
            table = gr.Dataframe(
                label="Windows",
                interactive=False,
                elem_id="windows",
                max_height=320,
            )
            pick = gr.Dropdown(label="Show the window", elem_id="pick")
            frames = gr.HTML(elem_id="frames", apply_default_css=False)
        pages = gr.State([], time_to_live=HOUR)

        results = [found, windows, summary, overlay, csv, mp4, chart, table, pick, frames, pages]
        video.change(self.changed, video, [found, windows, said, pages], show_progress="hidden")
        go.click(
            self.find,
            [video, run, window, stride],
            [said, *results],
            show_progress_on=[said],
            **ONE_AT_A_TIME,
        )
        pick.change(_page, [pages, pick], frames, show_progress="hidden")
        table.select(_selected, None, pick, show_progress="hidden")

    def changed(self, video: str | None, request: gr.Request) -> tuple:
        """Another video, or none: what is of the last one goes."""
        self.kept.upload(request.session_hash, video)
        return gr.Column(visible=False), gr.Column(visible=False), "", []

    def find(
        self,
        video: str | None,
        run: int,
        window: float,
        stride: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (so Gradio hands it in)
    ) -> tuple:
        """Predict the video; what cannot be predicted is said in a sentence."""
        hidden = (gr.Column(visible=False), gr.Column(visible=False), *[gr.skip()] * 9)
        if video is None:
            return problem("Drop a video first, or record one."), *hidden
        model = self.models[run]
        try:
            with self.kept.results(request.session_hash) as folder:
                outcome = explain(
                    model,
                    Path(video),
                    self.limits,
                    folder,
                    window=window or 0,
                    stride=min(stride or 0, window or 0),
                    tell=lambda share: progress(share, desc="Reading the video"),
                )
        except UserError as error:
            return problem(str(error)), *hidden
        if not folder.exists():  # the video has gone meanwhile
            return "", *hidden
        several, classes = len(outcome.predictions) > 1, model.classes
        pages = [seen.window(outcome.footage, p, classes) for p in outcome.predictions]
        names = seen.names(outcome.predictions, classes)
        return (
            "",
            gr.Column(visible=True),
            gr.Column(visible=True),
            seen.summary(outcome, classes, synthetic=model.run.synthetic),
            str(folder / f"{Path(video).stem}.mp4"),
            str(folder / CSV),
            str(folder / f"{Path(video).stem}.mp4"),
            seen.chart(outcome.predictions, classes),
            seen.table(outcome, classes),
            gr.Dropdown(
                choices=[(name, n) for n, name in enumerate(names)], value=0, visible=several
            ),
            pages[0],
            pages,
        )


def name_of(model: Model) -> str:
    """What a run is called where one chooses."""
    run = model.run
    return f"{run.settings.key}, {run.dataset}, fold {run.fold}, seed {run.seed}"


def _page(pages: list[str], number: int | None) -> str:
    return pages[number] if number in range(len(pages)) else ""


def _selected(event: gr.SelectData) -> int:
    return event.index[0]
