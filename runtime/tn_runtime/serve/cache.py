"""Pictures kept in memory, up to so many bytes."""

from collections import OrderedDict


class Cache:
    """Files of pictures by a tag that says all that they depend on; for one thread.

    The least recently used are dropped first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def get(self, tag: str) -> bytes | None:
        """Return the picture, if it is kept."""
        picture = self._kept.get(tag)
        if picture is not None:
            self._kept.move_to_end(tag)
        return picture

    def put(self, tag: str, picture: bytes) -> None:
        """Keep a picture."""
        self._bytes += len(picture) - len(self._kept.pop(tag, b""))
        self._kept[tag] = picture
        while self._bytes > self._most:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped)
