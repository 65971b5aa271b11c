"""What both tabs share: how problems are said, what is kept how long, what goes one by one."""

from html import escape
from typing import Any

HOUR = 3600  # seconds that anything of a user is kept at most
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "work"}


def problem(text: str) -> str:
    """A plain sentence that says what is wrong, as HTML that is read out."""
    return f'<p class="problem" role="alert">{escape(text)}</p>'
