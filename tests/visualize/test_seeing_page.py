"""docs/seeing.md has the pictures and the figures that docs/seeing.py and results/ give."""

from __future__ import annotations

import importlib.util
import json
import re
import statistics
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "seeing.md").read_text("utf-8")


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    specification = importlib.util.spec_from_file_location("seeing", ROOT / "docs" / "seeing.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["seeing"] = module  # where a dataclass looks for its module
    specification.loader.exec_module(module)
    return module


def test_the_page_is_not_stale(maker: ModuleType) -> None:
    assert maker.filled(TEXT) == TEXT, "run python docs/seeing.py"
    assert sorted(name for _, name, _ in maker.PART.findall(TEXT)) == sorted(maker.PARTS)


def test_its_pictures_are_there_and_small() -> None:
    shown = re.findall(r"!\[.*?\]\((.*?)\)", TEXT)
    assert sorted(shown) == sorted(f"seeing/{p.name}" for p in (ROOT / "docs/seeing").iterdir())
    for name in shown:
        path = ROOT / "docs" / name
        assert path.stat().st_size < 150_000
        with Image.open(path) as picture:
            picture.verify()
            assert picture.format == "PNG"


def test_what_it_says_of_methods_is_what_was_measured() -> None:
    for path in (ROOT / "results" / "seeing").glob("methods-*.json"):
        record = json.loads(path.read_text("utf-8"))
        assert record["images"] >= 100
        for name, runs in record["methods"].items():
            (row,) = (line for line in _part(path.stem) if line.startswith(f"| {name} |"))
            for kind, cell in zip(
                ("deletion", "insertion", "randomisation"), row.split("|")[2:-1], strict=True
            ):
                values = [run[kind]["value"] for run in runs]
                if kind == "deletion":
                    passed = [run[kind]["value"] < min(run[kind]["random"]) for run in runs]
                elif kind == "insertion":
                    passed = [run[kind]["value"] > max(run[kind]["random"]) for run in runs]
                else:
                    ends = [list(run[kind]["by layer"].values())[-1] for run in runs]
                    passed = [max(pair) < 0.5 for pair in zip(values, ends, strict=True)]
                assert cell.split()[0] == f"{statistics.mean(values):.2f}"
                assert cell.split(",")[1].strip() == f"{sum(passed)} of {len(runs)}"


def _part(name: str) -> list[str]:
    return TEXT.partition(f"<!-- {name} -->")[2].partition("<!-- end -->")[0].splitlines()
