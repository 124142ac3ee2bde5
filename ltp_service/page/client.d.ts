/** The types of client.js: the prices of an ltp_service as they change, on a line that is never silently dead. */

export type State = "live" | "quiet" | "fallback" | "halted" | "stale" | "unknown";

/** Of another exchange, beside our price. */
export interface Witness {
  exchange: string;
  /** A decimal, as the exchange wrote it. */
  price: string;
  age_ms: number;
  /** Basis points above our price; null where that is not known. */
  divergence_bps: number | null;
}

/** The data of `price`: the item of `GET /api/v1/ltp?detail=true`, with decimals as text. */
export interface Price {
  pair: string;
  /** Null where the service would not serve it. */
  amount: string | null;
  /** The exchange's text, every digit. Never make a binary float of it. */
  price: string | null;
  state: State;
  source: string | null;
  traded_at: string | null;
  confirmed_at: string | null;
  age_ms: number | null;
  trade_id: number | null;
  witnesses?: Witness[];
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
  /** Where reads need a key. A page that is not yours alone shows it to its users. */
  key?: string;
}

export interface Events {
  hello: CustomEvent<Hello>;
  price: CustomEvent<Price>;
  trade: CustomEvent<Trade>;
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

/** JSON whose decimals stay the text that they are. */
export function readExact(text: string): any;
