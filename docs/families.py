"""Write ``docs/families/``: a page a family, from its docstring, table and ``# Differs:`` lines.

python docs/families.py            write them
python docs/families.py --check    fail if one is stale
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from convnets.catalog import Family, Published
from convnets.models import FAMILIES
from convnets.weights.released import released

FOLDER = Path(__file__).parent / "families"
DIFFERS = re.compile(r"# Differs: (.*(?:\n[ \t]*# .*)*)")


def module_of(family: Family) -> ModuleType:
    """The file that the family is written in."""
    found = inspect.getmodule(family.network)
    assert found is not None
    return found


def differences(module: ModuleType) -> Iterator[str]:
    """Each departure from the paper, as the source states it."""
    for found in DIFFERS.finditer(inspect.getsource(module)):
        yield " ".join(line.strip().removeprefix("# ") for line in found[1].splitlines())


def published(figures: Published | None) -> str:
    """Printed figures and where they are printed."""
    if figures is None:
        return ""
    named = {
        "params": figures.params,
        "MACs": figures.macs,
        "top-1 error": figures.top1_error,
        "top-5 error": figures.top5_error,
    }
    printed = ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)
    return f"{printed} ({figures.source})"


def page(family: Family) -> str:
    """One family's page in Markdown."""
    module = module_of(family)
    title, _, rest = (inspect.getdoc(module) or "").partition("\n\n")
    head = ("Name", "Parameters", "10 classes", "MACs", "at", "Published", "Weights", "Counted in")
    rows = [
        (
            f"`{name}`",
            f"{variant.params:,}",
            f"{variant.params_10:,}",
            f"{variant.macs:,}",
            str(variant.input_size),
            published(variant.published),
            ", ".join(released(name)),
            variant.counted_in,
        )
        for name, variant in family.variants.items()
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))
    notes = [f"- `{name}`: {row.note}" for name, row in family.variants.items() if row.note]
    parts = [
        f"# {family.title}",
        title.replace("\n", " "),
        rest,
        f"Paper: [{family.paper}]({family.url}) ({family.year}). Source: "
        f"`src/{module.__name__.replace('.', '/')}.py`.",
        table,
        "\n".join(notes),
        f'**Small images** (`stem="small"`): {family.small_stem}.',
        "\n".join(["**Differs from the paper:**", "", *(f"- {d}" for d in differences(module))])
        if any(differences(module))
        else "",
        "MACs are multiply-adds of convolutions and matrix products for one image of that size.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def pages() -> dict[Path, str]:
    """Every page by its path, and the list of them."""
    found = {FOLDER / f"{family.name}.md": page(family) for family in FAMILIES}
    entries = [
        f"- [{family.title}]({family.name}.md), {family.year}: {len(family.variants)} networks"
        for family in FAMILIES
    ]
    return {FOLDER / "README.md": "\n".join(["# The families", "", *entries, ""]), **found}


def stale() -> list[Path]:
    """Pages that are not what the code says now, and pages of no family."""
    wanted = pages()
    present = set(FOLDER.glob("*.md"))
    return sorted(
        {path for path, text in wanted.items() if path not in present or path.read_text() != text}
        | (present - wanted.keys())
    )


if __name__ == "__main__":
    if "--check" in sys.argv:
        if old := stale():
            sys.exit(f"{old[0]} is stale: run python docs/families.py")
    else:
        FOLDER.mkdir(exist_ok=True)
        for old in stale():
            old.unlink(missing_ok=True)
        for path, text in pages().items():
            path.write_text(text)
