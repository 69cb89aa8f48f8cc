"""A model card in Markdown: what a network does, how well, from what, at what cost, and how to use
it (Mitchell et al. 2019, "Model Cards for Model Reporting")."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from convnets.analysis import Profile
from convnets.errors import printable
from convnets.files import to_json
from convnets.models import find_variant
from convnets.records import Result
from convnets.report.format import count, duration, memory, percent, plural
from convnets.report.sheet import Sheet

EXTREMES = 3
NAMED_CLASSES = 100
WEAK = 0.5
Z95 = 1.959964
HUB_LICENCES = {
    *("unknown", "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "unlicense", "openrail"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0"),
    *("gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0"),
}
"""The hub's own names, in its front matter; any other licence is ``other`` there."""


def card(
    record: Mapping[str, Any], cost: Profile, *, size: int, source: str, result: Result | None
) -> str:
    """Write the card of a model file.

    ``record`` is what the file says of itself, ``size`` its bytes, ``source`` what it is loaded
    by: a file's name or a repository. ``result`` is the finished run it was saved from, if at hand.
    """
    model, origin = record["model"], record["origin"]
    family, _ = find_variant(model["model"])
    sections = {
        "": _introduction(model, cost),
        "Accuracy": _accuracy(model, origin, result),
        "Training": _training(model, origin, result),
        "Cost": _cost(cost, size),
        "Images": _images(model),
        "How to use it": _use(source),
        "Intended use and limits": _limits(model, result),
        "Licence": _licence(origin["licence"]),
        "Checksum": (
            f"SHA-256 of the tensors (names, types, shapes and bytes): `{record['sha256']}`. It is "
            f"checked when the file is loaded. Saved by convnets {_plain(record['convnets'])}."
        ),
        "Paper": f"{_plain(family.paper)} ({family.year}): <{family.url}>",
    }
    title = f"# {model['model']}, trained on {_plain(model['data'])}"
    body = (f"## {name}\n\n{text}" if name else text for name, text in sections.items())
    return "\n\n".join([_front_matter(origin["licence"]), title, *body]) + "\n"


def _front_matter(licence: str) -> str:
    """What the hub reads of a card; JSON texts are YAML."""
    known = licence.lower() in HUB_LICENCES
    lines = [f"license: {licence.lower() if known else 'other'}"]
    lines += [] if known else [f"license_name: {json.dumps(licence)}"]
    lines += ["library_name: convnets", "pipeline_tag: image-classification"]
    return "\n".join(["---", *lines, "---"])


def _introduction(model: Mapping[str, Any], cost: Profile) -> str:
    family, _ = find_variant(model["model"])
    side, classes = model["input_size"], model["classes"]
    kind = {1: "grey", 3: "colour"}.get(model["in_chans"], f"{model['in_chans']}-channel")
    return (
        f"{family.title} ({family.year}) with its {model['stem']} stem and {count(cost.params)} "
        f"parameters. It sorts {kind} images of {side}x{side} pixels into "
        f"{len(classes):,} classes: {_named(classes)}."
    )


def _named(classes: Sequence[str]) -> str:
    shown = ", ".join(_plain(name) for name in classes[:NAMED_CLASSES])
    return shown if len(classes) <= NAMED_CLASSES else f"{shown}, ..."


def _accuracy(model: Mapping[str, Any], origin: Mapping[str, Any], result: Result | None) -> str:
    top1, images = origin["top1"], origin["test_images"]
    if top1 is None or images is None:
        return "Not measured."
    low, high = wilson(top1, images)
    top5 = f" ({percent(result.top5)} % top-5)" if result and result.top5 is not None else ""
    text = (
        f"**{percent(top1)} % top-1**{top5} on the {images:,} test images of "
        f"{_plain(model['data'])}, by the final weights of the run {_span(origin['run'])}. On so "
        f"many images chance alone allows {percent(low)} to {percent(high)} % (95 %, Wilson)."
    )
    if result is None:
        return text
    return "\n\n".join([text, *_confusion(result)])


