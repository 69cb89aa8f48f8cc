"""What compound scaling shows: the networks of a table, and a grid search's page and chart."""

from __future__ import annotations

from collections.abc import Sequence

from convnets.report.comparison import Point, accuracy_against, picture
from convnets.report.format import count, memory, percent, plural, tick
from convnets.report.sheet import Sheet
from convnets.report.tables import Cell
from convnets.search.grid import GridSearch, Trial
from convnets.search.scaling import Scaled

BASE, CHOSEN, OTHER = "#767b86", "#f58518", "#4c78a8"


def networks_sheet(networks: Sequence[Scaled]) -> Sheet:
    """A network a row: its multipliers, its cost, and that cost over the base beside 2^phi."""
    columns: list[Cell] = [("phi", True), ("Depth", True), ("Width", True), ("Resolution", True)]
    columns += [("Input", True), ("Params", True), ("MACs", True), ("Kept to train", True)]
    columns += [("MACs / base", True), ("2^phi", True), ("Network", False)]
    body = [
        (
            None if each.phi is None else f"{each.phi:g}",
            *(f"{factor:.3g}" for factor in (each.depth, each.width, each.resolution)),
            f"{each.input_size} px",
            count(each.params),
            count(each.macs),
            memory(each.kept_bytes),
            f"{each.times:.2f}",
            None if each.phi is None else f"{2**each.phi:.2f}",
            each.model,
        )
        for each in networks
    ]
    return Sheet(columns, body, "depth, width, resolution: times the base's; one image, float32")


def trials_sheet(found: GridSearch) -> Sheet:
    """The grid by validation accuracy, and the base that was trained beside it."""
    columns: list[Cell] = [("Rank", True), ("alpha", True), ("beta", True), ("gamma", True)]
    columns += [("Product", True), ("Validation top-1 %", True), ("Input", True)]
    columns += [("Params", True), ("MACs", True), ("MACs / base", True), ("Network", False)]
    body = [(place, *_cells(trial)) for place, trial in enumerate(found.trials, start=1)]
    if found.base is not None:
        body.append(("base", *_cells(found.base)))
    images = found.results[0].data.test_images
    seeds = plural(len(found.best.accuracies), "seed")
    return Sheet(columns, body, f"{images:,} validation images, {seeds}")


def _cells(trial: Trial) -> list[object]:
    constants, network = trial.constants, trial.network
    return [
        *([None] * 4 if constants is None else _constants(trial)),
        percent(trial.accuracy, trial.deviation),
        f"{network.input_size} px",
        count(network.params),
        count(network.macs),
        f"{network.times:.2f}",
        network.model,
    ]


def _constants(trial: Trial) -> list[str]:
    assert trial.constants is not None
    each = trial.constants
    return [*(f"{value:g}" for value in (each.alpha, each.beta, each.gamma)), f"{each.product:.3f}"]


def sentences(found: GridSearch) -> list[str]:
    """What was chosen, what twice the multiply-adds gave, and how sure that is."""
    best = found.best
    alpha, beta, gamma, _ = _constants(best)
    said = [
        f"Chosen: alpha {alpha}, beta {beta}, gamma {gamma}, "
        f"with {percent(best.accuracy, best.deviation)} % of the validation images."
    ]
    if found.base is not None:
        gain = 100 * (best.accuracy - found.base.accuracy)
        said.append(
            f"That is {gain:+.2f} points on the base, at {best.network.times:.2f}x its MACs."
        )
    said.append(f"Chance alone moves an accuracy by {100 * found.chance:.2f} points (one sigma).")
    if found.rivals:
        said.append(
            f"{len(found.rivals)} of the other {len(found.trials) - 1} cannot be told from the "
            "best by so many images and seeds: they are within two sigma of the difference."
        )
    if found.left_out:
        each = "; ".join(f"{each} at {network.times:.2f}x" for each, network in found.left_out)
        said.append(f"Left out, over the MACs allowed (alpha, beta, gamma): {each}.")
    return said


def grid_markdown(found: GridSearch, title: str, command: str) -> str:
    """The page of a grid search: its verdict, its trials, its chart, and the networks it gives."""
    run = found.results[0]
    machine = run.machine
    parts = [
        f"# {title}",
        "Tan and Le 2019 (arXiv:1905.11946), Section 3.3: with phi = 1, every alpha, beta and "
        "gamma whose alpha * beta^2 * gamma^2 is near 2. Judged on images held out of the training "
        "split; the test split was not looked at.",
        " ".join(sentences(found)),
        f"{run.data.name}: {run.data.train_images:,} training images, "
        f"{plural(run.epochs, 'epoch')} of `{run.recipe}`, {run.stem} stem.",
        trials_sheet(found).markdown(),
        "![Validation accuracy against multiply-adds](scaling.png)",
    ]
    if found.failures:
        parts.append("\n".join(f"- failed: {name}: {error}" for name, error in found.failures))
    parts += [
        "## The networks that the chosen constants give",
        networks_sheet(found.networks).markdown(),
        f"```\n{command}\n```",
        f"On {machine.accelerator or machine.processor}, {plural(machine.cores, 'core')}, "
        f"torch {machine.versions.get('torch', 'unknown')}.",
    ]
    return "\n\n".join(parts) + "\n"


def grid_chart(found: GridSearch) -> bytes:
    """Validation accuracy against multiply-adds as PNG, the constants beside each disc."""
    trials = [*found.trials, *([found.base] if found.base is not None else [])]
    points = [
        Point(
            "base" if trial.constants is None else str(trial.constants),
            trial.network.macs,
            100 * trial.accuracy,
            trial.network.params,
            BASE if trial.constants is None else CHOSEN if trial is found.best else OTHER,
        )
        for trial in trials
    ]
    # Discs stand close at phi = 1: a quarter of the usual area leaves their names readable.
    largest = 4 * max(point.params for point in points)
    cost, accuracy = "multiply-adds an image", "validation top-1 accuracy in percent"
    figure = accuracy_against(points, cost, accuracy, log=False, largest=largest)
    figure.axes[0].xaxis.set_major_formatter(lambda value, _place: tick(value))
    return picture(figure, "png")
