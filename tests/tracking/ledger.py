"""Browsers that read, hide, sleep and set their clocks: a model of `portal/static/beacon.js`.

People have devices, devices have tabs. All live on one line of true time, which is the server's;
a device has a clock on the wall, which may be set, and one for performance, which may stand still
while the device sleeps. What a tab knows is what the script knows; what really passed is kept
beside it, so that what is stored later can be held against the truth. Times in milliseconds.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import cycle

SLOT, TICK, BEAT = 15_000, 1_000, 15_000
ACTIVE, READING, GAP, CREDIT, LIFE = 5_000, 30_000, 3_000, 1_000, 86_340_000
GLANCE = 3

# Attention by slot and page: active, reading, idle, glance.
Lines = dict[tuple[int, int], tuple[int, ...]]


class Doing(StrEnum):
    """What somebody does at a device for a while, with the tab in front."""

    using = "using"  # reads and moves the mouse
    reading = "reading"  # reads and touches nothing
    glancing = "glancing"  # works beside it in another program
    hiding = "hiding"  # has another tab in front, or the screen off
    sleeping = "sleeping"  # the device sleeps, and the page was not told


@dataclass(frozen=True)
class Stretch:
    """A while at a device: what is done, with which tab in front, on which page.

    `beside`: its other windows are visible, too. `step`: the wall clock is set by so much first.
    """

    doing: Doing
    lasts: int
    tab: int = 0
    page: int = 1
    beside: bool = False
    step: int = 0


@dataclass(frozen=True)
class Fate:
    """What becomes of one report: it arrives after each of these delays, or never; and whether the
    browser heard the answer to the first."""

    delays: tuple[int, ...]
    answered: bool = False


@dataclass(frozen=True)
class Device:
    """A device, who uses it (by number), and all that happens at it.

    `agent`: which of some browsers it is. `lag`: pages come so much later than they were made.
    `stands`: its performance clock stands still in sleep. `killed`: at the end it is switched off,
    and no page can say good-bye.
    """

    person: int
    starts: int
    stretches: tuple[Stretch, ...]
    fates: tuple[Fate, ...]
    agent: int = 0
    lag: int = 0
    stands: bool = False
    killed: bool = False


@dataclass
class Clocks:
    """The true time, and what the device's two clocks show."""

    true: int
    perf: int = 0
    wall: int = 0

    def run(self, milliseconds: int, *, stands: bool = False) -> None:
        """Time passes."""
        self.true += milliseconds
        self.wall += milliseconds
        self.perf += 0 if stands else milliseconds


@dataclass(frozen=True)
class Report:
    """One report: what it says, when it arrives, and all that the tab had credited by then,
    acknowledged or not."""

    tab: Tab
    lines: Lines
    activated: int
    left: int | None
    arrivals: tuple[int, ...]
    credited: Lines

    @property
    def body(self) -> bytes:
        """The report as the script writes it."""
        rows = [[slot, page, *buckets] for (slot, page), buckets in self.lines.items()]
        said = {"t": self.tab.token, "s": rows, "a": self.activated}
        return json.dumps(said if self.left is None else {**said, "l": self.left}).encode()


@dataclass
class _Slot:
    pages: dict[int, list[int]] = field(default_factory=dict)
    sum: int = 0
    at: int = 0
    sent: int = 0


