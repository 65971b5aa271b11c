"""Chromium without a window, driven through its debugging pipe: real clicks, keys and layout."""

import base64
import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
COMMAND += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
COMMAND += ["--hide-scrollbars", "--remote-debugging-pipe"]
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " ")}  # code, what it types


class Browser:
    """One page of one browser."""

    def __init__(self, to: int, back: int):
        self._to, self._back = os.fdopen(to, "wb", 0), os.fdopen(back, "rb")
        self._count, self._session = 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask of Chromium's protocol, and wait for the answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._message())
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _message(self) -> bytes:
        found = bytearray()
        while (byte := self._back.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            found += byte
        return bytes(found)

    def open(self, path: Path, width: int = 1280, height: int = 800, script: bool = True) -> None:
        """Show a file, of a window's size, with its scripts or without."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=path.as_uri())
        here = f"location.href === {json.dumps(path.as_uri())}"
        self.wait(f"{here} && document.readyState === 'complete'")

    def wait(self, condition: str, seconds: float = 20) -> None:
        """Until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self(f"!!({condition})"):
            assert time.monotonic() < end, condition
            time.sleep(0.02)

    def __call__(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in done, (expression, done["exceptionDetails"])
        return done["result"].get("value")

    def press(self, key: str) -> None:
        """A key, down and up."""
        code, text = KEYS[key]
        what = {"key": key, "code": key.strip() or "Space", "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **what)
        self.call("Input.dispatchKeyEvent", type="keyUp", **what)

    def click(self, element: str) -> None:
        """A click in the middle of what a JavaScript expression finds, which must be in view."""
        x, y = self(
            "(b => [b.x + b.width / 2, b.y + b.height / 2])"
            f"(({element}).getBoundingClientRect().toJSON())"
        )
        at = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", **at)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **at)

    def picture(self, path: Path) -> None:
        """What is in view, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, in an empty folder."""
    theirs, to = _pipe()
    back, answers = _pipe()

    def wire() -> None:  # where Chromium looks for its pipe
        os.dup2(theirs, 3)
        os.dup2(answers, 4)

    process = subprocess.Popen(
        [*COMMAND, f"--user-data-dir={profile}"],
        preexec_fn=wire,
        pass_fds=(3, 4),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    os.close(answers)
    try:
        yield Browser(to, back)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _pipe() -> tuple[int, int]:
    """Both ends of a pipe, neither of them 3 or 4."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]
