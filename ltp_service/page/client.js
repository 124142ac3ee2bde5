/** The prices of an ltp_service as they change, on a line that is never silently dead. client.d.ts has an example. */

/** Milliseconds without a word of the service after which nothing that it said is current. */
export const SILENCE = 10_000;
/** Milliseconds for an answer to begin. */
const CONNECT = 10_000;
/** Milliseconds after the last trade for which a price can be `live`: the service's own rule. */
const LIVE = 60_000;
/** Milliseconds that an event may take to get here. */
const GRACE = 2_000;
/** The service's default CACHE_TTL, in milliseconds. */
const TTL = 30_000;
/** Most milliseconds between two tries, whatever the service asks for. */
const LONGEST_PAUSE = 60_000;
/** Most characters of one event. */
const LONGEST_EVENT = 1 << 20;

const SERVABLE = new Set(["live", "quiet", "fallback", "substitute", "halted"]);

/** The state of a price that the service called good, and that nothing confirms any more. */
export const UNCONFIRMED = "unconfirmed";

const DECIMAL = /^[0-9]{1,40}(\.[0-9]{1,40})?$/;

/**
 * JSON whose decimals stay the text that they are, because a binary float may not hold them.
 * In a JSON text every quote inside of a string has a backslash before it, so what is replaced is never in a string.
 * @param {string} text
 */
export function readExact(text) {
  return JSON.parse(
    text.replace(/("(?:amount|price|size|quantity)"\s*:\s*)(-?[0-9][0-9.eE+-]*)/g, '$1"$2"'),
  );
}

/** Milliseconds that never stand still: performance.now() does while some systems sleep, the wall clock does not. */
export class SteadyClock {
  #monotonic = performance.now();
  #wall = Date.now();
  #slept = 0;

  now() {
    const monotonic = performance.now();
    const wall = Date.now();
    const jump = wall - this.#wall - (monotonic - this.#monotonic);
    if (jump > GRACE) this.#slept += jump;
    this.#monotonic = monotonic;
    this.#wall = wall;
    return monotonic + this.#slept;
  }
}

/** What the events have told, and how far it can be trusted as time goes by. All moments are the service's, in ms. */
export class Watch {
  ttl = TTL;
  /** @type {number | null} From our clock to the service's. */
  #offset = null;
  #offsetAt = 0;
  /** The newest moment of the service that we have heard of. */
  #heard = -Infinity;
  #ended = false;
  /** @type {Map<string, {data: any, told: number, confirmed: number | null}>} */
  #told = new Map();
  /** @type {Set<string>} */
  #pairs = new Set();

  /** @param {number} serverNow @param {number} now */
  begin(serverNow, now) {
    this.#set(serverNow, now);
    this.#ended = false;
  }

