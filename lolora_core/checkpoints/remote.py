"""Models on the Hub: headers and the tensors asked for by HTTP ranges, never whole files.

The requests are our own because those of ``huggingface_hub.HfFileSystem`` (2.4), tried with
``cat_file`` at a pinned commit without a cache, fail two of the tests of faults:

- from a server or proxy that ignores ranges the whole file is fetched, and returned as if it were
  the range (18,680 bytes for 2,304): no status but errors is looked at;
- a file that is another one now, by its ETag, is read without complaint.

Besides, a connection that stays cut and a busy server are given up after 5 more tries and 23
seconds, which cannot be set, and a model takes three requests to the API, one of which lists all
of its files.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from huggingface_hub import constants, get_session, hf_hub_url
from huggingface_hub.utils import build_hf_headers, http_backoff, tqdm

from lolora_core.files.bounded_json import LIMITS, JsonLimits
from lolora_core.files.folders import (
    INDEX,
    MODEL,
    OWN_CONFIG,
    PEFT_CONFIG,
    choose_files,
    passed_over,
)
from lolora_core.files.found import CONFIG, CONFIG_LIMITS, Found
from lolora_core.files.json_files import read_json
from lolora_core.files.shards import check_index

__all__ = ["UNBOUNDED", "Access", "RemoteFile", "find_remote"]

#: Times that a request is made again after a cut connection or a server's failure.
RETRIES = 2
#: Seconds before the first of them.
WAIT = 0.5
#: Seconds in which a server must be reached, and then send anything.
TIMEOUT = 60.0
# A bar is for what takes a while.
_BAR_BYTES = 10_000_000


def endpoint() -> str:
    """Return the Hub's address: HF_ENDPOINT, as huggingface_hub reads it, or the usual one."""
    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")


