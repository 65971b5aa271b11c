"""What the page shows of a video's predictions: a sentence, a chart, a table, frames with heat."""

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np
import pandas as pd
import torch

from dfer.analysis.relevance import upsample
from dfer.clips.store import FACE_SIZE
from dfer.predict.classify import Prediction
from dfer.predict.clip import Outcome, described
from dfer.predict.face import Footage
from dfer.predict.pictures import colour_of
from dfer.predict.strip import captions, under_heat

QUALITY = 88  # of the JPEGs on the page


def summary(outcome: Outcome, classes: Sequence[str], *, synthetic: bool) -> str:
    """What was found, as HTML: the surest window, what was seen, what could not be used."""
    surest = max(outcome.predictions, key=lambda prediction: prediction.probabilities.max())
    label, probability = classes[surest.label], surest.probabilities.max()
    when = f" at {surest.window.text()}" if len(outcome.predictions) > 1 else ""
    lines = [
        f'<p class="found"><b style="color: {ink(surest.label)}">{escape(label)}</b> '
        f"{probability:.2f}<small>{when}</small></p>",
        f"<p>{escape(described(outcome.footage))}.</p>",
    ]
    for _, number, start, end, reason in outcome.rejects:
        place = f"Window {number + 1} ({start:.2f} – {end:.2f} s)"
        lines.append(f"<p>{place} is not used: {escape(reason)}</p>")
    if synthetic:
        lines.append(
            "<p class=note>This run was trained on rendered faces: what it says of real ones "
            "means nothing.</p>"
        )
    return "\n".join(lines)


def table(outcome: Outcome, classes: Sequence[str]) -> pd.DataFrame:
    """A row a window: when, the top class, its probability, how many frames show a face."""
    return pd.DataFrame(
        [
            (
                p.window.number + 1,
                round(p.window.start_s, 2),
                round(p.window.end_s, 2),
                classes[p.label],
                round(float(p.probabilities[p.label]), 3),
                f"{outcome.footage.face_share(p.window):.0%}",
            )
            for p in outcome.predictions
        ],
        columns=["window", "from (s)", "to (s)", "expression", "probability", "face in"],
    )


def chart(predictions: Sequence[Prediction], classes: Sequence[str]) -> str:
    """Probabilities over time as HTML: a line a class through the middles of the windows."""
    end = max(p.window.end_s for p in predictions)
    middles = [(p.window.start_s + p.window.end_s) / 2 for p in predictions]
    places = [0.0, *(1000 * middle / end for middle in middles), 1000.0]
    shares = np.stack([p.probabilities for p in predictions])
    shares = np.concatenate([shares[:1], shares, shares[-1:]])
    lines = [f'<path d="M0 {y}H1000" class="rule"/>' for y in (0, 50, 100)]
    for label in range(len(classes)):
        pairs = zip(places, 100 - 100 * shares[:, label], strict=True)
        points = " ".join(f"{x:.1f},{y:.2f}" for x, y in pairs)
        lines.append(f'<polyline points="{points}" stroke="{ink(label)}"/>')
    names = [
        f'<li><span style="background: {ink(label)}"></span>{escape(name)}</li>'
        for label, name in enumerate(classes)
    ]
    return (
        '<figure class="chart"><figcaption>Probability of each expression over time</figcaption>'
        '<div class="plot" role="img" aria-label="Probabilities over time; '
        'the table of windows has the largest ones">'
        '<svg viewBox="0 0 1000 100" preserveAspectRatio="none">'
        f"{''.join(lines)}</svg><span>1</span><span>0.5</span><span>0</span></div>"
        f'<div class="axis"><span>0 s</span><span>{end:.2f} s</span></div>'
        f'<ul class="legend">{"".join(names)}</ul></figure>'
    )


def names(predictions: Sequence[Prediction], classes: Sequence[str]) -> list[str]:
    """What windows are called where one chooses."""
    return [f"{p.window.text()}   {p.text(classes, 1)}" for p in predictions]


def window(footage: Footage, prediction: Prediction, classes: Sequence[str]) -> str:
    """One window as HTML: the T faces that the model saw, under heat too, and a bar a class."""
    heat = None
    if prediction.maps is not None:
        heat = upsample(torch.from_numpy(prediction.maps), FACE_SIZE).numpy()
    figures = []
    for number, (face, text) in enumerate(
        zip(prediction.faces, captions(footage, prediction), strict=True)
    ):
        pictures = image(face, f"The face at {text}, as the model saw it")
        if heat is not None:
            warm = under_heat(face, heat[number])
            pictures += image(warm, f"At {text}, where the model looked")
        figures.append(f"<figure>{pictures}<figcaption>{text}</figcaption></figure>")
    note = "" if heat is not None else "<p>A network without CLIP has no heat maps.</p>"
    return f'<div class="frames">{"".join(figures)}</div>{note}{bars(prediction, classes)}'


def bars(prediction: Prediction, classes: Sequence[str]) -> str:
    """A bar a class, as HTML."""
    rows = [
        f'<tr><th scope="row">{escape(name)}</th><td><div style="width: {100 * share:.1f}%; '
        f'background: {ink(label)}"></div></td><td>{share:.2f}</td></tr>'
        for label, (name, share) in enumerate(zip(classes, prediction.probabilities, strict=True))
    ]
    return f'<table class="bars"><tbody>{"".join(rows)}</tbody></table>'


def ink(label: int) -> str:
    """The colour of a class for CSS, that of all pictures."""
    return "#{:02x}{:02x}{:02x}".format(*colour_of(label))


def image(picture: np.ndarray, text: str) -> str:
    """A picture, uint8 RGB (H, W, 3), inside the page."""
    done, coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return data_image(coded.tobytes(), "jpeg", text)


def data_image(content: bytes, kind: str, text: str) -> str:
    """An image file inside the page; `text` stands for it where it is not seen."""
    coded = base64.b64encode(content).decode()
    return f'<img src="data:image/{kind};base64,{coded}" alt="{escape(text)}">'
