"""What the host of the app allows its visitors: one switch, and every limit, from the environment.

``LOLORA_HOSTED=1`` chooses the limits for a server that strangers share. Each may be set by itself,
in the environment, as ``LOLORA_`` and its name in capitals.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Self

from pydantic import Field, TypeAdapter, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["MEGABYTE", "Host", "host"]

MEGABYTE = 2**20
#: What a server that strangers share has in place of the defaults below.
_HOSTED = {
    "max_visitor_mb": 160,
    "max_pixels": 25_000_000,
    "max_decode_seconds": 3.0,
    "max_tensors": 5000,
    "max_update_entries": 2**25,
    "max_steps": 1000,
    "max_race_seconds": 300.0,
    "runs_per_visitor": 1,
    "runs_at_once": 1,
    "cache_mb": 256,
    "max_hub_mb": 512,
}


class Host(BaseSettings):
    """The limits of an app that one person runs for oneself, or of one that strangers share.

    Examples
    --------
    >>> Host(max_side=512).max_side, Host(hosted=True).max_steps
    (512, 1000)
    """

    model_config = SettingsConfigDict(env_prefix="LOLORA_", frozen=True)

    hosted: bool = False
    #: Rows and columns of a target, at most.
    max_side: int = Field(2048, ge=16)
    max_upload_mb: int = Field(64, ge=1)
    #: What uploads of one visitor may hold in memory together, in MB.
    max_visitor_mb: int = Field(512, ge=1)
    #: Of an image, before it is decoded.
    max_pixels: int = Field(50_000_000, ge=1)
    #: Seconds that decoding one image may take.
    max_decode_seconds: float = Field(10.0, gt=0)
    #: Of a checkpoint.
    max_tensors: int = Field(20_000, ge=1)
    #: Of one update of LoHa or LoKr, whose few numbers span a matrix of any size.
    max_update_entries: int = Field(2**27, ge=1)
    max_steps: int = Field(5000, ge=1)
    #: Of one race, by the page's own estimate and by the clock.
    max_race_seconds: float = Field(6 * 3600.0, gt=0)
    #: Long work of one visitor, and of all, at the same time.
    runs_per_visitor: int = Field(2, ge=1)
    runs_at_once: int = Field(2, ge=1)
    #: What the caches of all visitors may hold together, in MB.
    cache_mb: int = Field(1024, ge=64)
    #: Whether visitors may name models of the Hub, and files of this machine.
    allow_hub: bool = False
    #: Of a model of the Hub, all of its files together; hosted, it is read without any token.
    max_hub_mb: int = Field(100_000, ge=1)
    allow_paths: bool = False
    #: Address of a dask scheduler that takes the place of the pool of processes.
    dask: str = ""
    #: Sites that may show the app in a frame, with blanks between them.
    frame_ancestors: str = Field("", pattern=r"^(https?://[\w.*:-]+( https?://[\w.*:-]+)*)?$")

    @model_validator(mode="before")
    @classmethod
    def _with_limits_for_strangers(cls, given: dict[str, Any]) -> dict[str, Any]:
        hosted = TypeAdapter(bool).validate_python(given.get("hosted", False))
        return {**_HOSTED, **given} if hosted else given

    @model_validator(mode="after")
    def _no_paths_of_a_server(self) -> Self:
        if self.hosted and self.allow_paths:
            raise ValueError(
                "LOLORA_ALLOW_PATHS lets visitors name files of this machine: not with "
                "LOLORA_HOSTED."
            )
        return self


def host() -> Host:
    """Return the limits of this server, as the environment says them now."""
    return _read(
        tuple(item for item in os.environ.items() if item[0].upper().startswith("LOLORA_"))
    )


@lru_cache(maxsize=8)
def _read(environment: tuple[tuple[str, str], ...]) -> Host:
    # A race asks before each step, and reading takes half a millisecond.
    return Host()
