"""What ``convnets bench --campaign`` does: rows in pieces of time, and the page of what is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convnets.cli import options

if TYPE_CHECKING:
    import torch

    from convnets.data import ImageSet
    from convnets.recipes.campaign import Campaign
    from convnets.runs.campaign import Left
    from convnets.training.engine import Engine


def check_options(
    campaign: str | None, *, rows_own: Mapping[str, object], its_own: Mapping[str, object]
) -> None:
    """Refuse what a campaign's rows settle themselves, and what stands for a campaign alone."""
    from convnets.errors import UsageError

    if wrong := [option for option, value in rows_own.items() if value and campaign]:
        raise UsageError(f"{wrong[0]} does not go with --campaign, whose rows have their own")
    if wrong := [option for option, value in its_own.items() if value and not campaign]:
        raise UsageError(f"{wrong[0]} needs --campaign")


def carry_on(
    name: str,
    image_set: ImageSet,
    out: Path,
    engine: Engine,
    *,
    models: Sequence[str],
    groups: Sequence[str],
    minutes: float | None,
    epochs: int | None,
    changes: Sequence[str],
) -> int:
    """Carry a campaign on for ``minutes``, write its page, and say what is left."""
    from convnets.cli.console import progress_bars, say
    from convnets.cli.following import RunProgress
    from convnets.errors import UnknownName
    from convnets.models import matching
    from convnets.recipes.campaign import CAMPAIGNS
    from convnets.runs import campaign as campaigns
    from convnets.runs.run import Conduct

    if name not in CAMPAIGNS:
        raise UnknownName("campaign", name, CAMPAIGNS)
    chosen = CAMPAIGNS[name]
    names = set(matching(models)) if models else {row.model for row in chosen.rows}
    known = dict.fromkeys(row.group for row in chosen.rows)
    for group in groups:
        if group not in known:
            raise UnknownName("group", group, known)
    asked = set(groups or known)
    with progress_bars() as bars:
        left = campaigns.carry_on(
            chosen,
            image_set,
            out,
            engine=engine,
            seconds=None if minutes is None else 60 * minutes,
            only=lambda row: row.model in names and row.group in asked,
            epochs=epochs,
            changes=changes,
            conduct=Conduct(keep_weights=False, command=options.this_command()),
            observer=RunProgress(bars),
        )
    _write(chosen, out, left, engine.device)
    for each in left:
        say(f"left: {each.row.group} {each.row.model} seed {each.seed}: {each.reason}")
    say(f"campaign: {out / 'campaign.md'}")
    return 0


def _write(chosen: Campaign, out: Path, left: Sequence[Left], device: torch.device) -> None:
    """The campaign's page, and a page, charts and leaderboards for each of its groups."""
    from convnets.cli.report import write
    from convnets.files import atomic_write
    from convnets.report.campaign import Cell, campaign_markdown, compute_png
    from convnets.runs.campaign import peaks_of, results_of

    found = results_of(chosen, out)
    reasons = {(each.row.group, each.row.model): each.reason for each in left}
    cells = [
        Cell(
            group=row.group,
            model=row.model,
            printed=row.printed,
            epochs=row.epochs,
            runs=tuple(found.get((row.group, row.model), ())),
            left=reasons.get((row.group, row.model), "not reached"),
        )
        for row in chosen.rows
    ]
    for group in dict.fromkeys(cell.group for cell in cells):
        results = [run for cell in cells if cell.group == group for run in cell.runs]
        if not results:
            continue
        write(results, out / group, f"{chosen.name}: {group}")
        # AlexNet's own level is the mark, as in the years' tale of efficiency.
        alexnet = [run.top1 for run in results if run.model == "alexnet_owt"]
        if alexnet:
            level = sum(alexnet) / len(alexnet)
            picture = compute_png({group: results}, level, "AlexNet")
            atomic_write(out / group / "compute.png", picture)
    runs = [run for several in found.values() for run in several]
    peaks = peaks_of(runs, out, device)
    text = campaign_markdown(f"The {chosen.name} campaign", chosen.source, cells, peaks)
    atomic_write(out / "campaign.md", text)
