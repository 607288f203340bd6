"""tn-run video: its options and its report.

Heavy imports stay inside the command, so that --help answers at once.
"""

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tn_runtime import console
from tn_runtime.commands.options import JsonOption, ModelArgument, ProviderOption, ThreadsOption
from tn_runtime.commands.style import check_streams, parse_blend
from tn_runtime.commands.texture import parse_rate
from tn_runtime.console import STDOUT
from tn_runtime.errors import RequestError

if TYPE_CHECKING:
    from tn_runtime.commands.video_job import Outcome

CodecChoice = Literal["h264", "h265", "vp9", "av1", "prores", "ffv1"]


def video(
    model: ModelArgument,
    source: Annotated[
        str,
        typer.Argument(
            metavar="VIDEO", help="A video, numbered pictures as in frame_%05d.png, or - for stdin."
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="File: .mp4, .mov, .mkv, .webm, .gif or .webp; numbered pictures; - for raw "
            "frames (Y4M) on stdout.",
        ),
    ],
    codec: Annotated[
        CodecChoice | None,
        typer.Option(help="Codec of the picture. [default: by the suffix]", show_default=False),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(
            help="Constant rate factor: 0 is the best quality, 63 the worst. "
            "[default: of the codec]"
        ),
    ] = None,
    start: Annotated[str, typer.Option(help="Where to begin: seconds, or [H:]MM:SS.")] = "0",
    end: Annotated[str | None, typer.Option(help="Where to end: seconds, or [H:]MM:SS.")] = None,
    frame_rate: Annotated[
        str | None,
        typer.Option(help="Frames per second of numbered pictures, as in 30000/1001."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a video that was interrupted.")
    ] = False,
    blend: Annotated[
        str | None,
        typer.Option(
            metavar="A=0.7,B=0.3",
            help="Styles to mix and their shares, in a model with several styles. A alone "
            "uses only that style. [default: the first style]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise, in models that take one.")] = 0,
    strength: Annotated[
        float, typer.Option(help="0 keeps the video, 1 is the full painting.")
    ] = 1.0,
    keep_colors: Annotated[
        bool, typer.Option("--keep-colors", help="Keep the video's colours, change its brightness.")
    ] = False,
    stroke_scale: Annotated[
        float, typer.Option(help="0.25 to 8: above 1 for broader strokes, below for finer ones.")
    ] = 1.0,
    max_size: Annotated[
        int | None, typer.Option(help="Reduce larger frames to this longest side, pixels.")
    ] = None,
    provider: ProviderOption = "auto",
    threads: ThreadsOption = None,
    json_: JsonOption = False,
) -> None:
    """Stylise a video steadily: only what moves changes, and each shot has one look.

    Sound, subtitles and times are kept. Until it is complete, the picture is in OUT.part.mkv, which
    can be watched; Ctrl-C keeps it, and --resume goes on. Needs the extra `video`.
    """
    check_streams([source], output, json_)
    span = parse_seconds(start, "--start"), parse_seconds(end, "--end") if end else None
    rate = parse_rate(frame_rate) if frame_rate else None
    shares = parse_blend(blend) if blend is not None else None

    from tn_runtime.commands.video_job import VideoJob, run
    from tn_runtime.session import load
    from tn_runtime.stylization import Options

    job = VideoJob(
        Path(source),
        Path(output),
        Options(seed, strength, keep_colors, stroke_scale),
        max_size,
        codec,
        crf,
        rate,
        *span,
        resume,
    )
    job.check()
    loaded = load(model, provider, threads)
    if shares is not None:
        loaded = loaded.blended(shares)
    started = time.perf_counter()
    try:
        outcome = run(job, loaded)
    except KeyboardInterrupt:
        if output != str(STDOUT):
            console.note("what is done is kept; the same command with --resume goes on")
        raise
    report(outcome, output, time.perf_counter() - started, loaded.provider, json_)
    console.announce(loaded, provider)


def parse_seconds(text: str, option: str) -> float:
    """Return the seconds of "S", "M:S" or "H:M:S"; S may have a fraction.

    Raises:
        RequestError: another form.
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?)", text)
    if match is None:
        raise RequestError(f"{option} {text!r} is not a time; give seconds, or MM:SS as in 1:30.5")
    hours, minutes, seconds = (float(each or 0) for each in match.groups())
    return 3600 * hours + 60 * minutes + seconds


def report(outcome: "Outcome", output: str, seconds: float, provider: str, as_json: bool) -> None:
    """Print the one line of output."""
    rate = outcome.painted / seconds
    if as_json:
        facts = {
            "output": output,
            "frames": outcome.frames,
            "painted": outcome.painted,
            "shots": outcome.shots,
            "seconds": round(seconds, 3),
            "provider": provider,
        }
        console.result(json.dumps(facts))
    elif output != str(STDOUT):
        shots = "1 shot" if outcome.shots == 1 else f"{outcome.shots} shots"
        before = outcome.frames - outcome.painted
        kept = f", {before} of them done before" if before else ""
        console.result(
            f"{output}: {outcome.frames} frames{kept}, {shots}: {seconds:.2f} s, "
            f"{rate:.1f} frames/s on {provider.upper()}"
        )
