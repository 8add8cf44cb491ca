"""What all visitors' work leaves behind: one cache, bounded in bytes, the least recently used goes.

Results of one kind push out those of another, so that no kind needs a share of its own and the
whole has the bound that the host sets.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from cachetools import LRUCache, cached

from app.shared.host import MEGABYTE, host
from lolora_core.targets import Target

__all__ = ["HELD", "Kind"]


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


P = ParamSpec("P")
T = TypeVar("T", bound=Target | bytes | _Sized)


def nbytes(held: Target | bytes | _Sized) -> int:
    """Return the memory of what is held."""
    if isinstance(held, Target):
        return int(held.array.nbytes)
    return len(held) if isinstance(held, bytes) else int(held.nbytes)


HELD: LRUCache[tuple[str, Hashable], Any] = LRUCache(host().cache_mb * MEGABYTE, getsizeof=nbytes)
_changed = threading.Condition()


class _Decorator(Protocol[T]):
    def __call__(self, function: Callable[P, T], /) -> Callable[P, T]: ...


class Kind(Generic[T]):
    """Results of one kind in the cache that all kinds share.

    Parameters
    ----------
    name : str
        Different kinds may have equal keys.

    Examples
    --------
    >>> words = Kind[bytes]("words")
    >>> words.put("greeting", b"hello")
    >>> words.get("greeting"), "parting" in words
    (b'hello', False)
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __contains__(self, key: Hashable) -> bool:
        with _changed:
            return (self.name, key) in HELD

    def get(self, key: Hashable) -> T | None:
        """Return what is held, or None."""
        with _changed:
            found: T | None = HELD.get((self.name, key))
        return found

    def put(self, key: Hashable, value: T) -> None:
        """Hold a value, unless it is larger than all that may be held."""
        if nbytes(value) <= HELD.maxsize:
            with _changed:
                HELD[self.name, key] = value

    def cached(self, key: Callable[..., Hashable]) -> _Decorator[T]:
        """Decorate a function: its results are held, and equal calls at once make one.

        Parameters
        ----------
        key : callable
            Returns the key from the arguments of the function.
        """

        def named(*args: Any, **kwargs: Any) -> tuple[str, Hashable]:
            return self.name, key(*args, **kwargs)

        return cached(HELD, key=named, condition=_changed)