def wilson(share: float, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share of ``trials`` (Wilson 1927)."""
    spread = Z95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def _confusion(result: Result) -> Iterator[str]:
    """The classes it knows best and least, and the commonest mistakes."""
    names, rows = result.data.classes, result.confusion
    shares = _shares(result)
    ordered = sorted(shares, key=lambda label: -shares[label])
    if len(ordered) > 2 * EXTREMES:
        ordered = ordered[:EXTREMES] + ordered[-EXTREMES:]
    yield Sheet(
        (("Class, best and worst", False), ("Test images", True), ("Correct %", True)),
        [(_cell(names[label]), sum(rows[label]), percent(shares[label])) for label in ordered],
    ).markdown()
    mistakes = sorted(
        (-number, label, called)
        for label, row in enumerate(rows)
        for called, number in enumerate(row)
        if number and called != label
    )
    if mistakes:
        yield Sheet(
            (("Commonest mistake", False), ("called", False), ("Images", True)),
            [(_cell(names[a]), _cell(names[b]), -number) for number, a, b in mistakes[:EXTREMES]],
        ).markdown()


def _shares(result: Result) -> dict[int, float]:
    """How many images of each class are called right, of the classes that have any."""
    return {label: row[label] / sum(row) for label, row in enumerate(result.confusion) if sum(row)}


def _training(model: Mapping[str, Any], origin: Mapping[str, Any], result: Result | None) -> str:
    if result is None:
        known = [
            f"recipe {_span(origin['recipe'])}" if origin["recipe"] else "",
            f"plan {_span(origin['plan'])}" if origin["plan"] else "",
            f"run {_span(origin['run'])}" if origin["run"] else "",
        ]
        how = ", ".join(part for part in known if part) or "how is not known"
        return f"Trained on {_plain(model['data'])}: {how}."
    machine = result.machine.accelerator or result.machine.processor
    facts = [
        f"data: {_plain(result.data.name)}, {result.data.train_images:,} training images, "
        f"fingerprint `{result.data.fingerprint[:16]}`",
        f"recipe `{result.recipe}`, {plural(result.epochs, 'epoch')}, seed {result.seed}, plan "
        f"`{origin['plan']}`",
        f"{duration(result.seconds)} in {result.engine.precision} on {_plain(machine)}",
    ]
    if result.skipped_files:
        facts.append(f"{plural(len(result.skipped_files), 'unreadable file')} left out")
    plan = to_json({**result.plan, "data": result.data.name})
    parts = [_listed(facts), "It is repeated, from the same data, by", _code(result.command)]
    return "\n\n".join([*parts, "The plan in full:", _code(plan, "json")])


def _cost(cost: Profile, size: int) -> str:
    side = "x".join(str(edge) for edge in cost.input_shape[1:])
    rows = [
        ("Parameters", f"{cost.params:,}"),
        (f"Multiply-adds for one {side} image", f"{cost.macs:,}"),
        ("Feature maps of one image", memory(cost.activation_bytes)),
        ("File", memory(size)),
    ]
    return Sheet((("", False), ("", True)), rows).markdown()


def _images(model: Mapping[str, Any]) -> str:
    side = model["input_size"]
    mean, deviation = (
        ", ".join(f"{value:.6g}" for value in model[field]) for field in ("mean", "deviation")
    )
    return (
        f"The central square of an upright image, transparency laid on white, is resized to "
        f"{side}x{side} (bilinear, antialiased; up to four missing pixels are a border of zeros "
        f"instead), divided by 255, less the mean ({mean}), over the deviation ({deviation}), by "
        "channel. convnets does this by itself, from the file."
    )


def _use(source: str) -> str:
    python = (
        "import convnets\n\n"
        f"model = convnets.load_model({json.dumps(source)})\n"
        'for found in convnets.predict(model, ["image.png"]).predictions:\n'
        "    print(found.path, found.classes)"
    )
    shell = f"convnets predict {shlex.quote(source)} photos/ --csv classes.csv"
    return f"{_code(python, 'python')}\n\n{_code(shell)}"


def _limits(model: Mapping[str, Any], result: Result | None) -> str:
    limits = [
        f"Meant for images like those of {_plain(model['data'])}. Images from elsewhere, and "
        "differences between groups of people in them, were not measured.",
        "Every image is given one of its classes, one that shows none of them too.",
        "Probabilities are the network's softmax; whether they match how often it is right was "
        "not measured.",
    ]
    weak = [label for label, share in (_shares(result) if result else {}).items() if share < WEAK]
    if result and weak:
        names = _named([result.data.classes[label] for label in weak])
        limits.append(
            f"Of these classes it calls fewer than half of the test images right: {names}."
        )
    return _listed(limits)


def _licence(licence: str) -> str:
    return "Not known: none was given." if licence == "unknown" else f"{_plain(licence)}."


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _code(text: str, language: str = "") -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _span(text: object) -> str:
    """A name in the type of code."""
    shown = printable(str(text)).replace("`", "'")
    return f"`{shown}`"


def _plain(text: str) -> str:
    """A name as Markdown shows it, whatever it is made of."""
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", printable(text))


def _cell(text: str) -> str:
    """The same in a table, which takes care of its own separators."""
    return _plain(text).replace(r"\|", "|")
