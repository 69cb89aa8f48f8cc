"""The tables of recipes hold every recipe, and every value with the source that is its own."""

from __future__ import annotations

import pytest
from rich.console import Console

from convnets.recipes import RECIPES, load_recipe
from convnets.report.protocols import KINDS, kind, recipe_table, recipes_table, written
from convnets.report.rates import rate_chart, rate_table


def shown(content: object) -> list[str]:
    console = Console(width=300)
    with console.capture() as captured:
        console.print(content)
    return captured.get().splitlines()


def test_the_list_has_each_recipe_once_under_its_kind_by_year() -> None:
    records = [recipe.model_dump(mode="json") for recipe in RECIPES]
    names = [line.split()[0] for line in shown(recipes_table(records)) if line.split()]
    assert sorted(n for n in names if n in {r.name for r in RECIPES}) == sorted(
        r.name for r in RECIPES
    )
    years = [r["year"] or 0 for r in records if kind(r) == "large images"]
    listed = [n for n in names if n in {r["name"] for r in records if kind(r) == "large images"}]
    assert [load_recipe(name).year for name in listed] == sorted(years)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("baseline", "comparison"),
        ("finetune", "transfer"),
        ("linear-probe", "transfer"),
        ("rsb-a3", "large images"),
        ("rsb-a3-small", "small images"),
        ("capsnet-2017", "small images"),
        ("resnet-cifar", "small images"),
    ],
)
def test_kinds(name: str, expected: str) -> None:
    assert kind(load_recipe(name).model_dump()) == expected
    assert expected in KINDS


def test_a_value_stands_beside_its_own_source() -> None:
    lines = shown(recipe_table(load_recipe("rsb-a2").model_dump(mode="json")))
    (rate,) = [line for line in lines if "optimizer.lr " in line]
    assert "0.005" in rate
    assert "Table 2: 5e-3" in rate
    assert not any("ema_decay" in line for line in lines), "off, and no source speaks of it"
    (reduced,) = [line for line in lines if "label_smoothing" in line]
    assert "default" in reduced


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0666666667, "0.06667"),
        ([0.9, 0.999], "0.9, 0.999"),
        (True, "yes"),
        (None, "–"),
        (128, "128"),
        ("auto", "auto"),
        (1e-6, "1e-06"),
    ],
)
def test_values_are_written_for_people(value: object, text: str) -> None:
    assert written(value) == text


def test_a_range_test_says_what_to_try() -> None:
    test = {
        "model": "lenet5",
        "recipe": "baseline",
        "own_rate": 1e-3,
        "rates": [1e-4, 1e-3, 1e-2],
        "losses": [2.3, 1.0, 4.0],
        "smoothed": [2.3, 1.2, 4.0],
        "steepest": 1.04e-3,
        "tenth": 1e-4,
        "stopped": None,
    }
    text = "\n".join(shown(rate_table(test)))
    assert "--set optimizer.lr=0.001" in text
    assert "lowest 1.200" in text
    assert rate_chart(test).startswith(b"\x89PNG")
    flat = {**test, "steepest": None, "tenth": None, "stopped": "at 1 the loss was 4 times"}
    assert "more steps" in "\n".join(shown(rate_table(flat)))
    assert rate_chart(flat).startswith(b"\x89PNG")
