"""Put the verdict and the figures of a run into the README, between its two marks.

python benchmarks/lab/figures.py benchmarks/results README.md
"""

from pathlib import Path

import typer

from tn_bench.machine import describe
from tn_bench.report.glance import table
from tn_bench.report.page import markdown_table, notices
from tn_bench.report.verdict import claims
from tn_bench.results import load
from tn_runtime.console import run
from tn_runtime.errors import RequestError
from tn_runtime.files import atomic

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"

app = typer.Typer(add_completion=False)


@app.command()
def put(folder: Path, readme: Path) -> None:
    """Replace what stands between the marks."""
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise RequestError(f"{readme} has no marks {BEGIN} and {END}: write them where figures go")
    results = load(folder)
    words = [
        f"On {describe(results.machine)}; `{results.command}`, commit {results.commit}.",
        *notices(results),
    ]
    verdict = [
        f"- **{each.title}: {each.figure}.** {_sentence(each.text)}" for each in claims(results)
    ]
    figures = markdown_table(table(results))
    block = "\n\n".join([BEGIN, "\n".join(verdict), " ".join(words), figures, END])
    with atomic(readme) as temporary:
        temporary.write_text(before + block + after, encoding="utf-8")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


if __name__ == "__main__":
    run(app)
