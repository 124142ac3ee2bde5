/**
 * The types of client.js: the prices of an ltp_service as they change, on a line that is never silently dead.
 *
 *   import { PriceStream } from "https://prices.example/client.js";
 *
 *   const stream = new PriceStream("https://prices.example/", { pairs: ["BTC/USD"] });
 *   stream.addEventListener("price", () => show(stream.quote("BTC/USD")));
 *   stream.addEventListener("line", () => show(stream.quote("BTC/USD")));
 *   setInterval(() => show(stream.quote("BTC/USD")), 1000);  // time alone can make a price untrustworthy
 *
 * A quote says `trustworthy` only as long as the service would say so too. The stream connects again for ever, after
 * every status and every cut, and takes up where it was. What was before is asked for with at() and candles().
 */

export type State = "live" | "quiet" | "fallback" | "substitute" | "halted" | "stale" | "unknown";

/** Of another exchange, beside our price. */
export interface Witness {
  exchange: string;
  /** A decimal, as the exchange wrote it. */
  price: string;
  age_ms: number;
  /** Basis points above our price; null where that is not known. */
  divergence_bps: number | null;
}

/** What the exchanges with a price confirmed within 10 s say together. */
export interface Consensus {
  /** A decimal as text; null with fewer than three of them. */
  median: string | null;
  sources: string[];
  spread_bps: number | null;
  /** Basis points of our price above the median. */
  deviation_bps: number | null;
  /** Why there is no median. */
  reason?: string;
}

/** The data of `price`: the item of `GET /api/v1/ltp?detail=true`, with decimals as text. */
export interface Price {
  pair: string;
  /** Null where the service would not serve it. */
  amount: string | null;
  /** The exchange's text, every digit. Never make a binary float of it. */
  price: string | null;
  state: State;
  /** Of a `substitute` another exchange, whose market has another price. */
  source: string | null;
  traded_at: string | null;
  confirmed_at: string | null;
  age_ms: number | null;
  trade_id: number | null;
  witnesses?: Witness[];
  consensus?: Consensus;
  /** Whether the price is far from the median of the other exchanges; absent where fewer than two tell one. */
  deviating?: boolean;
}

/** A price, and how far it can be trusted at this moment. */
export interface Quote extends Omit<Price, "state"> {
  /** `unconfirmed`: the service called it good, and nothing confirms that any more. */
  state: State | "unconfirmed";
  /** The state that the service told last. */
  told: State;
  /** Whether the service would serve it now. */
  trustworthy: boolean;
}

/** The data of `trade`, one trade of Kraken's. */
export interface Trade {
  pair: string;
  price: string;
  quantity: string;
  side: "buy" | "sell";
  traded_at: string;
  trade_id: number;
}

/** The data of `gap`: trades that cannot be told. */
export interface Gap {
  pair: string;
  after_trade_id: number | null;
  before_trade_id: number | null;
  from: string | null;
  to: string | null;
}

export interface Hello {
  version: string;
  server_time: string;
  heartbeat_s: number;
  pairs: string[];
  resumed: boolean;
}

/** What is bid or asked at the best price; decimals as text. */
export interface BestLevel {
  price: string;
  size: string;
}

/** The best bid and ask on Kraken. With a problem both are null. */
export interface Book {
  pair: string;
  bid: BestLevel | null;
  ask: BestLevel | null;
  in_sync: boolean;
  problem: "unknown" | "out_of_sync" | "stale" | null;
  changed_at: string | null;
}

export interface Heartbeat {
  server_time: string;
  states: Partial<Record<State, number>>;
  evidence_age_ms: Record<string, number | null>;
}

export interface Line {
  /** `lost`: an open line broke, the next try comes at once. `refused`: a try failed. */
  phase: "connecting" | "open" | "lost" | "refused" | "closed";
  /** The HTTP status of the last answer; null without one. */
  status: number | null;
  reason: string | null;
  /** Unix milliseconds of the next try. */
  retryAt: number | null;
}

export interface Options {
  /** All pairs that the service serves unless given. */
  pairs?: string[];
  /** `prices` unless given. */
  events?: "prices" | "trades" | "all";
  /** Whether `book` events come, too; asked before each connection. They need `kraken_books` in COLLECTORS. */
  books?: () => boolean | Promise<boolean>;
  /** Where reads need a key. A page that is not yours alone shows it to its users. */
  key?: string;
}

export interface Events {
  hello: CustomEvent<Hello>;
  price: CustomEvent<Price>;
  trade: CustomEvent<Trade>;
  book: CustomEvent<Book>;
  gap: CustomEvent<Gap>;
  heartbeat: CustomEvent<Heartbeat>;
  bye: CustomEvent<{ reason: string }>;
  line: CustomEvent<Line>;
}

