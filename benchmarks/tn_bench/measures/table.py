"""The measures as a table for people."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from tn_bench.measures.quality import SUMMARY, Quality, Row


def table(quality: Quality, names: Sequence[str], *, everything: bool) -> Table:
    """Return one row for each measure, one column for each picture.

    Args:
        quality: what was measured.
        names: of the pictures, in their order.
        everything: all measures, not the summary only.
    """
    made = Table("smaller is nearer", box=box.SIMPLE_HEAD, pad_edge=False)
    with_gatys = any(row.gatys is not None for row in quality.rows)
    for name in ["floor", *(["Gatys"] if with_gatys else []), *names]:
        made.add_column(name, justify="right", no_wrap=True)
    for row in quality.rows:
        if everything or row.name in SUMMARY:
            made.add_row(row.name, *(f"{value:.4f}" for value in _values(row)))
    return made


def _values(row: Row) -> list[float]:
    return [row.floor, *([] if row.gatys is None else [row.gatys]), *row.pictures]
