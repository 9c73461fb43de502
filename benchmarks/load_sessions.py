"""Readers of the dashboard without a browser: they speak Streamlit's protocol, as its page does, on real WebSockets."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState, ContextInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.load_times import Sample

PAGES = ("workspaces", "twilio", "elevenlabs", "calls", "workspace", "sync", "settings")
FILTERS = (
    *("", "period=7+days", "period=Yesterday", "period=30+days&compare=true", "period=Month+to+date", "period=All"),
    *("period=7+days&zone=Europe%2FMadrid", "period=All&match=Matched"),
)
PROTOCOL = websockets.Subprotocol("streamlit")
PAGES_PER_VISIT = 4
PATIENCE = 60.0  # seconds for one page
LARGEST = 64 * 2**20  # bytes of one message


@dataclass
class Visit:
    """One session: pages one after the other, and the parts of a page that refresh by themselves in between."""

    socket: websockets.ClientConnection
    page_hash: str = ""
    refreshing: dict[str, float] = field(default_factory=dict)  # fragments, and every how many seconds

    async def open(self, page: str, query: str) -> bool:
        """Run a page, read all that it sends, and tell whether it ended well."""
        self.refreshing.clear()
        query += "&workspace=Fernway+Outfitters" * (page == "workspace")
        await self._send(ClientState(page_name="" if page == PAGES[0] else page, query_string=query))
        return await asyncio.wait_for(self._read_to_the_end(), PATIENCE)

    async def linger(self, seconds: float) -> None:
        """Look at the page for a while, whose parts refresh meanwhile."""
        leaves_at = time.monotonic() + seconds
        due = {fragment: time.monotonic() + every for fragment, every in self.refreshing.items()}
        while time.monotonic() < leaves_at:
            for fragment, moment in due.items():
                if time.monotonic() >= moment and fragment in self.refreshing:
                    due[fragment] = time.monotonic() + self.refreshing[fragment]
                    state = ClientState(fragment_id=fragment, page_script_hash=self.page_hash, is_auto_rerun=True)
                    await self._send(state)
            try:
                async with asyncio.timeout(min(1.0, max(leaves_at - time.monotonic(), 0.01))):
                    self._note(await self._receive())
            except TimeoutError:
                pass

    async def _send(self, state: ClientState) -> None:
        state.context_info.CopyFrom(ContextInfo(timezone="UTC", locale="en-GB", color_scheme="light"))
        await self.socket.send(BackMsg(rerun_script=state).SerializeToString())

    async def _receive(self) -> ForwardMsg:
        return ForwardMsg.FromString(await self.socket.recv(decode=False))

    async def _read_to_the_end(self) -> bool:
        is_well = True
        while True:
            message = await self._receive()
            self._note(message)
            kind = message.WhichOneof("type")
            if kind == "page_not_found" or message.delta.new_element.HasField("exception"):
                is_well = False
            if kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return is_well

    def _note(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.page_hash = message.new_session.page_script_hash
        elif kind == "auto_rerun":
            self.refreshing[message.auto_rerun.fragment_id] = message.auto_rerun.interval
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self.refreshing.pop(fragment, None)


async def visit(
    address: str, pages: Iterable[tuple[str, str]], samples: list[Sample], *, think: Callable[[], float], until: float
) -> None:
    """Read pages, each with its filters, in one session, and note how long each took."""
    url = address.replace("http", "ws") + "/_stcore/stream"
    start = time.monotonic()  # the first page takes the connection's time as well
    async with websockets.connect(
        url, subprotocols=[PROTOCOL], max_size=LARGEST, proxy=None, open_timeout=PATIENCE, ping_interval=None
    ) as socket:
        reader = Visit(socket)
        for page, query in pages:
            if time.monotonic() >= until:
                return
            is_well = await reader.open(page, query)
            samples.append(Sample(name=page, seconds=time.monotonic() - start, is_error=not is_well))
            await reader.linger(min(think(), until - time.monotonic()))
            start = time.monotonic()


async def come_again(address: str, seed: int, samples: list[Sample], *, think: float, until: float) -> None:
    """Visit again and again until the time is over, a new session each time; not all come at the same moment."""
    chance = random.Random(seed)  # noqa: S311  which page is next, no secret
    await asyncio.sleep(min(chance.random() * think, until - time.monotonic()))
    while time.monotonic() < until:
        pages = [(chance.choice(PAGES), chance.choice(FILTERS)) for _ in range(PAGES_PER_VISIT)]
        try:
            await visit(address, pages, samples, think=lambda: chance.uniform(0.5, 1.5) * think, until=until)
        except (OSError, websockets.WebSocketException):  # a timeout is an OSError, too
            samples.append(Sample(name="connection", seconds=0, is_error=True))
            await asyncio.sleep(1)


def read_pages(address: str, sessions: int, think: float, seconds: float) -> list[Sample]:
    """Keep so many sessions open for that long. Runs in a process of its own."""

    async def all_of_them() -> list[Sample]:
        samples: list[Sample] = []
        until = time.monotonic() + seconds
        await asyncio.gather(*(come_again(address, n, samples, think=think, until=until) for n in range(sessions)))
        return samples

    return asyncio.run(all_of_them())


def read_each_page(address: str) -> list[Sample]:
    """Read every page with every filter while nobody else is there; the first reading of all warms up."""
    samples: list[Sample] = []
    for query in ("", *FILTERS):
        pages = [(page, query) for page in PAGES]
        asyncio.run(visit(address, pages, samples, think=lambda: 0, until=time.monotonic() + PATIENCE))
    return samples[len(PAGES) :]