  /** Their clock may have been set since: what was told is as old as before. @param {number} serverNow @param {number} now */
  #set(serverNow, now) {
    const shift = this.#offset === null ? 0 : serverNow - this.serverNow(now);
    for (const each of this.#told.values()) {
      each.told += shift;
      if (each.confirmed !== null) each.confirmed += shift;
    }
    this.#offset = serverNow - now;
    this.#offsetAt = now;
    this.#heard = serverNow;
  }

  /** The line is known to be broken: nothing is current until it begins anew. */
  end() {
    this.#ended = true;
  }

  /** The moment that everything is as of; null before the first word. */
  get heardAt() {
    return this.#heard === -Infinity ? null : this.#heard;
  }

  /** @param {number} now */
  serverNow(now) {
    return now + (this.#offset ?? Date.now() - now);
  }

  /** @param {number} now */
  alive(now) {
    return !this.#ended && this.serverNow(now) - this.#heard <= SILENCE;
  }

  /**
   * Takes an event and says when the service sent it. Throws for one that cannot be meant.
   * @param {string} type @param {any} data @param {number} now
   */
  take(type, data, now) {
    if (type === "hello") {
      if (!Array.isArray(data.pairs)) throw new Error("a hello without pairs");
      this.#pairs = new Set(data.pairs);
      for (const pair of this.#told.keys()) if (!this.#pairs.has(pair)) this.#told.delete(pair);
      // What was told before may have changed since: each price counts again once the new line tells it.
      for (const each of this.#told.values()) each.confirmed = null;
    } else if (type === "heartbeat") {
      const sent = this.#hear(moment(data.server_time), now);
      for (const [pair, age] of Object.entries(data.evidence_age_ms ?? {})) {
        const told = this.#told.get(pair);
        if (told) told.confirmed = typeof age === "number" ? sent - age : null;
      }
    } else if (type === "price") {
      this.#price(data, now);
    }
  }

  /** @param {any} data @param {number} now */
  #price(data, now) {
    const { pair, price, state, confirmed_at, age_ms } = data;
    if (!this.#pairs.has(pair) || typeof state !== "string") throw new Error("a price of nothing that was asked");
    if (price == null ? SERVABLE.has(state) : typeof price !== "string" || !DECIMAL.test(price)) {
      throw new Error("a price that is no decimal");
    }
    const aged = typeof age_ms === "number" && typeof confirmed_at === "string";
    const sent = aged ? this.#hear(moment(confirmed_at) + age_ms, now) : this.serverNow(now);
    this.#told.set(pair, { data, told: sent, confirmed: aged ? sent - age_ms : null });
  }

  /**
   * What was sent least late tells their clock best; 2 ms a second are left for the clocks to drift.
   * @param {number} sent @param {number} now
   */
  #hear(sent, now) {
    // Events come in order, and a hello is 10 s late at most: otherwise their clock was set.
    if (sent < this.#heard - GRACE || (this.#offset !== null && sent - this.serverNow(now) > CONNECT)) {
      this.#set(sent, now);
    }
    const drifted = (this.#offset ?? sent - now) - 0.002 * (now - this.#offsetAt);
    this.#offset = Math.max(sent - now, drifted);
    this.#offsetAt = now;
    this.#heard = Math.max(this.#heard, sent);
    return sent;
  }

  /** @param {string} pair @param {number} now */
  quote(pair, now) {
    const told = this.#told.get(pair);
    if (!told) return undefined;
    const at = this.serverNow(now);
    const age = told.confirmed === null ? null : Math.max(0, at - told.confirmed);
    const servable = SERVABLE.has(told.data.state);
    const current =
      this.alive(now) &&
      (!servable || (age !== null && age <= this.ttl + GRACE)) &&
      (told.data.state !== "live" || at - told.told <= LIVE + GRACE);
    const state = current ? told.data.state : UNCONFIRMED;
    return { ...told.data, state, told: told.data.state, age_ms: age, trustworthy: current && servable };
  }

  /** For another context on this machine. @param {number} now */
  export(now) {
    return {
      serverNow: this.serverNow(now),
      heard: this.#heard,
      ended: this.#ended,
      ttl: this.ttl,
      pairs: this.#pairs,
      told: this.#told,
    };
  }

  /** @param {ReturnType<Watch["export"]>} told @param {number} now */
  import(told, now) {
    this.begin(told.serverNow, now);
    this.#heard = told.heard;
    this.#ended = told.ended;
    this.#pairs = told.pairs;
    this.#told = told.told;
    this.ttl = told.ttl;
  }
}

/** @param {unknown} text */
function moment(text) {
  const at = typeof text === "string" ? Date.parse(text) : NaN;
  if (Number.isNaN(at)) throw new Error("a time that cannot be read");
  return at;
}

/** Cuts text/event-stream into events (html.spec.whatwg.org, 9.2.6). */
export class EventParser {
  #rest = "";
  #type = "";
  /** @type {string[]} */
  #data = [];
  #size = 0;
  id = "";
  /** @type {number | null} */
  retry = null;

  /** @param {(type: string, data: string) => void} tell */
  constructor(tell) {
    this.tell = tell;
  }

  /** @param {string} text */
  feed(text) {
    // A carriage return at the very end may be half of a line's end.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line);
    if (this.#rest.length + this.#size > LONGEST_EVENT) throw new Error("an event without an end");
  }

  /** @param {string} line */
  #line(line) {
    if (line === "") {
      if (this.#data.length) this.tell(this.#type || "message", this.#data.join("\n"));
      this.#type = "";
      this.#data = [];
      this.#size = 0;
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    this.#size += value.length;
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.id = value;
    else if (field === "retry" && /^[0-9]{1,9}$/.test(value)) this.retry = Number(value);
  }
}

/** The address of a question. @param {string | URL} base @param {string} path @param {Record<string, unknown>} asked */
function question(base, path, asked) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(asked)) {
    if (value !== undefined) url.searchParams.set(name, value instanceof Date ? value.toISOString() : `${value}`);
  }
  return url;
}

/**
 * Milliseconds until the next try: what the service asked for, else more after each failure; a part at random, so
 * that not all clients of a service come back at once.
 * @param {{wait: number | null, status: number | null}} end @param {number} failures
 */
function pause(end, failures) {
  if (end.wait !== null) return Math.min(Math.max(end.wait, 200), LONGEST_PAUSE);
  // Wrong keys are counted: ten a minute from one address are too many.
  if (end.status === 401 || end.status === 403) return 10_000 + 5_000 * Math.random();
  return Math.min(10_000, 500 * 2 ** Math.min(failures, 5)) * (0.5 + Math.random() / 2);
}

/** @param {Response} response */
function retryAfter(response) {
  const text = response.headers.get("Retry-After");
  if (text === null) return null;
  const wait = /^[0-9]{1,6}$/.test(text) ? 1000 * Number(text) : Date.parse(text) - Date.now();
  return Number.isNaN(wait) ? null : Math.max(wait, 0) + 1000 * Math.random();
}

/** One line to the service: an EventTarget of the stream's events, and of `line` when the line itself changes. */
export class PriceStream extends EventTarget {
  watch = new Watch();
  /** @type {import("./client.js").Line} */
  line = { phase: "connecting", status: null, reason: null, retryAt: null };
  #base;
  #options;
  #clock = new SteadyClock();
  #closed = false;
  #lastId = "";
  /** @type {(reason: string) => void} Ends the present connection. */
  #cut = () => {};
  /** @type {() => void} Ends the present pause. */
  #wake = () => {};

  /** @param {string | URL} base @param {import("./client.js").Options} [options] */
  constructor(base, options = {}) {
    super();
    this.#base = base;
    this.#options = options;
    globalThis.addEventListener?.("online", this.retry);
    void this.#run();
  }

  get live() {
    return this.watch.alive(this.#clock.now());
  }

  /** @param {string} pair */
  quote(pair) {
    return this.watch.quote(pair, this.#clock.now());
  }

  retry = () => this.#wake();

  close() {
    this.#closed = true;
    globalThis.removeEventListener?.("online", this.retry);
    this.#cut("closed");
    this.#wake();
    this.watch.end();
    this.#say("closed");
  }

  async #run() {
    for (let failures = 0; !this.#closed; ) {
      const end = await this.#connection();
      if (this.#closed) return;
      // One that breaks right after its hello is a failure too.
      failures = end.lasted > SILENCE ? 0 : failures + 1;
      if (!end.lasted) this.watch.end();
      const wait = pause(end, failures);
      this.#say(end.lasted ? "lost" : "refused", end.status, end.reason, Date.now() + wait);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, wait);
        this.#wake = () => {
          clearTimeout(timer);
          resolve(undefined);
        };
      });
      this.#wake = () => {};
    }
  }

  /** One connection from its beginning to its end. `lasted` is 0 where there was no hello. */
  async #connection() {
    const abort = new AbortController();
    const asked = this.#clock.now();
    let helloAt = 0;
    /** @type {string | null} */
    let reason = null;
    this.#cut = (why) => {
      reason ??= why;
      abort.abort();
    };
    const looking = setInterval(() => {
      const now = this.#clock.now();
      if (helloAt && !this.watch.alive(now)) this.#cut("no heartbeat for 10 s");
      if (!helloAt && now - asked > CONNECT) this.#cut("no answer within 10 s");
    }, 500);
    /** @type {EventParser | undefined} */
    let parser;
    /** @type {number | null} */
    let status = null;
    const end = (/** @type {string} */ why, /** @type {number | null} */ wait = null) => ({
      status,
      reason: reason ?? why,
      wait,
      lasted: helloAt && Math.max(1, this.#clock.now() - helloAt),
    });
    try {
      const response = await fetch(await this.#url(), {
        headers: { Accept: "text/event-stream", ...(this.#options.key && { "X-API-Key": this.#options.key }) },
        signal: abort.signal,
        cache: "no-store",
      });
      status = response.status;
      if (status === 400) this.#lastId = ""; // it may be what cannot be read
      if (status !== 200) return end(`the service answered ${status}`, retryAfter(response));
      const kind = response.headers.get("Content-Type") ?? "nothing";
      if (!/^text\/event-stream\s*(;|$)/i.test(kind) || !response.body) {
        return end(`the answer is ${kind} and no stream`);
      }
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      parser = new EventParser((type, text) => {
        const now = this.#clock.now();
        const data = readExact(text);
        if (!helloAt) {
          if (type !== "hello") throw new Error("no hello");
          // An answer that lay in a frozen tab would seem to be new.
          if (now - asked > CONNECT) throw new Error("too late");
          this.watch.begin(moment(data.server_time), now);
          helloAt = now;
        }
        this.watch.take(type, data, now);
        this.#lastId = parser?.id ?? "";
        if (type === "hello") this.#say("open", 200);
        this.dispatchEvent(new CustomEvent(type, { detail: data }));
        if (type === "bye") this.#cut(`the service said bye: ${data.reason}`);
      });
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return end("the line was closed", parser.retry);
        parser.feed(decoder.decode(value, { stream: true }));
      }
    } catch (error) {
      const why = status === null ? "the service cannot be reached" : "the line broke";
      const unreadable = error instanceof TypeError || error instanceof DOMException ? why : `unreadable: ${error}`;
      return end(unreadable, parser?.retry ?? null);
    } finally {
      clearInterval(looking);
      abort.abort();
    }
  }

  async #url() {
    const { pairs, events, books } = this.#options;
    const pair = pairs?.length ? pairs.join(",") : undefined;
    const known = { books: (await books?.()) ? true : undefined, last_event_id: this.#lastId || undefined };
    return question(this.#base, "api/v1/stream", { pair, events, ...known });
  }

  /** @param {import("./client.js").Line["phase"]} phase @param {number | null} status @param {string | null} reason @param {number | null} retryAt */
  #say(phase, status = null, reason = null, retryAt = null) {
    this.line = { phase, status, reason, retryAt };
    this.dispatchEvent(new CustomEvent("line", { detail: this.line }));
  }
}

