"""The endpoints: the page, the models, tiles, tileable pictures, and photos in a style.

There is no state but caches. Everything that a request can make large is bounded.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BeforeValidator
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import Scope

from tn_runtime.errors import ModelError, TextureNetworksError
from tn_runtime.pictures import Rows, encode
from tn_runtime.pixels import Samples
from tn_runtime.providers import ProviderChoice
from tn_runtime.requests import check_kind
from tn_runtime.serve import tiles, uploads
from tn_runtime.serve.cache import Cache
from tn_runtime.serve.models import Card, NamedModels
from tn_runtime.serve.work import Gate, read_body
from tn_runtime.session import Model
from tn_runtime.stylization import stylize
from tn_runtime.swatches import PHOTO, swatch
from tn_runtime.synthesis import synthesize
from tn_runtime.version import __version__

PAGE = Path(__file__).parent / "page"

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",
}
"""Of the page's files, by suffix."""

AT_ONCE = 2
"""Requests that compute at a time; ONNX Runtime uses all cores for each."""
WAITING = 64
CACHED_BYTES = 64 * 2**20
"""Of pictures that are kept; a tile has up to 200 kB."""

MAX_UPLOAD = 40 * 10**6
"""Bytes of a photo's file."""
UPLOAD_SECONDS = 60.0
UPLOADS_AT_ONCE = 4
"""Photos that are in memory at a time."""
TILEABLE = (64, 2048)
"""Pixels, the smallest and the largest side of a tileable picture."""

LOCAL_NAMES = ["127.0.0.1", "localhost"]
"""What a page on this machine calls the server. Other names lead here if a stranger's site makes
its own name point to this machine, to read what the server says."""


def _plain(text: object) -> object:
    if isinstance(text, str) and not re.fullmatch(r"0|-?[1-9][0-9]{0,18}", text):
        raise ValueError("not a plain whole number of 64 bits")
    return text


PLAIN = BeforeValidator(_plain)
ModelName = Annotated[str, PathParameter(description="A name that /models lists.")]
Seed = Annotated[int, PathParameter(description="Number of the plane, int64."), PLAIN]
Place = Annotated[int, PathParameter(description="Number of the tile, of any sign."), PLAIN]
Zoom = Annotated[
    int,
    PathParameter(ge=0, le=tiles.MAX_ZOOM, description="A pixel averages 2^z x 2^z."),
    PLAIN,
]
Size = Annotated[int, Query(ge=TILEABLE[0], le=TILEABLE[1], description="Pixels."), PLAIN]

KNOWN: dict[int | str, dict[str, Any]] = {
    304: {"description": "The client has it already, by its ETag."},
    404: {"description": "No model has that name."},
    503: {"description": "Too many requests wait; try again."},
}
"""What pictures may be answered with, beside the picture."""
A_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}, **KNOWN}
A_WEBP: dict[int | str, dict[str, Any]] = {200: {"content": {"image/webp": {}}}, **KNOWN}
A_FILE = {"requestBody": {"required": True, "content": {"image/*": {}}}}


def create_app(provider: ProviderChoice = "auto", names: list[str] | None = None) -> FastAPI:
    """Return the application.

    Args:
        provider: see `load`.
        names: host names that it answers to, ["*"] for all; None for those of this machine.
    """
    app = FastAPI(
        title="texture-networks",
        version=__version__,
        summary="Endless textures as XYZ tiles, tileable pictures, and photos in a style.",
        docs_url=None,  # FastAPI's own pages load scripts from other servers
        redoc_url=None,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=names or LOCAL_NAMES)
    app.add_exception_handler(TextureNetworksError, _refused)
    app.add_exception_handler(MemoryError, _exhausted)
    studio = Studio(NamedModels(provider), Gate(AT_ONCE, WAITING), Cache(CACHED_BYTES))
    _add_models(app, studio)
    _add_textures(app, studio)
    _add_photos(app, studio)
    app.mount("/", PageFiles(directory=PAGE, html=True), name="page")
    return app


class PageFiles(StaticFiles):
    """The page's own files."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, which the browser keeps and asks for anew.

        The system's table of media types is not asked: Windows may say that scripts are text, and
        browsers then refuse them.
        """
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        if isinstance(response, FileResponse):
            suffix = Path(response.path).suffix
            response.headers["content-type"] = MEDIA_TYPES.get(suffix, MEDIA_TYPES[""])
        return response


@dataclass(frozen=True)
class Studio:
    """What the endpoints share."""

    models: NamedModels
    gate: Gate
    cache: Cache

    async def model(self, name: str) -> Model:
        """Return a model by its name.

        Raises:
            HTTPException: there is none.
            ModelError: its file is not sound.
        """
        try:
            return await run_in_threadpool(self.models.get, name)
        except KeyError as error:
            raise HTTPException(404, f"no model is named {name!r}; /models lists them") from error

    async def answer(
        self, request: Request, tag: str, media_type: str, make: Callable[[], bytes]
    ) -> Response:
        """Return a picture, made unless the client or the cache has it.

        Args:
            request: the client's.
            tag: says all that the picture depends on.
            media_type: of the picture.
            make: makes its file.
        """
        headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}  # kept, but asked for anew
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        picture = self.cache.get(tag)
        if picture is None:
            picture = await self.gate.run(request, make)
            self.cache.put(tag, picture)
        return Response(picture, media_type=media_type, headers=headers)


