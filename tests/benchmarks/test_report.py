"""The report says what was measured, what was not, and is one page that needs nothing else."""

import re
import shutil

import pytest

from tn_bench.machine import fingerprint
from tn_bench.report import words
from tn_bench.report.comparison import pairs
from tn_bench.report.page import write
from tn_bench.results import SCHEMA, Outcome, Results, save
from tn_bench.suites.case import measurement

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
TEXTURE = {"model": "moss", "kind": "texture"}


def gatys(loss: float) -> Outcome:
    facts = TEXTURE | {"size": 256}
    seconds = [0.1 * (step + 1) for step in range(50)]
    losses = [1 / (step + 1) for step in range(50)]
    figures = [
        measurement("gatys seconds", "s", seconds, **facts),
        measurement("gatys loss", "", losses, **facts),
        measurement("gatys snapshot seconds", "s", seconds[::10], **facts),
        measurement("latency", "s", [0.01, 0.01, 0.01], side="generator", **facts),
        measurement("training", "s", [600], **facts),
        measurement("loss", "", [loss] * 8, side="generator", **facts),
        measurement("loss", "", losses[::10], side="gatys", **facts),
        measurement("loss of all octaves", "", [loss] * 8, side="generator", **facts),
        measurement("loss of all octaves", "", losses[::10], side="gatys", **facts),
        measurement("memory", "MB", [120], side="generator", **facts),
        measurement("memory", "MB", [900], side="gatys", **facts),
    ]
    return Outcome("gatys", "moss, 256 px", 1.0, 0.0, tuple(figures))


def latency(seconds: float) -> list[Outcome]:
    outcomes = []
    for size in (256, 512):
        figures = []
        for variant, factor in (("program", 1), ("eager", 2)):
            facts = {"size": size, "batch": 1, "threads": 2, "variant": variant, "round": 0}
            values = [seconds * factor * each for each in (0.99, 1, 1.01)]
            figures.append(measurement("latency", "s", values, **TEXTURE, **facts))
            figures.append(measurement("memory", "MB", [100 * factor], **TEXTURE, **facts))
        outcomes.append(Outcome("latency", f"moss, {size} px", 1.0, 0.0, tuple(figures)))
    return outcomes


@pytest.fixture
def folder(tmp_path):
    def make(name="run", loss=0.1, seconds=0.01, planned=None, more=()):
        results = Results(
            schema=SCHEMA,
            version="1.0",
            commit="abc",
            started="2026-01-01T00:00:00+00:00",
            command="tn-bench run --quick -o run",
            quick=True,
            device="cpu",
            subjects=(),
            planned=planned or {"gatys": 1, "latency": 2, "scaling": 3, "parity": 1},
            machine=fingerprint(),
            outcomes=(gatys(loss), *latency(seconds), *more),
        )
        (tmp_path / name).mkdir(exist_ok=True)
        save(results, tmp_path / name)
        return tmp_path / name

    return make


def written(folders, tmp_path):
    page, summary, plots = write(folders, tmp_path / "report.html")
    return page.read_text(), summary.read_text(), plots


def test_the_verdict_is_that_of_the_figures(folder, tmp_path):
    """Gatys has a loss of 0.1 after ten steps, 1 s, a hundred samples; and ends at 0.02."""
    page, summary, plots = written([folder(loss=0.1)], tmp_path)
    assert "**Speed: 100×.**" in summary
    assert "**Quality: 5.0×.** After 50 evaluations Gatys' pictures are nearer" in summary
    assert "**Memory: 120 MB.**" in summary
    assert "PyTorch eager takes 2.0× as long" in summary
    assert "606 samples" in summary  # 600 s of training over 0.99 s saved
    for text in (page, summary):
        assert "A quick run" in text
    names = sorted(path.name for path in plots.iterdir())
    assert names == [
        "gatys-moss-256-px-octaves.svg",
        "gatys-moss-256-px-own.svg",
        "latency-moss-latency.svg",
        "latency-moss-memory.svg",
    ]
    assert all(f"report_plots/{name}" in summary for name in names)


