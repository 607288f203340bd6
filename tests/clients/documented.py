"""The programs of docs/clients.md, by the file name that stands beside their language."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/clients.md"


def programs() -> dict[str, str]:
    """Return the text of each program."""
    return dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S))