/** What the service said in place of what it was asked for. */
export class HistoryError extends Error {
  /** @param {number} status @param {any} data the answer; null where it is no JSON */
  constructor(status, data) {
    super(data?.message ?? `the service answered ${status}`);
    this.name = "HistoryError";
    this.status = status;
    this.code = data?.code ?? null;
    this.errors = data?.errors ?? [];
  }
}

/** The answer of any route, with its decimals as text. @param {URL} url @param {import("./client.js").Asking} options */
export async function readAnswer(url, { key, signal } = {}) {
  const response = await fetch(url, {
    headers: { Accept: "application/json", ...(key && { "X-API-Key": key }) },
    signal: signal ?? AbortSignal.timeout(CONNECT),
    cache: "no-store",
  });
  const text = await response.text();
  let data = null;
  try {
    data = readExact(text);
  } catch {
    // A proxy's own page, for one.
  }
  return { status: response.status, data };
}

/** @param {URL} url @param {import("./client.js").Asking} [options] */
async function read(url, options) {
  const { status, data } = await readAnswer(url, options);
  if (status > 299 || !data) throw new HistoryError(status, data);
  return data;
}

/**
 * The last traded prices at a moment.
 * @param {string | URL} base @param {string | string[]} pairs @param {import("./client.js").Moment} time
 * @param {import("./client.js").Asking} [options]
 */
export async function at(base, pairs, time, options) {
  return read(question(base, "api/v1/ltp/at", { pair: [pairs].flat().join(","), time }), options);
}

/** Whether its prices are all decimals, or all not known. @param {any} candle */
function isCandle({ start, open, high, low, close }) {
  const prices = [open, high, low, close];
  const known = prices.every((each) => typeof each === "string" && DECIMAL.test(each));
  return (known || prices.every((each) => each === null)) && !Number.isNaN(Date.parse(start));
}

/**
 * Candles, with what is known of each.
 * @param {string | URL} base @param {string} pair @param {import("./client.js").CandleOptions} [options]
 */
export async function candles(base, pair, { interval = "1m", start, end, limit, ...options } = {}) {
  const { candles: told } = await read(question(base, "api/v1/candles", { pair, interval, start, end, limit }), options);
  if (!Array.isArray(told) || !told.every(isCandle)) throw new HistoryError(200, { message: "the answer cannot be read" });
  return told;
}
