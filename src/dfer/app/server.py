"""The page served: to this machine alone unless told otherwise, and without a word to anybody else.

Uploads and results lie in a temporary folder of our own (`dfer.app.__main__`). It goes when the
page ends; before that a browser's files go when it takes another video or is closed, and after an
hour (`HOUR`).
"""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dfer.app.job import Kept, Limits
from dfer.app.page import HOUR
from dfer.app.results_tab import ResultsTab
from dfer.app.video_tab import VideoTab
from dfer.errors import UserError
from dfer.predict.api import Model

WAITING = 8  # jobs in the queue; who comes then is told to come again
STYLE = Path(__file__).with_name("app.css")
LOCAL = ("127.0.0.1", "localhost", "[::1]")
POLICY = (  # what the browser may load: nothing but what this server has
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; object-src 'none'"
)


class OnlyHere:
    """Forbid the browser, in every answer, to ask any other server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message["headers"] = [*message.get("headers", []), policy]
            await send(message)

        await self._app(scope, receive, guarded)


def build(models: Sequence[Model], results: Path, limits: Limits, kept: Kept) -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="dfer", delete_cache=(60, HOUR), analytics_enabled=False) as page:
        gr.Markdown("# Facial expressions in video")
        with gr.Tab("Your video"):
            VideoTab(models, limits, kept).build()
        with gr.Tab("Tables"):
            ResultsTab(results).build(page)

        @page.unload
        def forget(request: gr.Request) -> None:
            kept.forget(request.session_hash)

    page.queue(max_size=WAITING, default_concurrency_limit=4)
    return page


def serve(page: gr.Blocks, megabytes: int, host: str, port: int) -> None:
    """Serve a page until SIGTERM, Ctrl-C, or the end of the terminal.

    Args:
        megabytes: of an upload, at most.

    Raises:
        UserError: the port is taken, or there is no such address here.
    """
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    with interrupted_by_signals():
        try:
            page.launch(
                server_name=host,
                server_port=port,
                share=False,
                max_file_size=f"{megabytes}mb",
                app_kwargs={"middleware": [Middleware(OnlyHere)], "docs_url": None},
                theme=gr.themes.Default(
                    primary_hue="blue",
                    font=["system-ui", "sans-serif"],
                    font_mono=["ui-monospace", "monospace"],
                ),
                css_paths=STYLE,
                footer_links=[],
                run_history=False,
                ssr_mode=False,
                mcp_server=False,
                enable_monitoring=False,
                quiet=True,
                prevent_thread_lock=True,
            )
        except (OSError, OverflowError) as error:
            raise UserError(f"--host {host} --port {port}: {error}") from None
        try:
            print(f"The page: http://{host}:{port} (Ctrl-C ends it)", flush=True)
            if host not in LOCAL:
                print("Whoever reaches this machine can use it, and see its tables.", flush=True)
            threading.Event().wait()
        finally:
            page.close(verbose=False)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Within it SIGTERM and a terminal that is closed end the page as Ctrl-C does.

    So its files go. `nohup` keeps it open without its terminal.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
