"""A list of models to train, each from a picture of its own."""

from dataclasses import dataclass
from pathlib import Path

from tn_runtime.errors import CheckpointError, RequestError
from tn_runtime.files import check_name
from tn_train import checkpoint as checkpoints
from tn_train.collection import Picture, find_pictures, read_tables
from tn_train.config import PRESETS, Budget, Crop, Kind, budget
from tn_train.plan import Options, check_agreement

KINDS: tuple[Kind, ...] = ("texture", "style")


@dataclass(frozen=True)
class Entry(Picture):
    """One model of a list: the picture that it learns from, and how."""

    name: str = ""
    """The model's; its checkpoint is NAME.pt."""
    preset: str = ""
    """The default of its kind if it is empty."""
    steps: int | None = None
    minutes: float | None = None
    """One of the two, or neither for the default length."""
    size: int | None = None
    """Longest side of the picture in training, pixels."""
    crop: str = ""
    """The region to learn from, X,Y,WxH; all if it is empty."""
    seed: int = 0


@dataclass(frozen=True)
class Recipe:
    """An entry whose picture was found."""

    kind: Kind
    picture: Path
    entry: Entry

    def options(self, folder: Path) -> Options:
        """Return what is asked of the training, whose checkpoint lies in the folder."""
        entry, output = self.entry, folder / f"{self.entry.name}.pt"
        return Options(
            exemplars=(self.picture,),
            output=output,
            kind=self.kind,
            resume=output.exists(),
            budget=budget(entry.steps, entry.minutes),
            preset=entry.preset or None,
            size=entry.size,
            crop=Crop.parse(entry.crop) if entry.crop else None,
            seed=entry.seed,
            credit=entry.credit,
            license=entry.license,
        )

    def finished(self, folder: Path) -> bool:
        """Tell whether its checkpoint is there and complete.

        Raises:
            CheckpointError: there is one that is not sound, or of another picture.
            RequestError: there is one that was trained with other settings.
        """
        options = self.options(folder)
        path = options.output
        if not path.exists():
            return False
        kept = checkpoints.load(path)
        check_agreement(options, kept)
        if kept.exemplars[0].sha256 != self.entry.sha256:
            raise CheckpointError(
                f"{path} was trained from another picture than {self.entry.file}: "
                "delete it, or name another folder"
            )
        return (options.budget or Budget()).progress(kept.steps, kept.seconds) >= 1


def read_zoo(path: Path, folder: Path | None) -> list[Recipe]:
    """Read a list in TOML, tables `[[texture]]` and `[[style]]`, and find its pictures.

    Args:
        path: of the list.
        folder: holds the pictures that the package does not.

    Raises:
        RequestError: the list cannot be read; pictures are missing, or are others than those of the
            list; a name stands twice; a preset or a region that cannot be.
    """
    recipes = [
        Recipe(kind, picture, entry)
        for kind, entries in read_tables(path, KINDS, Entry).items()
        for picture, entry in find_pictures(path, entries, folder)
    ]
    if not recipes:
        raise RequestError(f"{path} has no [[texture]] and no [[style]]: list at least one")
    names = [recipe.entry.name for recipe in recipes]
    for recipe in recipes:
        name, preset = recipe.entry.name, recipe.entry.preset
        if not name or Path(name).name != name or "\0" in name:
            raise RequestError(
                f"{path}: {name!r} is no name for a model: give one without a folder"
            )
        if names.count(name) > 1:
            raise RequestError(f"{path} names {name!r} twice: give each model a name of its own")
        check_name(f"{name}.preview.png")
        if preset and preset not in PRESETS[recipe.kind]:
            known = ", ".join(PRESETS[recipe.kind])
            raise RequestError(f"{path}: {name} has the preset {preset!r}: choose from {known}")
        try:
            recipe.options(Path())
        except RequestError as error:
            raise RequestError(f"{path}: {name}: {error}") from error
    return recipes
