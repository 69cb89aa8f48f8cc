"""Runs as the page shows them: leaderboards with what their charts need, and one run whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from convnets.explorer.listing import Contents, Item
from convnets.report.entries import Entry, comparisons
from convnets.report.format import duration, memory
from convnets.report.leaderboard import columns, front, setting
from convnets.report.verdict import verdict
from convnets.training.per_class import class_scores

SHOWN_DIGITS = 12
FIELDS = ("model", "family", "year", "params", "macs", "top1", "top1_deviation")


def overview(contents: Contents) -> dict[str, Any]:
    """A leaderboard for each data set, what holds weights, and what could not be read."""
    ids = {item.result.run: item.id for item in contents.items.values() if item.result}
    return {
        "comparisons": [_comparison(entries, ids) for entries in comparisons(contents.results)],
        "models": [
            {"id": item.id, "name": item.name, "model": item.result and item.result.model}
            for item in contents.items.values()
            if item.weights
        ],
        "problems": list(contents.problems),
    }


def _comparison(entries: list[Entry], ids: Mapping[str, str]) -> dict[str, Any]:
    rows = [entry.row for entry in entries]
    shown = columns(rows)
    best = front(rows)
    data = entries[0].runs[0].data
    return {
        "data": data.name,
        "classes": len(data.classes),
        "train_images": data.train_images,
        "test_images": data.test_images,
        "setting": setting(rows),
        "verdict": verdict(rows),
        "columns": [{"title": column.title, "numeric": column.numeric} for column in shown],
        "rows": [
            {
                "name": entry.name,
                "colour": entry.colour,
                "front": entry.row in best,
                "cells": [column.show(entry.row) for column in shown],
                "values": [column.value(entry.row) for column in shown],
                "runs": [ids[run.run] for run in entry.runs],
                "curves": [[point.model_dump() for point in run.curve] for run in entry.runs],
                **{field: getattr(entry.row, field) for field in FIELDS},
            }
            for entry in entries
        ],
    }


def detail(item: Item) -> dict[str, Any]:
    """One finished run: its facts, curve, confusion matrix, plan and worst mistakes."""
    assert item.result is not None
    result = item.result
    facts = {
        "Network": f"{result.model}, {result.stem} stem",
        "Recipe": f"{result.recipe}, {result.epochs} epochs, seed {result.seed}",
        "Input": f"{result.input_size}×{result.input_size} pixels",
        "Training": f"{duration(result.seconds)} on {result.engine.device}, "
        f"{result.engine.precision}",
        "Peak memory": memory(result.peak_memory_bytes),
        "Machine": result.machine.accelerator or result.machine.processor,
        "Weights": f"SHA-256 {result.weights_sha256[:SHOWN_DIGITS]}…",
    }
    return {
        "id": item.id,
        "name": item.name,
        "model": result.model,
        "has_weights": item.weights is not None,
        "top1": result.top1,
        "top5": result.top5,
        "params": result.params,
        "macs": result.macs,
        "facts": facts,
        "classes": list(result.data.classes),
        "scores": [asdict(score) for score in class_scores(result.confusion)],
        "confusion": [list(row) for row in result.confusion],
        "curve": [point.model_dump() for point in result.curve],
        "mistakes": [mistake.model_dump() for mistake in result.mistakes],
        "plan": result.plan,
        "command": result.command,
    }
