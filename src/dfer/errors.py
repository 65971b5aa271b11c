"""Errors that a user can mend, and how a stage's command line ends in one."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence


class UserError(Exception):
    """Bad input that a user can mend. The message names the file or clip, and the remedy."""


def stage(
    main: Callable[[argparse.Namespace], None],
    parser: argparse.ArgumentParser,
    words: Sequence[str] | None = None,
) -> None:
    """Run a stage's command line: a `UserError` becomes one line on stderr and exit status 1.

    Args:
        words: of the command line; None are those of this process.
    """
    print_anything()
    try:
        main(parser.parse_args(words))
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # as shells count it: 128 + SIGINT
    except BrokenPipeError:  # whoever reads the print-out, `head` for example, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # 128 + SIGPIPE


def print_anything() -> None:
    """From now on, print a letter that the terminal or the log's encoding lacks as its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
