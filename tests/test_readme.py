"""README's generated parts and the families' pages are those that the code and results/ give."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def script(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    return script("readme")


def test_family_pages_are_not_stale() -> None:
    assert script("families").stale() == [], "run python docs/families.py"


def test_pages_are_not_stale(maker: ModuleType) -> None:
    for page in maker.PAGES:
        text = page.read_text("utf-8")
        assert maker.filled(text) == text, "run python docs/readme.py"


def test_every_generated_part_stands_on_a_page_once(maker: ModuleType) -> None:
    text = "".join(page.read_text("utf-8") for page in maker.PAGES)
    assert sorted(name for _, name, _ in maker.PART.findall(text)) == sorted(maker.PARTS)


def test_readme_says_what_the_results_say() -> None:
    """Independent of the maker: the best row's accuracy, read with nothing but json."""
    import json

    text = (ROOT / "README.md").read_text("utf-8")
    for folder in ("cifar10-jpeg-3-epochs", "mnist-lenet5"):
        rows = json.loads((ROOT / "results" / folder / "leaderboard.json").read_text("utf-8"))
        for row in rows:
            assert f"{row['top1'] * 100:.2f}" in text, row["model"]
