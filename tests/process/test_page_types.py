"""What TypeScript finds in the page's modules, and in a program that uses them."""

from pathlib import Path

import pytest

from ltp_service.page import FOLDER
from tests.process.npm import node_packages, run

TYPESCRIPT = ("typescript@5.9.3",)

USE = """
import { HistoryError, PriceStream, at, candles, readAnswer, type Quote } from "./client.js";
const stream = new PriceStream("https://prices.example/", { pairs: ["BTC/USD"], events: "all", books: async () => true });
stream.addEventListener("book", ({ detail }) => { const bid: string | undefined = detail.bid?.price; void bid; });
stream.addEventListener("price", ({ detail }) => { const text: string | null = detail.price; void text; });
stream.addEventListener("trade", ({ detail }) => { const id: number = detail.trade_id; void id; });
stream.addEventListener("line", ({ detail }) => { const next: number | null = detail.retryAt; void next; });
const quote: Quote | undefined = stream.quote("BTC/USD");
if (quote?.trustworthy) { const state: "live" | "quiet" | "fallback" | "substitute" | "halted" | "stale" | "unknown" | "unconfirmed" = quote.state; void state; }
// @ts-expect-error: a price is a text
const wrong: number | undefined = quote?.price;
stream.close();
const past = await at("https://prices.example/", ["BTC/USD"], new Date(), { key: "k" });
const then: string | undefined = past.ltp[0]?.price ?? past.errors?.[0]?.before?.price;
for (const { close, coverage } of await candles("https://prices.example/", "BTC/USD", { interval: "4h", end: 1.5 })) {
  const known: "complete" | "partial" | "empty" | "unknown" = coverage;
  // @ts-expect-error: nothing may have been traded
  const last: string = close;
  void [then, known, last];
}
const status: number = (await readAnswer(new URL("https://prices.example/api/v1/status"), { key: "k" })).status;
void status;
// @ts-expect-error: there is no such interval
void candles("https://prices.example/", "BTC/USD", { interval: "2m" }).catch((error) => error instanceof HistoryError && error.status);
"""


def test_the_modules_are_right_by_their_types(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    for path in (*FOLDER.glob("*.js"), FOLDER / "client.d.ts"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "use.ts").write_text(USE)
    strict = "--strict --noEmit --allowJs --checkJs --target es2023 --module esnext --moduleResolution bundler --lib es2023,dom,dom.iterable"
    modules = sorted(path.name for path in tmp_path.glob("*.js"))
    run(
        node_packages(tmp_path_factory, TYPESCRIPT) / ".bin" / "tsc",
        *strict.split(),
        "use.ts",
        *modules,
        folder=tmp_path,
    )