@dataclass(frozen=True)
class Access:
    """As whom models are read, and how much of one.

    Attributes
    ----------
    anonymous : bool
        Without HF_TOKEN: for a server whose visitors name the models.
    most_bytes : int or None
        Of all files of a model together.
    """

    anonymous: bool = False
    most_bytes: int | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers of a request."""
        # Only the environment: a token that another program has stored is not for us.
        token = False if self.anonymous else os.environ.get("HF_TOKEN") or False
        return build_hf_headers(token=token, library_name="lolora")

    def check(self, label: str, files: Iterable[RemoteFile]) -> None:
        """Raise ValueError where the files of a model are too large together."""
        size = sum(file.size for file in files)
        if self.most_bytes is not None and size > self.most_bytes:
            raise ValueError(
                f"{label} has {size / 1e6:,.0f} MB; at most {self.most_bytes / 1e6:,.0f} MB of a "
                "model are read here. On your own machine `lolora survey` takes models of any size"
            )


#: Of whoever runs the program for oneself.
UNBOUNDED = Access()


def _transport_error() -> type[Exception]:
    """Return the error of the HTTP library that this huggingface_hub uses."""
    library = type(get_session()).__module__.partition(".")[0]
    return importlib.import_module(library).HTTPError


class _MissingError(FileNotFoundError):
    """The server has no such file, or no such model."""


def _refuse(status: int, label: str) -> None:
    """Raise what a status other than success means, in a sentence."""
    if status in (401, 403):
        raise PermissionError(
            f"{label}: the server refuses access (HTTP {status}). The model is private, gated or "
            "not there; for a private or gated one set HF_TOKEN to a token that may read it"
        )
    if status == 404:
        raise _MissingError(
            f"{label} is not there (HTTP 404): no such path on this machine, and no such model, "
            "revision or file at the server"
        )
    if status == 416:
        raise ValueError(
            f"{label} is shorter than it was, or than its header says (HTTP 416): it changed "
            "while it was read, or is damaged"
        )
    if status >= 400:
        raise ConnectionError(f"{label}: the server answers with HTTP {status}; try again later")


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server that answers range requests. Made by `open_file`.

    Attributes
    ----------
    url, label : str
        The address at the commit that the server named, where it named one.
    size : int
        Bytes of the whole file.
    etag : str
        The server's mark of this version.
    """

    url: str
    label: str
    size: int
    etag: str
    access: Access = UNBOUNDED

    @property
    def identity(self) -> str:
        """Name, size and version."""
        return f"{self.label}:{self.size}:{self.etag}"

    def read(self, start: int, end: int) -> bytearray:
        """Return the bytes from `start` up to `end`, in one request.

        Raises
        ------
        ConnectionError, FileNotFoundError, PermissionError, ValueError
            The server cannot be reached, refuses, or has another version of the file now.
        """
        if end == start:
            return bytearray()
        # disable=None: no bar where stderr is not a terminal.
        hidden = None if end - start >= _BAR_BYTES else True
        with tqdm(
            total=end - start,
            unit="B",
            unit_scale=True,
            desc=self.label,
            leave=False,
            disable=hidden,
        ) as bar:
            try:
                response = http_backoff(
                    "GET",
                    self.url,
                    headers={**self.access.headers(), "Range": f"bytes={start}-{end - 1}"},
                    max_retries=RETRIES,
                    base_wait_time=WAIT,
                    timeout=TIMEOUT,
                )
            except _transport_error() as error:
                raise _unreachable(self.label, error) from None
            bar.update(len(response.content))
        _refuse(response.status_code, self.label)
        where = re.match(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", ""))
        sent = tuple(map(int, where.groups())) if where else None
        if (
            response.status_code != 206
            or sent != (start, end - 1, self.size)
            or response.headers.get("ETag", "") != self.etag
            or len(response.content) != end - start
        ):
            raise ValueError(f"{self.label} changed while it was read; start again")
        return bytearray(response.content)


def _unreachable(label: str, error: Exception) -> ConnectionError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        _refuse(int(status), label)
    return ConnectionError(
        f"{label} cannot be read from {endpoint()}: {type(error).__name__}: {str(error)[:120]}. "
        "If it should be a file or folder on this machine, its path does not exist"
    )


def _url(model: str, name: str, revision: str | None) -> str:
    return hf_hub_url(model, name, revision=revision, endpoint=endpoint())


def open_file(
    model: str, name: str, revision: str | None, access: Access = UNBOUNDED
) -> tuple[RemoteFile, str | None]:
    """Ask for the first bytes of a file; return it and the commit that the server names.

    Raises
    ------
    ConnectionError, FileNotFoundError, PermissionError, ValueError
        See `RemoteFile.read`; also a server that would send the whole file.
    """
    label, url = f"{model}/{name}", _url(model, name, revision)
    try:
        with get_session().stream(
            "GET", url, headers={**access.headers(), "Range": "bytes=0-7"}, timeout=TIMEOUT
        ) as response:
            status, headers = response.status_code, response.headers
            chain = (*response.history, response)
    except _transport_error() as error:
        raise _unreachable(label, error) from None
    if status == 416:
        raise ValueError(f"{label} is empty")
    _refuse(status, label)
    total = re.fullmatch(r"bytes 0-\d+/(\d+)", headers.get("Content-Range", ""))
    if status != 206 or total is None:
        raise ValueError(
            f"{label}: the server does not answer range requests, so the whole file would have to "
            "be fetched; download the model and give its folder"
        )
    commits = (part.headers.get("X-Repo-Commit") for part in chain)
    commit = next((value for value in commits if value), None)
    at = url if commit is None else _url(model, name, commit)
    return RemoteFile(at, label, int(total[1]), headers.get("ETag", ""), access), commit


@dataclass
class _Folder:
    """The files of a model that were asked for, each once."""

    model: str
    revision: str | None
    access: Access
    held: dict[str, RemoteFile] = field(default_factory=dict)
    missing: dict[str, _MissingError] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Ask whether there is a file of this name."""
        if name not in self.held and name not in self.missing:
            try:
                self.file(name)
            except _MissingError as error:
                self.missing[name] = error
        return name in self.held

    def file(self, name: str) -> RemoteFile:
        """Return a file, at the commit that the first answer named."""
        if name not in self.held:
            self.held[name], commit = open_file(self.model, name, self.revision, self.access)
            self.revision = commit or self.revision
        return self.held[name]

    def json(self, name: str, limits: JsonLimits = LIMITS) -> dict[str, Any]:
        """Return the object of a JSON file of bounded size."""
        return read_json(self.file(name), limits)


def find_remote(model: str, *, revision: str | None = None, access: Access = UNBOUNDED) -> Found:
    """Find the files of a model on the Hub by its id, by the rule of `choose_files`.

    Every request after the first that succeeds names the commit that it found, so a model that is
    replaced meanwhile does not mix with its successor. Names are asked for one by one, so of
    variants only fp16 is found.

    Parameters
    ----------
    model : str
        "owner/name".
    revision : str, optional
        Branch, tag or commit; "main" by default.
    access : Access

    Raises
    ------
    ConnectionError, FileNotFoundError, PermissionError, ValueError
        The server cannot be reached, knows no such model, refuses access, answers no ranges, or
        the files are damaged, or larger than is allowed.
    """
    label = model if revision is None else f"{model}@{revision}"
    folder = _Folder(model, revision, access)
    # One of the two answers for most models, whose commit all others are then asked at.
    _ = folder.has(INDEX) or folder.has(MODEL)
    choice = choose_files(folder.has, None, label)
    if choice is None:
        raise folder.missing[MODEL]
    config: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    if folder.has(CONFIG):
        try:
            config = folder.json(CONFIG, CONFIG_LIMITS)
        except ValueError as error:
            notes = (f"{CONFIG} is not used: {error}",)
    more: dict[str, Any] = {}
    names = [choice.name]
    if choice.kind == "index":
        more["index"] = folder.json(choice.name)
        names = sorted(set(check_index(more["index"], f"{model}/{choice.name}").values()))
    elif choice.kind != "file":
        own = choice.kind == "own"
        more["own" if own else "adapter_config"] = folder.json(OWN_CONFIG if own else PEFT_CONFIG)
    files = tuple(folder.file(name) for name in names)
    access.check(label, files)
    notes += passed_over(folder.held, {*names, choice.name})
    return Found(label, files, config=config, notes=notes, **more)
