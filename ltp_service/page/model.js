/** Everything that the page knows, without a word of how it is shown. The shared worker keeps one for all tabs, so that
 * a new tab begins with the history; each tab keeps its own, and judges by itself. */

import { Watch } from "./client.js";
import { compare } from "./decimals.js";
import { newTrack, put, putBefore, putCandles } from "./track.js";

/** Most transitions that are remembered. */
const LONGEST_LOG = 200;

/** How far REST is there, by the state of its breaker. @type {Record<string, string>} */
const BREAKER = { closed: "up", open: "down" };

/** @typedef {import("./track.js").Track} Track */
/** @typedef {{state: string | null, since: number, certain: boolean, direction: number, price: string | null, exchange?: string, book: any, track: Track}} Row */
/** @typedef {{subject: string, from: string, to: string, at: number, until: number | null, why?: string | null, number?: number}} Episode */

/**
 * Adds what a subject has become; what it was before has ended.
 * @param {Episode[]} log newest first @param {Episode} episode
 */
export function note(log, episode) {
  const before = log.find((each) => each.subject === episode.subject && each.until === null);
  if (before) before.until = episode.at;
  // Two can be of one moment.
  log.unshift({ ...episode, number: (log[0]?.number ?? 0) + 1 });
  log.length = Math.min(log.length, LONGEST_LOG);
}

export class Model {
  watch = new Watch();
  /** @type {Map<string, Row>} In the service's order. */
  rows = new Map();
  /** @type {Episode[]} Newest first. */
  log = [];
  /** @type {Map<string, {told: any, track: Track}>} */
  feeds = new Map();
  /** @type {any} What /api/v1/status says. */
  status = null;
  /** @type {{told: any, track: Track} | null} The circuit breaker before REST. */
  rest = null;
  /** @type {any[] | null} */
  markets = null;
  version = "";

  /** An event of the stream. Throws for one that cannot be meant. @param {string} type @param {any} data @param {number} now */
  take(type, data, now) {
    this.watch.take(type, data, now);
    if (type === "price") {
      this.#moves(data);
      this.#look(data.pair, now);
    } else if (type === "book") {
      const row = this.rows.get(data.pair);
      if (row) row.book = data;
    } else {
      // After a hello each pair waits for its own price: to look at it before would be a transition of each pair.
      if (type === "hello") this.#serves(data);
      else this.tick(now);
    }
  }

  /** @param {any} hello */
  #serves({ pairs, version }) {
    this.version = version;
    /** @type {() => Row} */
    const fresh = () => ({ state: null, since: 0, certain: false, direction: 0, price: null, book: null, track: newTrack() });
    this.rows = new Map(pairs.map((/** @type {string} */ pair) => [pair, this.rows.get(pair) ?? fresh()]));
    for (const row of this.rows.values()) row.book = null;
  }

  /** @param {any} data */
  #moves({ pair, price, source }) {
    const row = this.rows.get(pair);
    if (!row || price == null) return;
    const exchange = source?.split(":")[0];
    // Another exchange is another market: the price has not moved.
    if (exchange !== row.exchange) Object.assign(row, { exchange, price: null, direction: 0 });
    // The arrow shows the last move: a trade at the same price leaves it.
    row.direction = (row.price !== null && compare(price, row.price)) || row.direction;
    row.price = price;
  }

  /** What time alone has changed. @param {number} now */
  tick(now) {
    for (const pair of this.rows.keys()) this.#look(pair, now);
  }

  /** @param {string} pair @param {number} now */
  #look(pair, now) {
    const row = this.rows.get(pair);
    const quote = this.watch.quote(pair, now);
    if (!row || !quote) return;
    const at = this.watch.serverNow(now);
    put(row.track, at, quote.trustworthy ? quote.price : null);
    // A dead line is one transition, of the line, and not one of each pair.
    if (!this.watch.alive(now) || quote.state === row.state) return;
    if (row.state !== null) note(this.log, { subject: pair, from: row.state, to: quote.state, at, until: null });
    row.certain = row.state !== null;
    row.state = quote.state;
    row.since = at;
  }

  /** An answer of another route. @param {string} what @param {any} data @param {number} now */
  told(what, data, now) {
    const at = this.watch.serverNow(now);
    const row = this.rows.get(data.pair);
    if (what === "status") {
      this.status = data;
      const track = this.rest?.track ?? newTrack();
      put(track, at, BREAKER[data.breaker.state] ?? "trouble");
      this.rest = { told: data.breaker, track };
      const ttl = data.settings?.cache_ttl;
      if (typeof ttl === "number") this.watch.ttl = 1000 * ttl;
    } else if (what === "markets") {
      this.markets = data;
    } else if (what === "collectors") {
      this.#fed(data.collectors, at);
    } else if (what === "past" && row) {
      putBefore(row.track, data.trades, at, this.watch.quote(data.pair, now));
    } else if (what === "candles" && row) {
      putCandles(row.track, data.candles, at);
    }
  }

  /** @param {Record<string, any>} collectors @param {number} at */
  #fed(collectors, at) {
    this.feeds = new Map(
      Object.entries(collectors).map(([name, told]) => {
        const track = this.feeds.get(name)?.track ?? newTrack();
        put(track, at, told.healthy ? "up" : told.connected ? "trouble" : "down");
        return [name, { told, track }];
      }),
    );
  }

  /** For another context on this machine. @param {number} now */
  export(now) {
    const { rows, log, feeds, rest, status, markets, version } = this;
    return { watch: this.watch.export(now), parts: { rows, log, feeds, rest, status, markets, version } };
  }

  /** @param {ReturnType<Model["export"]>} told @param {number} now */
  import({ watch, parts }, now) {
    this.watch.import(watch, now);
    Object.assign(this, parts);
  }
}