def test_a_better_generator_is_said_to_be_better(folder, tmp_path):
    _, summary, _ = written([folder(loss=0.001)], tmp_path)
    assert "**Speed: &gt; 500×" in summary or "**Speed: > 500×" in summary
    assert "the generator's pictures are nearer" in summary
    assert "not reached" in summary


def test_a_finding_about_all_comparisons_names_none(folder, tmp_path):
    _, summary, _ = written([folder(more=[gatys(0.1)])], tmp_path)
    assert "Under their own loss, Gatys' pictures end nearer than the generator's: all 2" in summary


def test_the_seam_of_windows_is_not_shown(folder, tmp_path):
    figures = [
        measurement(name, "", [value], side=side, **TEXTURE)
        for name in ("repetition", "seam")
        for side, value in (("floor", 0.2), ("generator", 0.1))
    ]
    more = [Outcome("quality", "moss", 1.0, 0.0, tuple(figures))]
    _, summary, _ = written([folder(more=more, planned={"quality": 1})], tmp_path)
    assert "moss: 1 of 1 measures are at or below their floor" in summary
    assert "| repetition |" in summary
    assert "| seam |" not in summary


def test_what_is_missing_is_said_and_never_a_zero(folder, tmp_path):
    more = [
        Outcome("parity", "moss, CUDA", 0.0, 0.0, skipped="no GPU <here>"),
        Outcome("scaling", "moss, 1024 px", 0.0, 0.0, failure="MemoryError: out"),
    ]
    page, summary, _ = written([folder(more=more)], tmp_path)
    for line in (
        "Failed: moss, 1024 px: MemoryError: out.",
        "Unfinished: 2 of 3 cases are not measured yet",
        "Not measured: this run left the suite out.",
        "1 case failed",
    ):
        assert line in page
        assert line in summary
    assert "Skipped: moss, CUDA: no GPU &lt;here&gt;." in page
    figures = re.findall(r"(?<=[|(] )0(?:\.0+)?(?: ms| s| MB|%|×)? (?=[|(])", summary)
    assert figures == []


def test_two_folders_are_compared(folder, tmp_path):
    folders = [folder("before"), folder("after", loss=0.101, seconds=0.005)]
    _, summary, _ = written(folders, tmp_path)
    assert "## Comparison" in summary
    assert re.search(r"latency: latency \(.*\) \| 10 ms.* \| 5.0 ms.* \| 0.50× \| better", summary)
    assert "loss of all octaves" not in summary.partition("## Against")[0]  # 1% is noise


def test_within_noise(folder):
    from tn_bench.results import load

    one, other = load(folder("one")), load(folder("two", seconds=0.0101))
    verdicts = {pair.key[1]: pair.verdict[0] for pair in pairs(one, other)}
    assert set(verdicts.values()) == {"within noise"}
    assert "gatys seconds" not in verdicts


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0042, "4.2 ms"), (0.048, "48 ms"), (1.2, "1.20 s"), (34, "34 s"), (125, "2 min 05 s")],
)
def test_durations(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.02, "0.0200"), (1234.5, "1,234"), (0, "0"), (2e-6, "2.0e-06")]
)
def test_numbers(value, text):
    assert words.number(value) == text


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, or any other that is installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    flags = ["--no-sandbox", "--disable-gpu"]
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=CHROMIUM, args=flags) as browser,
    ):
        yield browser


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(folder, tmp_path, browser, width, scheme):
    more = [Outcome("parity", "a case whose name is " + "long" * 30, 0.0, 0.0, skipped="so" * 90)]
    write([folder(), folder("other", seconds=0.02, more=more)][::-1], tmp_path / "report.html")
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    address = (tmp_path / "report.html").as_uri()
    page.goto(address)
    assert page.locator("svg").count() == 8
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(background.split("(")[1].split(",")[0]) > 128) == (scheme == "light")
    assert complaints == []
    assert [each for each in requests if not each.startswith("data:")] == [address]
    page.close()
