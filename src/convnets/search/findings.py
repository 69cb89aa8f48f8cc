"""What a search found, in words, tables and a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from convnets.report.comparison import picture
from convnets.report.format import count, duration, percent, plural, tick
from convnets.report.pareto import pareto
from convnets.report.sheet import Sheet
from convnets.report.tables import Cell
from convnets.search.final import Final, Found, best

MOST_ROWS = 10
COSTS = {
    "macs": ("multiply-adds an image", 1.0),
    "params": ("parameters", 1.0),
    "latency": ("milliseconds an image", 1e3),
}
"""What each cost is called in the picture, and its unit."""
DOT, LINE, BEST = "#4c78a8", "#444444", "#f58518"


def trials_sheet(found: Found) -> Sheet:
    """The best trials, a network a row."""
    columns: list[Cell] = [("Trial", True), ("Reward", True), ("Validation %", True)]
    columns += [("Params", True), ("MACs", True), ("Training", True), ("Network", False)]
    body = [
        (
            trial.number,
            f"{trial.reward:.4f}",
            percent(trial.accuracy),
            None if trial.params is None else count(trial.params),
            None if trial.macs is None else count(trial.macs),
            None if trial.seconds is None else duration(trial.seconds),
            trial.model,
        )
        for trial in best(found.trials)[:MOST_ROWS]
    ]
    return Sheet(columns, body)


def finals_sheet(found: Found) -> Sheet:
    """The best networks and the base, trained anew and tested."""
    columns: list[Cell] = [("Found", False), ("Test top-1 %", True), ("Params", True)]
    columns += [("MACs", True), ("Training", True), ("Network", False)]
    body = [
        (
            _source(final, found),
            percent(final.result.top1),
            count(final.result.params),
            count(final.result.macs),
            duration(final.result.seconds),
            final.result.model,
        )
        for final in found.finals
    ]
    first = found.finals[0].result
    images = f"{first.data.train_images:,} training and {first.data.test_images:,} test images"
    epochs = plural(first.epochs, "epoch")
    return Sheet(columns, body, f"{images}, {epochs} of {first.recipe}, seed {first.seed}")


def _source(final: Final, found: Found) -> str:
    parts = [] if final.trial is None else [f"trial {final.trial.number}"]
    return ", ".join([*parts, *(["base"] if final is found.base else [])])


def sentences(found: Found) -> list[str]:
    """What was tried, what was found, whether it beats the base, and what the search took."""
    trials, space = found.trials, found.study.space
    failed = sum(trial.state == "failed" for trial in trials)
    refused = sum(trial.refused for trial in trials)
    networks = len({trial.model for trial in trials})
    first = best(trials)[0]
    said = [
        f"{plural(len(trials), 'trial')} of {plural(networks, 'network')} out of "
        f"{_size(space.size)}; {failed} failed.",
        f"Highest reward: {first.reward:.4f} in trial {first.number}, at "
        f"{percent(first.accuracy)} % of the validation images: {first.model}.",
    ]
    if refused:
        said[0] += f" {plural(refused, 'sample')} made no network and were drawn again."
    winner, base = found.winner, found.base
    if winner is not None and base is not None:
        said += [_against(winner, base), _price(found, base)]
    return said


def _size(networks: int) -> str:
    return f"{networks:,}" if networks < 10**6 else f"{networks:.1e}"


def _against(winner: Final, base: Final) -> str:
    """The winner of the rewards beside the base, and how far chance alone would set them apart."""
    one, other = winner.result, base.result
    if winner is base:
        return f"The base itself has the highest reward; tested: {percent(other.top1)} %."
    # Two shares of the same number of images, taken as independent: if anything too wide.
    error = math.sqrt(sum(r.top1 * (1 - r.top1) for r in (one, other)) / one.data.test_images)
    lead = one.top1 - other.top1
    judged = "beyond" if abs(lead) > 2 * error else "within"
    return (
        f"Tested: {percent(one.top1)} % against the base's {percent(other.top1)} % "
        f"({100 * lead:+.2f} points, {judged} two standard errors of {100 * error:.2f}), with "
        f"{one.params / other.params:.2f} times its parameters and {one.macs / other.macs:.2f} "
        "times its multiply-adds. One seed each."
    )


def _price(found: Found, base: Final) -> str:
    seconds = found.seconds
    return (
        f"The search took {duration(seconds)} of training, {seconds / base.result.seconds:.1f} "
        f"times what training the base took ({duration(base.result.seconds)})."
    )


def markdown(found: Found, title: str, commands: Sequence[str]) -> str:
    """The page: words, tables, the picture, and the commands that repeat it."""
    parts = [f"# {title}", *sentences(found)]
    if found.finals:
        parts += ["## Trained anew", finals_sheet(found).markdown()]
    parts += ["## Best trials", trials_sheet(found).markdown()]
    parts += ["![Best so far, and accuracy against cost](search.png)"]
    return "\n\n".join([*parts, "```\n" + "\n".join(commands) + "\n```"]) + "\n"


def search_png(found: Found) -> bytes:
    """Rewards trial by trial with the best so far, and accuracy against cost with its front.

    The cost is the reward's, or multiply-adds. Imports matplotlib when called.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    numbers = [trial.number for trial in found.trials]
    rewards = [trial.reward or 0.0 for trial in found.trials]
    left.plot(numbers, rewards, "o", color=DOT, alpha=0.5, label="trial")
    left.step(
        numbers, list(accumulate(rewards, max)), where="post", color=LINE, label="best so far"
    )
    left.set_xlabel("trial")
    left.set_ylabel("reward")
    left.legend()
    reward = found.study.reward
    kind = "macs" if reward.kind == "accuracy" else reward.cost
    title, scale = COSTS[kind]
    places = {
        trial: (scale * float(getattr(trial, kind)), 100 * (trial.accuracy or 0.0))
        for trial in found.trials
        if trial.state == "complete"
    }
    points = list(places.values())
    front = pareto(points, cost=lambda point: point[0], worth=lambda point: point[1])
    right.plot(*zip(*points, strict=True), "o", color=DOT, alpha=0.5, label="trial")
    right.plot(*zip(*front, strict=True), "--", color=LINE, label="Pareto front")
    right.plot(*places[best(found.trials)[0]], "*", ms=14, color=BEST, label="highest reward")
    right.xaxis.set_major_formatter(lambda value, _place: tick(value))
    right.set_xlabel(title)
    right.set_ylabel("validation accuracy in percent")
    right.legend()
    return picture(figure, "png")
