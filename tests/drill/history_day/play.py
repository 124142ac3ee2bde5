"""Plays the day: the market, what goes wrong, the processes, and the questions at their moments."""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ltp_service.domain.pairs import read_pair
from ltp_service.history.contract import HistoryStore
from ltp_service.settings.config import Config
from ltp_service.settings.types import HistoryUrl
from tests.drill.chance.behaviour import Fault
from tests.drill.chance.schedule import Schedule
from tests.drill.history_day.exchange import DayBehaviour, DayExchange
from tests.drill.history_day.judge import Finding, Judge
from tests.drill.history_day.market import SECOND, DayTape, draw_market
from tests.drill.history_day.workers import Worker, Workers
from tests.fakes import NOON

DAY = 86_400

MIDNIGHT = (int(NOON) // DAY + 1) * DAY
"""Unix seconds of the first one that is played."""

SKEWS = (0.0, 2.0, -2.0, 120.0, -120.0)
"""Seconds by which this machine's clock is wrong, one after the other through the day."""

SKEW_SECONDS = 7_000
"""For so long each."""

ENDING_SECONDS = 10.0
"""Seconds within which a process ends that was told to."""

FORGETS = 0.3
"""Chance that REST forgets trades of a pair and a cut."""

OVERLAP_SECONDS = 30.0
"""Seconds for which a process runs beside the one that is killed after them."""


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    seconds: int = DAY
    cuts: int = 200
    kills: int = 20
    restarts: int = 5
    moments: int = 20_000
    looks: int = 1_000
    protocol: str = "v2"
    beside: int = 600
    """Seconds that are played before the day, which begins at midnight, and after it. In the last ones nothing goes wrong."""

    @property
    def begin(self) -> int:
        """Unix seconds."""
        return MIDNIGHT - self.beside

    @property
    def calm_from(self) -> int:
        """Seconds of the play after which nothing goes wrong."""
        return self.beside + self.seconds

    @property
    def end(self) -> int:
        """Seconds of the play."""
        return self.calm_from + self.beside


@dataclass(frozen=True)
class Played:
    """What came of it."""

    findings: list[Finding]
    counts: Mapping[str, int]
    took: float
    """Real seconds."""


class _Clock(Schedule):
    """It begins at another moment than that of the drill of chance."""

    def __init__(self, begin: int) -> None:
        """`begin` in unix seconds."""
        super().__init__(lambda now: SKEWS[int(now // SKEW_SECONDS) % len(SKEWS)])
        self._begin = begin

    def wall(self) -> float:
        return self.exchange_time() + self._skew(self.now)

    def exchange_time(self) -> float:
        return self._begin + self.now


class Day:
    """One day."""

    def __init__(self, plan: Plan, seed: int, url: str, folder: Path) -> None:
        """`url` is the HISTORY_URL."""
        self.plan = plan
        self.chance = chance = random.Random(seed)
        self.tapes = draw_market(plan.begin, plan.end, chance)
        faults = sorted(self._cuts(), key=lambda fault: fault.begin)
        behaviour = DayBehaviour(
            plan.protocol,
            0.05,
            0.0,
            1e12,
            2.0,
            3,
            tells_age=False,
            trade_snapshots=True,
            faults=tuple(faults),
        )
        self.cuts = faults
        self.schedule = _Clock(plan.begin)
        self.exchange = DayExchange(self.schedule, self.tapes, behaviour, chance, self._forgotten())
        config = Config(
            kraken_websocket_url=f"ws://exchange.invalid/{'v2' if plan.protocol == 'v2' else ''}",
            kraken_rest_url="http://exchange.invalid/0/public",
            supported_pairs=tuple(map(read_pair, self.tapes)),
            collectors=(),
            rate_limit_enabled=False,
            log_level="error",
            database_path=folder / "ltp.sqlite3",
            history_url=HistoryUrl(url),
        )
        self.config = config
        self.workers = Workers(self.schedule, self.exchange, config, chance)
        self.store: HistoryStore = self.workers.open_reader()
        self.judge = Judge(self.tapes, self.store, round(config.cache_ttl * SECOND), self.exchange.unseen)
        self.running: list[Worker] = []

    def _cuts(self) -> Iterator[Fault]:
        for _ in range(self.plan.cuts):
            begin = self.chance.uniform(20.0, self.plan.calm_from)
            yield Fault("cut", begin, begin + self.chance.choice((0.2, 1.0, 3.0, 3.0, 10.0, 40.0, 200.0)))

    def _forgotten(self) -> dict[str, frozenset[int]]:
        """REST forgets some of what was traded in a cut, of every other pair. The others shall have whole days."""
        found: dict[str, frozenset[int]] = {}
        for number, (pair, tape) in enumerate(self.tapes.items()):
            ids: set[int] = set()
            for cut in self.cuts if number % 2 else ():
                since, until = (round((self.plan.begin + at) * SECOND) for at in (cut.begin, cut.end))
                numbers = [deal.number for deal in tape.deals[tape.at(since) + 1 : tape.at(until) + 1]]
                if numbers and self.chance.random() < FORGETS:
                    first = self.chance.randrange(len(numbers))
                    ids.update(numbers[first : first + self.chance.choice((1, 2, 50))])
            found[pair] = frozenset(ids)
        return found

    def play(self) -> None:
        """From the evening to the morning."""
        plan, chance, schedule = self.plan, self.chance, self.schedule
        with self.workers.standing_in():
            self._begin()
            for _ in range(plan.kills):
                schedule.at(chance.uniform(60.0, plan.calm_from), self._kill)
            for _ in range(plan.restarts):
                schedule.at(chance.uniform(60.0, plan.calm_from), self._restart)
            for _ in range(plan.looks):
                schedule.at(chance.uniform(10.0, plan.end), self._look)
            schedule.run(plan.end)
            for worker in self.running:
                self.workers.kill(worker)
        self._judge()
        self.store.close()
        schedule.close()

    # What goes wrong.

    def _begin(self) -> None:
        self.running.append(self.workers.begin())

    def _kill(self) -> None:
        """The oldest process. Sometimes another one runs already, else one begins later."""
        if self.chance.random() < 0.3:
            self._begin()
            self.schedule.at(self.schedule.now + OVERLAP_SECONDS, self._kill_the_oldest)
        else:
            self._kill_the_oldest()

    def _kill_the_oldest(self) -> None:
        if self.running:
            self.workers.kill(self.running.pop(0))
        self._begin_later()

    def _begin_later(self) -> None:
        if not self.running:
            self.schedule.at(self.schedule.now + self.chance.choice((0.3, 3.0, 20.0)), self._begin_alone)

    def _begin_alone(self) -> None:
        if not self.running:
            self._begin()

    def _restart(self) -> None:
        if self.running:
            worker = self.running.pop(0)
            worker.stop.set()
            self.schedule.at(self.schedule.now + ENDING_SECONDS, lambda: self._expect_ended(worker))
        self._begin_later()

    def _expect_ended(self, worker: Worker) -> None:
        if not worker.has_ended:
            self.judge.findings.append(
                Finding("", round(self._micros()), "a process that was told to end runs on")
            )

    # What is asked.

    def _micros(self) -> int:
        return round(self.schedule.exchange_time() * SECOND)

    def _look(self) -> None:
        """At what the history says about the last seconds, most of all at the edge of what it claims to know."""
        now = self._micros()
        for pair in self.tapes:
            until = self.store.coverage(read_pair(pair)).evidence_until
            moments = [now - self.chance.randrange(10 * SECOND), now - self.chance.randrange(120 * SECOND)]
            moments += [until] if until is not None else []
            for moment in moments:
                self.judge.look(pair, moment, "at once: ")

    def _judge(self) -> None:
        begin, end = self.plan.begin * SECOND, self._micros()
        recorded = {pair: self.judge.recorded(pair) for pair in self.tapes}
        for number in range(self.plan.moments):
            pair, tape = self.chance.choice(list(self.tapes.items()))
            self.judge.price(pair, self._moment(number, tape, begin, end), recorded[pair])
        for pair in self.tapes:
            self.judge.candles(pair, begin - 3_600 * SECOND, end, recorded[pair])

    def _moment(self, number: int, tape: DayTape, begin: int, end: int) -> int:
        """Any, or at a trade, or in a cut."""
        chance = self.chance
        if number % 4 == 1:
            return chance.choice(tape.micros) + chance.choice((-1, 0, 1))
        if number % 4 == 3 and self.cuts:
            cut = chance.choice(self.cuts)
            return begin + round(chance.uniform(cut.begin - 1, cut.end + 1) * SECOND)
        return chance.randrange(begin, end)


def play(plan: Plan, seed: int = 1, url: str | None = None) -> Played:
    """One day; the same seed plays the same. `url` is the HISTORY_URL, else a file is made for it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ltp-day-") as folder:
        day = Day(plan, seed, url or f"sqlite:{folder}/history.sqlite3", Path(folder))
        day.play()
        counts = Counter(day.judge.counts)
        counts["REST questions"] = day.exchange.questions
        counts["lost frames"] = day.exchange.lost_frames
        counts["market"] = sum(len(tape.deals) for tape in day.tapes.values())
    return Played(day.judge.findings, counts, time.monotonic() - began)