class Tab:
    """One page load, with the ledger that the script keeps and the truth beside it.

    `passed` is how long the page was really in view, by true slot, in focus or not; `allowed` what
    the script may add to it, because it cannot know better: a second for each gap.
    """

    def __init__(self, token: str, device: Device, clocks: Clocks, fates: Iterator[Fate]) -> None:
        self.token, self.device, self.clocks, self.fates = token, device, clocks, fates
        self.born = self.server = clocks.true - device.lag
        self.perf, self.wall, self.input = clocks.perf, clocks.wall, clocks.perf
        self.opened = clocks.perf
        self.page, self.seen, self.state = 1, 0, 1
        self.activated: int | None = None
        self.left: int | None = None
        self.said = self.heard = 0
        self.ledger: dict[int, _Slot] = {}
        self.reports: list[Report] = []
        self.lagged = device.lag
        self.passed: Counter[tuple[int, bool]] = Counter()
        self.allowed: Counter[int] = Counter()
        self.gaps = 0

    # --- what the script does ---------------------------------------------------------------------

    def settle(self, state: int | None = None) -> None:
        """The interval that ends now counts by the state in which it began."""
        p, w = self.clocks.perf - self.perf, self.clocks.wall - self.wall
        gone = max(0, min(p, w))
        credit = min(gone, CREDIT) if max(p, w) > GAP else gone
        bucket, until = self._bucket(), self.server + gone
        if bucket is None or self.server - self.born >= LIFE:
            credit = 0
        self.seen += credit
        while bucket is not None and credit > 0:
            here = min(credit, SLOT - self.server % SLOT)
            self._add(bucket, here)
            self.server += here
            credit -= here
        self.server = max(self.server, until)
        self.perf, self.wall = self.clocks.perf, self.clocks.wall
        self.state = self.state if state is None else state
        self.lagged = max(self.lagged, self.clocks.true - self.server)
        if self.seen >= 2_000:
            self.activate()

    def _bucket(self) -> int | None:
        if self.state < 1:
            return None if self.state < 0 else GLANCE
        idle = self.perf - self.input
        return 0 if idle < ACTIVE else 1 if idle < READING else 2

    def _add(self, bucket: int, milliseconds: int) -> None:
        slot = self.ledger.setdefault(self.server // SLOT, _Slot())
        part = min(milliseconds, SLOT - slot.sum)
        if part > 0:
            slot.pages.setdefault(self.page, [0] * 4)[bucket] += part
            slot.sum += part
            slot.at += 1

    def touch(self) -> None:
        """The reader moves the mouse."""
        self.settle()
        self.input = self.perf
        self.activate()

    def activate(self) -> None:
        """The page has been looked at, for the first time."""
        if self.activated is None and self.state >= 0:
            self.activated = self.server
            self.said += 1
            self.send()

    def send(self) -> None:
        """Report what is not acknowledged yet."""
        unsent = [slot for slot in self.ledger.values() if slot.at != slot.sent]
        if self.activated is None or not (unsent or self.heard != self.said):
            return
        if self._report():
            for slot in unsent:
                slot.sent = slot.at
            self.heard = self.said
            self.server = max(self.server, self.clocks.true)

    def leave(self) -> None:
        """The page is hidden or closed: say so at once, and wait for no answer."""
        self.settle(-1)
        if self.activated is not None:
            self.said += 1
            self.left = self.server
            self._report()

    def _report(self) -> bool:
        assert self.activated is not None
        fate, made = next(self.fates), self.clocks.true
        arrivals = tuple(made + delay for delay in fate.delays)
        lines, credited = self._lines(unsent=True), self._lines()
        self.reports.append(Report(self, lines, self.activated, self.left, arrivals, credited))
        return fate.answered

    def _lines(self, *, unsent: bool = False) -> Lines:
        return {
            (number, page): tuple(buckets)
            for number, slot in self.ledger.items()
            if not unsent or slot.at != slot.sent
            for page, buckets in slot.pages.items()
        }

    # --- what happens to it -----------------------------------------------------------------------

    def becomes(self, state: int) -> None:
        """The page is shown, hidden, or in focus from now on."""
        if state == self.state:
            return
        if state < 0:
            self.leave()
            return
        self.settle(state)
        if state == 1:
            self.input = self.perf

    def sees(self, milliseconds: int) -> None:
        """So much true time is about to pass with the page as it is."""
        if self.state >= 0:
            for slot, part in _by_slot(self.clocks.true, milliseconds):
                self.passed[slot, self.state == 1] += part

    def sleeps(self, milliseconds: int) -> None:
        """The device is about to sleep; the page was not told."""
        if self.state >= 0:
            self.gaps += 1
            gap = milliseconds if milliseconds <= GAP else CREDIT
            for slot, part in _by_slot(self.clocks.true, gap):
                self.allowed[slot] += part

    @property
    def truth(self) -> Counter[int]:
        """The most that may be stored, by slot."""
        total = Counter(self.allowed)
        for (slot, _focused), milliseconds in self.passed.items():
            total[slot] += milliseconds
        return total

    @property
    def credited(self) -> Counter[int]:
        """What the script credited, by slot."""
        return by_slot(self._lines())


def _by_slot(start: int, milliseconds: int) -> Iterator[tuple[int, int]]:
    while milliseconds > 0:
        part = min(milliseconds, SLOT - start % SLOT)
        yield start // SLOT, part
        start, milliseconds = start + part, milliseconds - part


def by_slot(lines: Lines) -> Counter[int]:
    """Attention by slot, over pages and buckets."""
    found: Counter[int] = Counter()
    for (slot, _page), buckets in lines.items():
        found[slot] += sum(buckets)
    return found


def greatest(many: Sequence[Lines]) -> Lines:
    """What several reports of one load say together: the greatest of each number."""
    found: dict[tuple[int, int], tuple[int, ...]] = defaultdict(lambda: (0, 0, 0, 0))
    for lines in many:
        for key, buckets in lines.items():
            found[key] = tuple(map(max, found[key], buckets))
    return {key: buckets for key, buckets in found.items() if any(buckets)}


Issue = Callable[[Device, int, int], str]


def browse(device: Device, issue: Issue) -> list[Tab]:
    """Everything that happens at a device. `issue(device, tab, moment)` is the token of a load."""
    clocks = Clocks(true=device.starts, wall=device.starts)
    fates = cycle(device.fates)
    tabs: dict[int, Tab] = {}
    for stretch in device.stretches:
        clocks.wall += stretch.step
        if stretch.doing == Doing.sleeping:
            for tab in tabs.values():
                tab.sleeps(stretch.lasts)
            clocks.run(stretch.lasts, stands=device.stands)
            continue
        if stretch.tab not in tabs and stretch.doing != Doing.hiding:
            token = issue(device, stretch.tab, clocks.true - device.lag)
            tabs[stretch.tab] = Tab(token, device, clocks, fates)
        for number, tab in tabs.items():
            tab.becomes(_state(stretch, number))
        _pass(clocks, tabs, stretch)
    if not device.killed:
        for tab in tabs.values():
            tab.leave()
    return list(tabs.values())


def _state(stretch: Stretch, number: int) -> int:
    if number != stretch.tab:
        return 0 if stretch.beside else -1
    return {Doing.hiding: -1, Doing.glancing: 0}.get(stretch.doing, 1)


def _pass(clocks: Clocks, tabs: dict[int, Tab], stretch: Stretch) -> None:
    """The stretch passes, second by second; hidden pages have slow timers, and nothing to do."""
    left = stretch.lasts
    awake = any(tab.state >= 0 for tab in tabs.values())
    while left > 0:
        step = min(left, TICK) if awake else left
        for tab in tabs.values():
            tab.sees(step)
        clocks.run(step)
        left -= step
        for number, tab in tabs.items():
            tab.settle()
            if number == stretch.tab and tab.state >= 0:
                tab.page = stretch.page
                if stretch.doing == Doing.using:
                    tab.touch()
            if (clocks.perf - tab.opened) % BEAT < step:
                tab.send()
