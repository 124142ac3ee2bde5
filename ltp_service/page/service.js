/** What is asked of the service beside the stream: its status, its feeds, and the other exchanges. */

import { candles, readAnswer } from "./client.js";

/** Where the service is: a proxy may serve it below a path. */
export const BASE = new URL("..", import.meta.url);

/** Milliseconds between two rounds. */
const EVERY = 5_000;
/** Most symbols whose books are asked for: each costs a request. */
const MOST_SYMBOLS = 8;
/** Most trades of one answer. */
const TRADES = 100;
/** Most pairs whose past is asked for: each costs a request. */
const MOST_PAIRS = 12;
/** One-minute candles that reach back 15 minutes. */
const CANDLES = 16;
/** Milliseconds over which trades are counted. */
const COUNTED = 60_000;

/** @param {string} path @param {string} key */
export function ask(path, key) {
  return readAnswer(new URL(path, BASE), { key });
}

export class Polls {
  #timer = 0;
  #asking = false;

  /** @param {string} key @param {(what: string, data: any) => void} tell @param {() => number} serverNow */
  constructor(key, tell, serverNow) {
    this.key = key;
    this.tell = tell;
    this.serverNow = serverNow;
  }

  start() {
    if (this.#timer) return;
    this.#timer = Number(setInterval(() => void this.#round(), EVERY));
    void this.#round();
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  async #round() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const status = await this.#ask("api/v1/status");
      if (status) this.tell("status", status);
      const told = await this.#ask("collectors/status");
      if (told) {
        this.tell("collectors", told);
        this.tell("markets", await this.#markets(Object.keys(told.collectors)));
      }
    } catch {
      // The stream says when the service cannot be reached; the next round comes anyway.
    } finally {
      this.#asking = false;
    }
  }

  /** Asks once for Kraken's last trades, and for the history before them. @param {string[]} pairs */
  async past(pairs) {
    try {
      for (const pair of pairs.slice(0, MOST_PAIRS)) {
        const symbol = encodeURIComponent(pair);
        const told = await this.#ask(`collectors/trades?exchange=kraken&symbol=${symbol}&limit=${TRADES}`);
        const trades = (told?.trades ?? [])
          .filter((/** @type {any} */ each) => each.exchange === "kraken" && each.symbol === pair)
          .map((/** @type {any} */ each) => ({ price: each.price, at: Date.parse(each.timestamp), id: each.trade_id }))
          .reverse();
        if (trades.length) this.tell("past", { pair, trades });
      }
      const history = (await this.#ask("api/v1/status"))?.history;
      if (!history || history.elsewhere) return;
      for (const pair of pairs.slice(0, MOST_PAIRS)) {
        this.tell("candles", { pair, candles: await candles(BASE, pair, { limit: CANDLES, key: this.key }) });
      }
    } catch {
      // The picture begins now, then.
    }
  }

  /** @param {string} path */
  async #ask(path) {
    const { status, data } = await ask(path, this.key);
    return status === 200 ? data : null;
  }

  /** One row for each symbol of each other exchange. @param {string[]} collectors */
  async #markets(collectors) {
    const named = (/** @type {string} */ kind) =>
      collectors.filter((name) => name.endsWith(kind) && name !== "kraken_books").map((name) => name.slice(0, -kind.length));
    const trading = named("_trades");
    const booked = named("_books");
    if (!trading.length && !booked.length) return [];
    const symbols = ((await this.#ask("collectors/symbols"))?.symbols ?? []).slice(0, MOST_SYMBOLS);
    /** @type {Map<string, any>} */
    const rows = new Map();
    const row = (/** @type {string} */ exchange, /** @type {string} */ symbol) => {
      const name = `${exchange} ${symbol}`;
      return rows.get(name) ?? rows.set(name, { exchange, symbol, rate: null, last: null, book: null }).get(name);
    };
    for (const exchange of trading) {
      const trades = (await this.#ask(`collectors/trades?exchange=${exchange}&limit=${TRADES}`))?.trades;
      if (!trades) continue;
      for (const symbol of symbols) Object.assign(row(exchange, symbol), this.#pace(trades, symbol));
    }
    for (const symbol of booked.length ? symbols : []) {
      for (const book of (await this.#ask(`collectors/books?symbol=${symbol}&depth=1`))?.books ?? []) {
        row(book.exchange, symbol).book = book;
      }
    }
    return [...rows.values()];
  }

  /** Trades a second of a symbol, and the last one. @param {any[]} trades newest first @param {string} symbol */
  #pace(trades, symbol) {
    const now = this.serverNow();
    const age = (/** @type {any} */ trade) => now - Date.parse(trade.received_at);
    // An answer that is full may not reach back as far.
    const reach = trades.length < TRADES ? COUNTED : Math.min(COUNTED, Math.max(1_000, age(trades[TRADES - 1])));
    const ours = trades.filter((trade) => trade.symbol === symbol);
    const counted = ours.filter((trade) => age(trade) <= reach).length;
    return { rate: (1000 * counted) / reach, last: ours[0]?.price ?? null };
  }
}
