"""The report of a benchmark as one HTML document that asks nothing of any other machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files

from convnets.files import to_json
from convnets.records import Machine, Result
from convnets.report.charts import complexity_chart
from convnets.report.entries import Entry, comparisons
from convnets.report.format import duration, listing, memory, plural
from convnets.report.leaderboard import columns, setting
from convnets.report.markup import Markup, joined, tag
from convnets.report.matrices import class_table
from convnets.report.panels import failures, learning_curves
from convnets.report.verdict import verdict

# a number and its unit, which stay on one line
QUANTITY = re.compile(r"([\d.,]+(?: ± [\d.]+)? (?:%|[kMGTPEZ]\b|min \d+ s|h \d+ min|s\b))")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(results: Sequence[Result], *, title: str) -> str:
    """Return one self-contained HTML document about ``results``.

    Runs on different data sets are compared apart, one section each. All text from the results is
    escaped, and the page's policy forbids any request.
    """
    sections = [
        _comparison(entries, f"set{index + 1}")
        for index, entries in enumerate(comparisons(results))
    ]
    head = [
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", {"name": "color-scheme", "content": "light dark"}),
        tag("title", {}, title),
        tag("style", {}, _asset("page.css")),
    ]
    body = [
        tag("header", {}, tag("p", {}, "convnets bench"), tag("h1", {}, title)),
        tag("main", {}, *sections),
        tag("script", {}, _asset("page.js")),
    ]
    document = tag("html", {"lang": "en"}, tag("head", {}, *head), tag("body", {}, *body))
    return f"<!DOCTYPE html>\n{document}\n"


def _asset(name: str) -> Markup:
    return Markup(files("convnets.report").joinpath(name).read_text("utf-8"))


def _comparison(entries: Sequence[Entry], key: str) -> Markup:
    """Everything about one data set; ``key`` begins the ids of its parts."""
    rows = [entry.row for entry in entries]
    classes = entries[0].runs[0].data.classes
    first, *reasons = verdict(rows)
    return tag(
        "article",
        {"id": key},
        _facts([run for entry in entries for run in entry.runs]),
        _part(
            "Verdict",
            "",
            tag("p", {"class": "lead"}, _sentence(first)),
            tag("ul", {"class": "reasons"}, *(tag("li", {}, _sentence(r)) for r in reasons)),
        ),
        _part(
            "Leaderboard",
            f"For every row: {', '.join(setting(rows))}. Click a heading to sort.",
            _table(entries),
        ),
        _part(
            "Accuracy against cost",
            "The area of a disc is the number of parameters, a bar is one standard deviation over "
            "seeds, the colour is the year. Along the dashed line, the Pareto front, more accuracy "
            "costs more.",
            tag("div", {"class": "scroll"}, complexity_chart(entries)),
            _years(entries),
        ),
        _part(
            "Learning curves",
            "Test accuracy after each epoch, mean over seeds.",
            learning_curves(entries, key),
        ),
        _part("Accuracy by class", "", class_table(entries, classes)),
        _part("Where each network fails", "", failures(entries, classes, key)),
        _part(
            "Repeat a run",
            "On the same engine a command gives the same weights, bit for bit.",
            *(_plan(entry) for entry in entries),
        ),
    )


def _part(title: str, note: str, *content: Markup) -> Markup:
    intro = [tag("p", {"class": "note"}, note)] if note else []
    return tag("section", {}, tag("h2", {}, title), *intro, *content)


def _sentence(text: str) -> Markup:
    subject, _, statement = text.partition(": ")
    parts = QUANTITY.split(statement)
    parts[1::2] = (tag("span", {"class": "whole"}, quantity) for quantity in parts[1::2])
    return joined([tag("strong", {}, subject), " ", *parts])


def _facts(runs: Sequence[Result]) -> Markup:
    """What was compared, on which machine, with which versions; each different value once."""
    data = runs[0].data
    size = f" of {'×'.join(map(str, data.image_size))}" if data.image_size else ""
    spent = duration(sum(run.seconds for run in runs))
    numbers = sorted({run.seed for run in runs})
    seeds = f"seed{'s' if numbers[1:] else ''} {listing([str(seed) for seed in numbers])}"
    facts = {
        "Data": [
            f"{data.name}: {data.train_images:,} training and {data.test_images:,} test images"
            f"{size} in {len(data.classes)} classes"
        ],
        "Runs": [f"{plural(len(runs), 'run')} with {seeds}, {spent} of training"],
        "Recipe": [f"{run.recipe}, {plural(run.epochs, 'epoch')}" for run in runs],
        "Input": [f"{run.input_size}×{run.input_size} pixels" for run in runs],
        "Stem": [run.stem for run in runs],
        "Engine": [
            f"{run.engine.device}, {run.engine.precision}"
            f"{', compiled' if run.engine.compiled else ''}"
            f"{', CUDA graphs' if run.engine.graphs else ''}"
            for run in runs
        ],
        "Machine": [_machine(run.machine) for run in runs],
        "Versions": [
            ", ".join(f"{name} {version}" for name, version in run.machine.versions.items())
            for run in runs
        ],
    }
    parts = [
        tag("div", {}, tag("dt", {}, name), tag("dd", {}, "; ".join(dict.fromkeys(values))))
        for name, values in facts.items()
    ]
    return tag("dl", {}, *parts)


def _machine(machine: Machine) -> str:
    parts = [
        machine.accelerator,
        machine.processor,
        plural(machine.cores, "core"),
        memory(machine.memory_bytes),
        machine.system,
    ]
    return ", ".join(part for part in parts if part)


def _table(entries: Sequence[Entry]) -> Markup:
    """The leaderboard; ``data-value`` of a cell is what a script sorts by."""
    shown = columns([entry.row for entry in entries])
    head = [_heading("Model", numeric=False), _heading("Year", numeric=True)]
    head += [_heading(column.title, numeric=column.numeric) for column in shown]
    body = []
    for entry in entries:
        row = entry.row
        cells = [
            tag(
                "th", {"scope": "row", "data-value": entry.name}, _swatch(entry.colour), entry.name
            ),
            tag("td", {"class": "number", "data-value": row.year}, str(row.year)),
        ]
        for column in shown:
            value = column.value(row)
            exact = repr(value) if isinstance(value, float) else value
            attributes = {
                "class": "number" if column.numeric else None,
                "data-value": "" if exact is None else exact,
            }
            cells.append(tag("td", attributes, column.show(row)))
        body.append(tag("tr", {"class": "mark", "data-key": entry.key}, *cells))
    table = tag(
        "table",
        {"class": "sortable"},
        tag("thead", {}, tag("tr", {}, *head)),
        tag("tbody", {}, *body),
    )
    return tag("div", {"class": "scroll"}, table)


def _heading(title: str, *, numeric: bool) -> Markup:
    attributes = {
        "scope": "col",
        "class": "number" if numeric else None,
        "aria-sort": "descending" if title == "Top-1 %" else None,
    }
    return tag("th", attributes, tag("button", {"type": "button"}, title))


def _swatch(colour: str) -> Markup:
    return tag("span", {"class": "swatch", "style": f"background:{colour}"})


def _years(entries: Sequence[Entry]) -> Markup:
    colours = {entry.row.year: entry.colour for entry in entries}
    chips = [
        tag("span", {}, _swatch(colour), str(year)) for year, colour in sorted(colours.items())
    ]
    return tag("p", {"class": "years"}, *chips)


def _plan(entry: Entry) -> Markup:
    """The commands of a row's runs, what they must give, and the plan in full."""
    runs = [
        tag(
            "div",
            {"class": "run"},
            tag("p", {}, f"{run.run}, seed {run.seed}: {run.top1 * 100:.2f} %"),
            tag("pre", {"class": "command"}, run.command),
            tag("p", {"class": "digest"}, f"weights SHA-256 {run.weights_sha256}"),
            *_skipped(run),
        )
        for run in entry.runs
    ]
    plan = tag("pre", {}, to_json(entry.runs[0].plan))
    return tag("details", {}, tag("summary", {}, entry.name), *runs, tag("h4", {}, "Plan"), plan)


def _skipped(run: Result) -> list[Markup]:
    if not run.skipped_files:
        return []
    number = plural(len(run.skipped_files), "unreadable file")
    return [tag("p", {}, f"{number} left out:"), tag("pre", {}, "\n".join(run.skipped_files))]