/** One line to the service. It connects again for ever, after every status, until `close()`. */
export class PriceStream extends EventTarget {
  /** `base` is where the service is: its root, with a slash at the end. */
  constructor(base: string | URL, options?: Options);
  readonly line: Line;
  readonly watch: Watch;
  /** Whether the service was heard within the last 10 s, on a line that is not known to be broken. */
  readonly live: boolean;
  /** The price as far as it can be trusted now; undefined before the first one. */
  quote(pair: string): Quote | undefined;
  /** Tries again at once where it waits for the next try. */
  retry(): void;
  close(): void;
  addEventListener<K extends keyof Events>(
    type: K,
    listener: (event: Events[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

// What was before.

/** An RFC 3339 text with its zone, or unix seconds. */
export type Moment = Date | string | number;

export interface Asking {
  key?: string;
  /** 10 s unless given. */
  signal?: AbortSignal;
}

/** The last traded price at a moment. */
export interface PastPrice {
  pair: string;
  /** The same decimal as `price`. */
  amount: string;
  /** The exchange's text, every digit. */
  price: string;
  /** Null where REST told the price without it. */
  traded_at: string | null;
  trade_id: number | null;
  /** `exact`: no trade is missing. `observed`: known without ids, so one may be. */
  proof: "exact" | "observed";
  next_trade_id: number | null;
  evidence_until: string;
}

/** A known trade beside a hole. */
export interface Edge {
  trade_id: number;
  traded_at: string;
  price: string;
}

/** Why a pair has no price at a moment. */
export interface PastError {
  pair: string;
  error: string;
  code: "HISTORY_GAP" | "HISTORY_UNKNOWN" | "UNSUPPORTED_PAIR";
  message: string;
  /** Of a `HISTORY_GAP`. */
  before?: Edge | null;
  after?: Edge | null;
}

export interface PastPrices {
  time: string;
  ltp: PastPrice[];
  /** Pairs without a price at the moment, where others have one. */
  errors?: PastError[];
}

export interface Candle {
  start: string;
  /** Prices and volume are decimals as text; null without a known trade. */
  open: string | null;
  high: string | null;
  low: string | null;
  close: string | null;
  volume: string;
  vwap: string | null;
  trades: number;
  first_trade_id: number | null;
  last_trade_id: number | null;
  /** `empty`: it is proven that there was no trade. `unknown`: there may have been some, so draw no line through it. */
  coverage: "complete" | "partial" | "empty" | "unknown";
  /** It is not over yet. */
  open_ended?: true;
}

export interface CandleOptions extends Asking {
  /** `1m` unless given. */
  interval?: "1m" | "5m" | "15m" | "1h" | "4h" | "1d";
  /** With it at most 1000 candles from there on; without it the last ones, 60 unless `limit` is given. */
  start?: Moment;
  end?: Moment;
  limit?: number;
}

/** What the service said in place of an answer. A service that cannot be reached is an error of `fetch`. */
export class HistoryError extends Error {
  /** `data` is the answer; null where it is no JSON. */
  constructor(status: number, data: unknown);
  readonly status: number;
  /** `HISTORY_GAP`, `NOT_SUPPORTED` and others; null where the answer is not the service's. */
  readonly code: string | null;
  readonly errors: PastError[];
}

/** The last traded prices at a moment. Throws a HistoryError where no pair has one: 409 where trades are missing. */
export function at(base: string | URL, pairs: string | string[], time: Moment, options?: Asking): Promise<PastPrices>;

/** Candles, oldest first, with what is known of each. Throws a HistoryError. */
export function candles(base: string | URL, pair: string, options?: CandleOptions): Promise<Candle[]>;

// The parts, for pages that get the events in another way.

/** Milliseconds without a word of the service after which nothing that it said is current. */
export const SILENCE: number;
export const UNCONFIRMED: "unconfirmed";

/** Milliseconds that go on while the system sleeps. */
export class SteadyClock {
  now(): number;
}

export interface Watched {
  serverNow: number;
  heard: number;
  ended: boolean;
  ttl: number;
  pairs: Set<string>;
  told: Map<string, { data: Price; told: number; confirmed: number | null }>;
}

/** What the events have told, and how far it can be trusted as time goes by. `now` is a SteadyClock's. */
export class Watch {
  /** The service's CACHE_TTL in milliseconds. */
  ttl: number;
  begin(serverNow: number, now: number): void;
  end(): void;
  /** Throws for an event that cannot be meant. */
  take(type: string, data: unknown, now: number): void;
  serverNow(now: number): number;
  /** The newest moment of the service that was heard of. */
  readonly heardAt: number | null;
  alive(now: number): boolean;
  quote(pair: string, now: number): Quote | undefined;
  export(now: number): Watched;
  import(told: Watched, now: number): void;
}

/** Cuts text/event-stream into events. */
export class EventParser {
  constructor(tell: (type: string, data: string) => void);
  /** The last event's id. */
  readonly id: string;
  readonly retry: number | null;
  feed(text: string): void;
}

/** The answer of any route, with its decimals as text; `data` is null where it is no JSON. */
export function readAnswer(url: URL, options?: Asking): Promise<{ status: number; data: any }>;

/** JSON whose decimals stay the text that they are. */
export function readExact(text: string): any;
