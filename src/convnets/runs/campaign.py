"""Run a campaign in pieces: what is finished is kept, what fits no piece is shortened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from convnets.analysis.measure import matmul_peak
from convnets.data import ImageSet
from convnets.data.batches import make_batches, normalisation
from convnets.data.subset import spread
from convnets.errors import TrainingFailed, UsageError
from convnets.files import atomic_write, read_json, to_json
from convnets.models import create_model
from convnets.recipes import Recipe, load_recipe, with_changes
from convnets.recipes.campaign import Campaign, Row
from convnets.records import Result, read_results
from convnets.report.campaign import place
from convnets.report.format import plural
from convnets.runs.machine import this_machine
from convnets.runs.observer import Observer
from convnets.runs.plan import Plan, make_plan
from convnets.runs.run import Conduct, train
from convnets.training.engine import Engine
from convnets.training.loop import steps
from convnets.training.state import TrainingState

WARMUP_STEPS, TIMED_STEPS = 3, 8
QUICK_SECONDS = 60.0
SLACK = 0.85
"""Share of a piece that a row may plan for: the rest is for loading, compiling and testing."""


@dataclass(frozen=True)
class Left:
    """A run of a campaign that has no result yet, and why."""

    row: Row
    seed: int
    reason: str


def carry_on(
    campaign: Campaign,
    image_set: ImageSet,
    out: Path,
    *,
    engine: Engine,
    seconds: float | None = None,
    only: Callable[[Row], bool] = lambda row: True,
    epochs: int | None = None,
    changes: Sequence[str] = (),
    conduct: Conduct | None = None,
    observer: Observer | None = None,
) -> list[Left]:
    """Run what is not finished, in order, within ``seconds``; return what is left.

    Results lie in ``out/PROTOCOL-SIZE/RUN``; a row and seed with a result there is finished,
    wherever it was run and however many epochs it was given. Rows that were quick get further seeds
    when all have been run once. A row is timed on a few steps first:
    one that does not fit what is left of this piece is left for the next, one that would fit no
    piece is shortened to one. For a rehearsal ``epochs`` bounds every row, which then has no
    further seeds, and ``changes`` change every recipe, as after ``--set``.
    """
    observer, begun = observer or Observer(), time.monotonic()
    left = []
    for row, seed in _unfinished(campaign, out, only, first_alone=epochs is not None):
        recipe = with_changes(recipe_of(row, epochs), changes)
        try:
            plan = make_plan(row.model, image_set, recipe, seed)
        except UsageError as error:
            left.append(Left(row, seed, str(error)))
            continue
        if seconds is not None:
            remaining = seconds - (time.monotonic() - begun)
            if remaining <= 0:
                left.append(Left(row, seed, "the piece's time was over"))
                continue
            epoch_seconds = measure_epoch(plan, image_set, engine)
            fits, whole = (int(SLACK * span / epoch_seconds) for span in (remaining, seconds))
            if whole < 1:
                left.append(Left(row, seed, f"one epoch takes {epoch_seconds:.0f} s"))
                continue
            wanted = min(recipe.epochs, whole)
            if fits < wanted:
                reason = f"{plural(wanted, 'epoch')} did not fit what was left of the piece"
                left.append(Left(row, seed, reason))
                continue
            if wanted < recipe.epochs:
                observer.note(f"{row.group} {row.model}: {wanted} of {recipe.epochs} epochs")
                recipe = with_changes(recipe, [f"epochs={wanted}"])
        try:
            train(
                row.model,
                image_set,
                recipe,
                seed=seed,
                out=out / row.group,
                engine=engine,
                conduct=conduct,
                observer=observer,
            )
        except TrainingFailed as error:
            observer.failed(plan, error)
            left.append(Left(row, seed, str(error)))
    return left


def recipe_of(row: Row, epochs: int | None = None) -> Recipe:
    """A row's recipe with its stem, size and epochs, at most ``epochs`` of them."""
    count = row.epochs if epochs is None else min(row.epochs, epochs)
    changes = (f"epochs={count}", f"stem={row.stem}", f"input_size={row.size}", *row.changes)
    return with_changes(load_recipe(row.recipe), changes)


def results_of(campaign: Campaign, out: Path) -> dict[tuple[str, str], list[Result]]:
    """The finished runs of each (group, model), ordered by seed; what is not there is not."""
    found: dict[tuple[str, str], list[Result]] = {}
    for group in dict.fromkeys(row.group for row in campaign.rows):
        folder = out / group
        for result in read_results(folder) if any(folder.rglob("result.json")) else []:
            found.setdefault((group, result.model), []).append(result)
    return {key: sorted(runs, key=lambda run: run.seed) for key, runs in found.items()}


def peaks_of(runs: Sequence[Result], out: Path, device: torch.device) -> dict[str, float]:
    """FLOP/s of a large matrix product in each run's place and precision, kept in ``out``.

    Measured for runs that were made on this machine and device; the others' are read.
    """
    path = out / "peaks.json"
    known = read_json(path) if path.exists() else {}
    peaks = {str(where): float(flops) for where, flops in known.items()}
    machine = this_machine()
    for run in runs:
        here = run.machine == machine and run.engine.device == device.type
        if here and place(run) not in peaks:
            peaks[place(run)] = matmul_peak(device, getattr(torch, run.engine.precision))
    atomic_write(path, to_json(peaks) + "\n")
    return peaks


def _unfinished(
    campaign: Campaign, out: Path, only: Callable[[Row], bool], *, first_alone: bool
) -> Iterator[tuple[Row, int]]:
    for further in (False,) if first_alone else (False, True):
        done = results_of(campaign, out)
        for row in filter(only, campaign.rows):
            runs = done.get((row.group, row.model), [])
            seeds = range(row.seeds)
            if further:
                quick = bool(runs) and runs[0].seconds < QUICK_SECONDS
                seeds = range(row.seeds, row.quick_seeds if quick else row.seeds)
            yield from ((row, seed) for seed in seeds if seed not in {run.seed for run in runs})


def measure_epoch(plan: Plan, image_set: ImageSet, engine: Engine) -> float:
    """Seconds that an epoch's training takes here, from a few steps of a network thrown away."""
    recipe = plan.recipe
    network = create_model(
        plan.model,
        num_classes=len(image_set.classes),
        in_chans=image_set.channels,
        stem=plan.stem,
    )
    count = min(len(image_set.train), (WARMUP_STEPS + TIMED_STEPS) * recipe.batch_size)
    mean, deviation = normalisation(image_set.train)
    batches = make_batches(
        spread(image_set.train, count),
        size=plan.input_size,
        batch_size=recipe.batch_size,
        mean=mean,
        deviation=deviation,
        device=engine.device,
        seed=0,
        augmentation=recipe.augmentation,
        training=True,
        channels_last=engine.channels_last,
    )
    state = TrainingState(network, recipe, engine)
    taken = []
    for report in steps(state, batches, recipe, engine):
        if engine.device.type == "cuda":
            torch.cuda.synchronize(engine.device)
        taken.append((time.monotonic(), report.samples))
    warm = min(WARMUP_STEPS, len(taken) - 1)
    if warm < 1 or len(taken) < 2:
        return 0.0
    images = sum(samples for _, samples in taken[warm:])
    return (taken[-1][0] - taken[warm - 1][0]) / images * len(image_set.train)
