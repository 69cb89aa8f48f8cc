"""Parts of the page that show one of several views: the reader chooses which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convnets.files import to_json
from convnets.records import Mistake
from convnets.report.charts import curve_chart
from convnets.report.entries import Entry
from convnets.report.format import tick, whole
from convnets.report.markup import Markup, joined, tag
from convnets.report.matrices import confused_pairs, confusion, confusion_figure, png_url

PAIRS = 8


def learning_curves(entries: Sequence[Entry], key: str) -> Markup:
    """Test accuracy against epochs, training compute or training time."""
    charts = {
        "epochs": curve_chart(entries, lambda _, epoch: epoch.epoch, "epoch", whole),
        "compute": curve_chart(
            entries,
            lambda run, epoch: run.training_macs * epoch.step / run.curve[-1].step,
            "multiply-adds of training (log scale)",
            tick,
            log=True,
        ),
        "time": curve_chart(
            entries,
            lambda _, epoch: max(epoch.seconds, 0.01),
            "seconds of training (log scale)",
            lambda value: f"{value:,.9g}",
            log=True,
        ),
    }
    views = {name: tag("div", {"class": "scroll"}, chart) for name, chart in charts.items()}
    buttons = []
    for index, name in enumerate(views):
        choice = {"type": "radio", "name": f"{key}-curves", "value": f"{key}-curves-{index}"}
        button = tag("input", {**choice, "checked": True if not index else None})
        buttons.append(tag("label", {}, button, tag("span", {}, name)))
    legend = tag("legend", {}, "Accuracy against")
    return _chooser(tag("fieldset", {}, legend, *buttons), views, f"{key}-curves")


def failures(entries: Sequence[Entry], classes: Sequence[str], key: str) -> Markup:
    """For each network its confusion matrix, its most frequent and its most certain mistakes."""
    views = {entry.name: _failures_of(entry, classes) for entry in entries}
    options = [
        tag("option", {"value": f"{key}-failures-{index}"}, name)
        for index, name in enumerate(views)
    ]
    select = tag("label", {}, tag("span", {}, "Network"), tag("select", {}, *options))
    return tag(
        "div",
        {"data-classes": to_json(classes, indent=None)},
        _chooser(select, views, f"{key}-failures"),
    )


def _chooser(control: Markup, views: Mapping[str, Markup], prefix: str) -> Markup:
    """A control whose values are the ids of panels; a page without scripts shows all of them."""
    panels = [
        tag("div", {"id": f"{prefix}-{index}", "class": "panel"}, tag("h3", {}, name), view)
        for index, (name, view) in enumerate(views.items())
    ]
    return joined([tag("div", {"class": "chooser"}, control), *panels])


def _failures_of(entry: Entry, classes: Sequence[str]) -> Markup:
    matrix = confusion(entry.runs)
    pairs = [
        tag(
            "li",
            {},
            tag("b", {}, classes[true]),
            " called ",
            tag("b", {}, classes[called]),
            tag("span", {}, f"{number:,} times, {share * 100:.1f} %"),
        )
        for true, called, number, share in confused_pairs(matrix, PAIRS)
    ]
    first = entry.runs[0]
    mistakes = [_mistake(mistake, classes) for mistake in first.mistakes]
    return joined(
        [
            tag(
                "div",
                {"class": "beside"},
                confusion_figure(matrix, classes),
                tag("div", {}, tag("h4", {}, "Most frequent mistakes"), tag("ol", {}, *pairs)),
            ),
            tag("h4", {}, f"Most wrong about (seed {first.seed})"),
            tag("div", {"class": "mistakes"}, *mistakes),
        ]
    )


def _mistake(mistake: Mistake, classes: Sequence[str]) -> Markup:
    true, called = classes[mistake.label], classes[mistake.predicted]
    alt = f"test image {mistake.index}: {true}, called {called}"
    return tag(
        "figure",
        {},
        tag("img", {"src": png_url(mistake.png), "alt": alt, "loading": "lazy"}),
        tag(
            "figcaption",
            {},
            tag("b", {}, true),
            tag("span", {"class": "wrong"}, f"{called} {mistake.probability * 100:.0f} %"),
        ),
    )
