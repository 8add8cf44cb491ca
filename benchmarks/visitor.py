"""A visitor of the app without a browser: what a page's websocket sends and hears."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

__all__ = ["Answer", "Visitor", "visit"]

#: The key that the app gave a widget ends its id.
_KEY = re.compile(r"^\$\$ID-[0-9a-f]+-(.*)$")
#: Runs for which a browser keeps what was sent: Streamlit's `global.maxCachedMessageAge`.
_REMEMBERED = 2
_WELL = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
_ENDED = (*_WELL, ForwardMsg.FINISHED_WITH_COMPILE_ERROR)


@dataclass
class Answer:
    """What one run of the script sent.

    Attributes
    ----------
    elements : list of Element
    megabytes : float
        As sent.
    seconds : float
        Until the run had ended.
    pictures : float or None
        Seconds until the linked pictures came, where they did.
    status : int
        Of `ForwardMsg.ScriptFinishedStatus`.
    """

    elements: list[Element] = field(default_factory=list)
    megabytes: float = 0.0
    seconds: float = 0.0
    pictures: float | None = None
    status: int = -1

    @property
    def text(self) -> str:
        """The words of headings, paragraphs and alerts."""
        return "\n".join(_words(element) for element in self.elements)

    @property
    def faults(self) -> list[str]:
        """What went wrong, as the page says it."""
        ended = [] if self.status in _WELL else [f"ended {self.status}"]
        return ended + [
            element.exception.message if element.HasField("exception") else element.alert.body
            for element in self.elements
            if element.HasField("exception")
            or (element.HasField("alert") and element.alert.format == element.alert.ERROR)
        ]


def _words(element: Element) -> str:
    kind = element.WhichOneof("type")
    return str(getattr(element, kind).body) if kind in ("markdown", "heading", "alert") else ""


@asynccontextmanager
async def visit(url: str) -> AsyncIterator[Visitor]:
    """Connect to the app at an address, and leave at the end."""
    address = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
    async with connect(address, subprotocols=[Subprotocol("streamlit")], max_size=None) as socket:
        yield Visitor(socket)


class Visitor:
    """One open page.

    Parameters
    ----------
    socket : ClientConnection
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        # By hash: the message, and the runs since it was last used.
        self._known: dict[str, tuple[ForwardMsg, int]] = {}
        self._ids: dict[str, str] = {}
        self._fragments: dict[str, str] = {}
        self._polled = ""
        self._set: dict[str, dict[str, Any]] = {}
        self._page = ""

    async def open(self, path: str, query: str = "") -> Answer:
        """Go to a page, such as ``compare``."""
        message = self._message(query)
        message.rerun_script.page_script_hash = ""
        message.rerun_script.page_name = path
        return await self._run(message)

    async def set(self, key: str, **value: Any) -> Answer:
        """Move a widget of the page, such as ``rank`` with ``double_array_value=[24.0]``."""
        self._set[self._ids[key]] = value
        return await self._run(self._message(fragment=self._fragments[key]))

    async def press(self, key: str) -> Answer:
        """Press a button of the page."""
        answer = await self.set(key, trigger_value=True)
        del self._set[self._ids[key]]
        return answer

    async def poll(self) -> Answer:
        """Let the fragment that the page draws again and again do so, as a browser's timer does."""
        message = self._message(fragment=self._polled)
        message.rerun_script.is_auto_rerun = True
        return await self._run(message)

    def _message(self, query: str = "", fragment: str = "") -> BackMsg:
        message = BackMsg()
        run = message.rerun_script
        run.fragment_id = fragment
        run.query_string, run.page_script_hash = query, self._page
        run.cached_message_hashes.extend(self._known)
        for name, value in self._set.items():
            state = run.widget_states.widgets.add(id=name)
            for kind, content in value.items():
                if isinstance(content, list):
                    getattr(state, kind).data.extend(content)
                else:
                    setattr(state, kind, content)
        return message

    async def _run(self, message: BackMsg) -> Answer:
        await self._socket.send(message.SerializeToString())
        answer, began = Answer(), time.perf_counter()
        while True:
            data = await self._socket.recv(decode=False)
            heard = ForwardMsg.FromString(data)
            if heard.HasField("new_session"):
                answer = Answer()
            answer.megabytes += len(data) / 1e6
            if heard.HasField("ref_hash"):
                heard = self._known[heard.ref_hash][0]
            if heard.metadata.cacheable and heard.hash:
                self._known[heard.hash] = heard, 0
            if heard.HasField("navigation"):
                self._page = heard.navigation.page_script_hash
            elif heard.HasField("auto_rerun"):
                self._polled = heard.auto_rerun.fragment_id
            elif heard.HasField("delta") and heard.delta.HasField("new_element"):
                answer.seconds = time.perf_counter() - began
                if self._hear(heard.delta, answer) == "pictures":
                    answer.pictures = answer.seconds
            elif heard.WhichOneof("type") == "script_finished":
                answer.status = heard.script_finished
                if answer.status in _ENDED:
                    self._forget()
                    answer.seconds = time.perf_counter() - began
                    return answer

    def _forget(self) -> None:
        """Forget messages that some runs had no use for, as a browser does."""
        self._known = {
            key: (message, age + 1)
            for key, (message, age) in self._known.items()
            if age < _REMEMBERED
        }

    def _hear(self, delta: Delta, answer: Answer) -> str:
        """Keep an element, and return the key of its widget."""
        element = delta.new_element
        answer.elements.append(element)
        content = getattr(element, str(element.WhichOneof("type")))
        found = _KEY.match(getattr(content, "id", ""))
        if found is None:
            return ""
        self._ids[found[1]] = content.id
        self._fragments[found[1]] = delta.fragment_id
        return found[1]
