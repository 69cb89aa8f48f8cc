"""Which network to use, and why, in sentences computed from the rows of a leaderboard."""

from __future__ import annotations

import math
from collections.abc import Sequence

from convnets.report.format import count, duration, listing, percent, plural, rate
from convnets.report.leaderboard import SETTING, Column, Row, front, labels

CLOSE = 0.01  # one point
STILL_RISING = 0.01
SMALL_SET = 0.005


def verdict(rows: Sequence[Row]) -> list[str]:
    """What ``rows`` (most accurate first) say, each sentence as ``Subject: statement.``

    Rows of several data sets are judged apart, the subject then begins with the set's name.
    """
    sets = list(dict.fromkeys((row.data, row.fingerprint) for row in rows))
    if len(sets) > 1:
        return [
            f"{name}, {sentence[0].lower()}{sentence[1:]}"
            for name, fingerprint in sets
            for sentence in verdict(
                [row for row in rows if (row.data, row.fingerprint) == (name, fingerprint)]
            )
        ]
    if not rows:
        return []
    names = dict(zip(rows, labels(rows), strict=True))
    sentences = [_most_accurate(rows, names)]
    if len(rows) > 1:
        sentences += [_best_value(rows, names), _smallest(rows, names), _fastest(rows, names)]
        sentences.append(_front(rows, names))
    return sentences + _caveats(rows, names)


def spread(first: Row, second: Row) -> float | None:
    """Standard deviation of the difference of two single runs; None where one row has one seed."""
    if first.top1_deviation is None or second.top1_deviation is None:
        return None
    return math.hypot(first.top1_deviation, second.top1_deviation)


def _most_accurate(rows: Sequence[Row], names: dict[Row, str]) -> str:
    best, *others = rows
    text = (
        f"Most accurate: {names[best]} at {percent(best.top1, best.top1_deviation)} % top-1 "
        f"({plural(len(best.seeds), 'seed')}), with {count(best.params)} parameters, "
        f"{count(best.macs)} MACs an image and {duration(best.seconds)} of training"
    )
    if not others:
        return f"{text}."
    lead = best.top1 - others[0].top1
    apart = spread(best, others[0])
    ahead = f"it leads {names[others[0]]} by {_points(lead)}"
    if apart is None:
        return f"{text}; {ahead}, and one seed shows no spread to judge that by."
    near = [names[row] for row in others if best.top1 - row.top1 <= 2 * (spread(best, row) or 0)]
    if near:
        return f"{text}; within the spread of seeds (two deviations) of {listing(near)}."
    times = f", {lead / apart:.1f} standard deviations of that difference" if apart else ""
    return f"{text}; {ahead}{times}."


def _best_value(rows: Sequence[Row], names: dict[Row, str]) -> str:
    best = rows[0]
    cheapest = min((row for row in rows if best.top1 - row.top1 <= CLOSE), key=lambda r: r.macs)
    if cheapest.macs >= best.macs:
        return (
            f"Best value: no network that costs fewer MACs comes within a point of {names[best]}."
        )
    return (
        f"Best value: {names[cheapest]} is {_points(best.top1 - cheapest.top1)} behind at "
        f"{count(cheapest.macs)} MACs an image, {best.macs / cheapest.macs:.1f} times fewer."
    )


def _smallest(rows: Sequence[Row], names: dict[Row, str]) -> str:
    row = min(rows, key=lambda row: row.params)
    return (
        f"Smallest: {names[row]} has {count(row.params)} parameters and reaches "
        f"{percent(row.top1)} %."
    )


def _fastest(rows: Sequence[Row], names: dict[Row, str]) -> str:
    row = max(rows, key=lambda row: row.images_per_second)
    return (
        f"Fastest: {names[row]} trains at {rate(row.images_per_second)} images/s "
        f"and reaches {percent(row.top1)} %."
    )


def _front(rows: Sequence[Row], names: dict[Row, str]) -> str:
    best = front(rows)
    if len(best) == 1:
        return f"Pareto front: {names[best[0]]} alone; no other costs fewer MACs."
    return (
        f"Pareto front: {listing([names[row] for row in best])}, from cheapest to most accurate; "
        "each of the others is matched or beaten at its own cost in MACs or below."
    )


def _caveats(rows: Sequence[Row], names: dict[Row, str]) -> list[str]:
    sentences = []

    def mention(chosen: list[Row], sentence: str) -> None:
        if chosen:
            every = len(chosen) == len(rows) > 1
            who = "every network" if every else listing([names[row] for row in chosen])
            sentences.append(sentence.format(who))

    mention(
        [row for row in rows if len(row.seeds) == 1],
        "One seed: {} ran once, so a small margin may be chance.",
    )
    best = rows[0]
    error = math.sqrt(best.top1 * (1 - best.top1) / best.test_images)
    if error > SMALL_SET:
        sentences.append(
            f"Small test set: {best.test_images} images leave the best accuracy uncertain by "
            f"{_points(error)} (one standard error), whatever the seeds say."
        )
    mention(
        [row for row in rows if row.last_gain is None],
        "One epoch: {} saw the data once: that shows who learns fastest, not who ends best.",
    )
    mention(
        [row for row in rows if row.last_gain is not None and row.last_gain > STILL_RISING],
        "Not converged: {} gained more than a point in the last epoch; "
        "longer training may change the order.",
    )
    for column in SETTING:
        if len({column.show(row) for row in rows}) > 1:
            sentences.append(f"Unequal {column.title.lower()}: {_unequal(rows, column, names)}.")
    return sentences


def _unequal(rows: Sequence[Row], column: Column, names: dict[Row, str]) -> str:
    holders: dict[str, list[str]] = {}
    for row in rows:
        holders.setdefault(column.phrase(row), []).append(names[row])
    *rarer, (usual, _) = sorted(holders.items(), key=lambda item: len(item[1]))
    return (
        "; ".join(f"{kind} for {listing(who)}" for kind, who in rarer) + f"; {usual} for the others"
    )


def _points(share: float) -> str:
    return f"{share * 100:.2f} points"
