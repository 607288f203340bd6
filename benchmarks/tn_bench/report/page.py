"""From folders of results to the files of a report."""

import base64
import dataclasses
import importlib
import io
import statistics
from collections.abc import Sequence
from pathlib import Path

import jinja2

from tn_bench.machine import describe
from tn_bench.report import comparison, glance, verdict, words
from tn_bench.report.plots import DARK, LIGHT, standalone
from tn_bench.report.view import Picture, Report, Section, Sheet, Table
from tn_bench.results import PICTURES, Outcome, Results, load
from tn_bench.suites import NAMES, suite
from tn_runtime.files import atomic
from tn_runtime.pictures import Rows, encode, read

BUSY = 0.1
"""Share of the processor taken by others, above which a report warns."""
QUALITY = 85
"""Quality of the JPEG pictures in the page. With 95 a picture takes 1.5 to 1.9 times the bytes."""
TITLE = "Texture networks against Gatys et al. and PyTorch"


def write(folders: Sequence[Path], output: Path) -> list[Path]:
    """Write the page, the summary in Markdown and the plots that it shows; return their paths.

    Raises:
        RequestError: a folder holds no sound results.
        OSError: a file cannot be written.
    """
    runs = [load(folder) for folder in folders]
    plots = output.with_name(f"{output.stem}_plots")
    made = build(runs, folders)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["table"] = markdown_table
    context = {"report": made, "light": LIGHT, "dark": DARK, "plots": plots.name}
    files = {output: "page.html.j2", output.with_suffix(".md"): "summary.md.j2"}
    for path, template in files.items():
        text = environment.get_template(template).render(context)
        _write(path, text if template.endswith("html.j2") else _tidy(text))
    plots.mkdir(exist_ok=True)
    drawn = {f"{each.name}.svg": each for section in made.sections for each in section.plots}
    for stale in set(plots.glob("*.svg")) - {plots / name for name in drawn}:
        stale.unlink()
    for name, each in drawn.items():
        _write(plots / name, standalone(each.wide))
    return [*files, plots]


def build(runs: Sequence[Results], folders: Sequence[Path]) -> Report:
    """Return what is shown: the first run in full, the others compared with it."""
    results, folder = runs[0], folders[0]
    claims = verdict.claims(results)
    sections = [_section(name, results, folder) for name in NAMES]
    if glance.table(results).rows:
        sections.insert(0, glance.section(results))
    if len(runs) > 1:
        sections.insert(0, comparison.section(runs, [each.name for each in folders]))
    return Report(
        title=TITLE,
        claims=claims,
        notices=notices(results),
        sections=sections,
        facts=_facts(results),
    )


def notices(results: Results) -> list[str]:
    """Return what must be known before the figures are believed."""
    made = []
    if results.quick:
        made.append(
            "A quick run: few sizes, few repetitions, short optimisations and trainings. The full "
            "one is tn-bench run without --quick."
        )
    shares = [each.others for each in results.outcomes if each.done]
    if shares and statistics.median(shares) > BUSY:
        made.append(
            f"The machine was busy: other processes took {statistics.median(shares):.0%} of the "
            "processor (median over the cases). Times are longer than on an idle machine; ratios "
            "of variants that take turns hold better."
        )
    failed = [each for each in results.outcomes if each.failure]
    if failed:
        made.append(f"{words.counted(len(failed), 'case')} failed; see the sections.")
    return made


def _facts(results: Results) -> list[tuple[str, str]]:
    seconds = sum(each.seconds for each in results.outcomes)
    versions = ", ".join(f"{name} {version}" for name, version in results.machine.versions.items())
    return [
        ("Machine", describe(results.machine)),
        ("Device", results.device),
        ("Versions", f"texture-networks {results.version}, {versions}"),
        ("Commit", results.commit or "not from a clone"),
        ("Begun", f"{results.started}, {words.duration(seconds)} of measuring"),
        ("Command", results.command),
    ]


def _section(name: str, results: Results, folder: Path) -> Section:
    shown, measured = importlib.import_module(f"tn_bench.report.{name}"), suite(name)
    quick = " --quick" if results.quick else ""
    return Section(
        name=name,
        title=measured.TITLE,
        findings=list(shown.findings(results)),
        notices=_states(name, results),
        tables=list(shown.tables(results)),
        plots=list(shown.plots(results)),
        sheets=[sheet for each in results.of(name) if (sheet := _sheet(each, folder))],
        how=measured.HOW,
        command=f"tn-bench run {name}{quick} --device {results.device} -o DIR",
    )


def _states(name: str, results: Results) -> list[str]:
    """Return what keeps a suite from being whole."""
    if name not in results.planned:
        return ["Not measured: this run left the suite out."]
    outcomes = results.of(name)
    states = [f"Failed: {each.case}: {each.failure}." for each in outcomes if each.failure]
    reasons = dict.fromkeys(each.skipped for each in outcomes if each.skipped)
    for reason in reasons:
        cases = words.joined([each.case for each in outcomes if each.skipped == reason])
        states.append(f"Skipped: {cases}: {reason}.")
    missing = results.planned[name] - len(outcomes)
    if missing > 0:
        states.append(
            f"Unfinished: {missing} of {results.planned[name]} cases are not measured yet; the "
            "same command goes on."
        )
    return states


def _sheet(outcome: Outcome, folder: Path) -> Sheet | None:
    pictures = [
        Picture(caption, file, _data_uri(folder / PICTURES / file))
        for caption, file in outcome.pictures.items()
        if (folder / PICTURES / file).exists()
    ]
    return Sheet(outcome.case, pictures) if pictures else None


def _data_uri(path: Path) -> str:
    stream = io.BytesIO()
    encode(stream, ".jpg", dataclasses.replace(Rows.of_array(read(path).srgb()), quality=QUALITY))
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def markdown_table(table: Table) -> str:
    """Return a table in Markdown, without its caption."""
    rows = [
        list(table.columns),
        ["---"] * len(table.columns),
        *([str(cell).replace("|", "\\|") for cell in row] for row in table.rows),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _tidy(text: str) -> str:
    """Return Markdown without runs of empty lines."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() or (lines and lines[-1]):
            lines.append(line.rstrip())
    return "\n".join(lines).strip() + "\n"


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