def _add_models(app: FastAPI, studio: Studio) -> None:
    @app.get("/models", tags=["models"])
    async def list_models(request: Request) -> list[Card]:
        """List the models; those whose files are damaged are left out."""
        return await studio.gate.run(request, studio.models.cards)

    @app.get("/models/{model}.onnx", tags=["models"], response_class=FileResponse)
    async def model_file(model: ModelName) -> FileResponse:
        """Return a model file, which ONNX Runtime runs in any language."""
        path = (await studio.model(model)).path
        return FileResponse(path, media_type="application/octet-stream", filename=f"{model}.onnx")

    @app.get("/swatches/{model}.webp", tags=["models"], response_class=Response, responses=A_WEBP)
    async def model_swatch(request: Request, model: ModelName) -> Response:
        """Return a small square picture: a window of a texture, or a photo in a style."""
        loaded = await studio.model(model)

        def make() -> bytes:
            return _encoded(swatch(loaded), ".webp")

        return await studio.answer(request, f"swatch-{loaded.sha256}", "image/webp", make)

    @app.get("/photo.jpg", tags=["models"], response_class=FileResponse)
    def photo() -> FileResponse:
        """Return a photo to try styles on."""
        return FileResponse(PHOTO)


def _add_textures(app: FastAPI, studio: Studio) -> None:
    @app.get(
        "/tiles/{model}/{seed}/{z}/{x}/{y}.png",
        tags=["textures"],
        response_class=Response,
        responses=A_PNG,
    )
    async def tile(
        request: Request,
        model: ModelName,
        seed: Seed,
        z: Zoom,
        x: Place,
        y: Place,
    ) -> Response:
        """Return a tile of the endless plane, 256 x 256 pixels; y goes downwards."""
        loaded = await studio.model(model)
        tag = f"tile-{loaded.sha256}-{seed}-{z}-{x}-{y}"

        def make() -> bytes:
            return _encoded(tiles.tile(loaded, seed, z, x, y))

        return await studio.answer(request, tag, "image/png", make)

    @app.get(
        "/tileable/{model}/{seed}.png",
        tags=["textures"],
        response_class=Response,
        responses=A_PNG,
    )
    async def tileable(
        request: Request,
        model: ModelName,
        seed: Seed,
        size: Size = 512,
    ) -> Response:
        """Return a square picture whose opposite edges match."""
        loaded = await studio.model(model)
        tag = f"tileable-{loaded.sha256}-{seed}-{size}"

        def make() -> bytes:
            return _encoded(synthesize(loaded, (size, size), seed, period=(size, size)))

        return await studio.answer(request, tag, "image/png", make)


def _add_photos(app: FastAPI, studio: Studio) -> None:
    uploading = Gate(UPLOADS_AT_ONCE, WAITING)

    @app.post(
        "/photos/{model}",
        tags=["photos"],
        response_class=Response,
        responses={
            200: {"content": {"image/png": {}}},
            404: KNOWN[404],
            408: {"description": "The photo took too long to arrive."},
            413: {"description": "The photo's file is too large."},
            503: KNOWN[503],
        },
        openapi_extra=A_FILE,
    )
    async def stylized(
        request: Request,
        model: ModelName,
        strength: Annotated[
            float, Query(ge=0, le=1, description="From 0, the photo, to 1, the painting.")
        ] = 1,
        keep_colors: Annotated[bool, Query(description="Keep the photo's own colours.")] = False,
    ) -> Response:
        """Return the photo whose file is the body in a style: a PNG in sRGB.

        A photo with a side of more than 2048 pixels is reduced. Its metadata are left out.
        """
        loaded = await studio.model(model)
        check_kind(loaded, "style")
        async with uploading.turn():
            data = await read_body(request, MAX_UPLOAD, UPLOAD_SECONDS)
            painted = await studio.gate.run(request, _stylized, loaded, data, strength, keep_colors)
        return Response(painted, media_type="image/png")


def _stylized(model: Model, data: bytes, strength: float, keep_colors: bool) -> bytes:
    photo = uploads.decoded(data)
    return _encoded(stylize(model, photo, strength=strength, keep_colors=keep_colors))


def _encoded(pixels: Samples, suffix: str = ".png") -> bytes:
    """Return the file of a picture, uint8 (H, W, 3 or 4)."""
    height, width, channels = pixels.shape
    stream = io.BytesIO()
    encode(stream, suffix, Rows([pixels], height, width, channels=channels))
    return stream.getvalue()


async def _refused(_request: Request, error: Exception) -> Response:
    status = 500 if isinstance(error, ModelError) else 422
    return JSONResponse({"detail": str(error)}, status)


async def _exhausted(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"detail": "out of memory; ask for less"}, 503)
