"""Types of command-line arguments that several stages take."""

import argparse
import json


def positive(text: str) -> int:
    """Parse a whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def class_words(text: str) -> dict[str, str]:
    """Parse `{"label in the release": "class word", …}`; the order is the class order."""
    try:
        classes = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    good = isinstance(classes, dict) and all(
        isinstance(word, str) and word.strip() for word in classes.values()
    )
    if not good or not classes:
        raise argparse.ArgumentTypeError('not an object of texts, as {"happy": "happiness"}')
    return classes
