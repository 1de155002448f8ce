"""The table of all settings in docs/server.md. `python -m tests.server.settings_table` writes it anew."""

import re
from pathlib import Path

from supercompat.server.serve import shown_default
from supercompat.server.settings import SETTINGS

PAGE = Path(__file__).parents[2] / "docs" / "server.md"
_PLACE = re.compile(r"(?<=<!-- settings:begin -->\n).*(?=<!-- settings:end -->)", re.DOTALL)


def table() -> str:
    rows = [f"| `{each.name}` | `{shown_default(each)}` | {each.help} |\n" for each in SETTINGS]
    return "".join(["| Setting | Default | Meaning |\n", "| --- | --- | --- |\n", *rows])


def written() -> str:
    """What the page has there."""
    found = _PLACE.search(PAGE.read_text(encoding="utf-8"))
    assert found
    return found[0]


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_PLACE.sub(lambda _: table(), page), encoding="utf-8")
