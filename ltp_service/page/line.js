/** How this tab gets its events, from the shared worker or on a line of its own, and whether it may believe them. */

import { SILENCE, SteadyClock } from "./client.js";
import { Hub } from "./hub.js";
import { Model, note } from "./model.js";
import { BASE } from "./service.js";

/** Milliseconds for the worker to answer. */
const PATIENCE = 5_000;
/** Milliseconds for which NOT LIVE is shown at least: what flashes by is not seen. */
const SHOWN = 1_000;
/** Milliseconds between two looks after which this tab was asleep. */
const ASLEEP = 15_000;
/** Milliseconds between two questions for everything, while the hub is well and this tab hears nothing new. */
const ASK = 2_000;
/** Milliseconds between two questions whether the device is offline indeed. */
const PROVE = 5_000;

/** @typedef {{kind: "connecting" | "live" | "lost" | "dead", reason: string, status: number | null, retryAt: number | null, asOf: number | null}} Liveness */

/** A name without the key in it, other for each key. @param {string} text */
function hash(text) {
  let [a, b] = [0x811c9dc5, 0x1000193];
  for (const letter of text) {
    a = Math.imul(a ^ letter.charCodeAt(0), 0x1000193);
    b = Math.imul(b + letter.charCodeAt(0), 0x85ebca6b) ^ (a >>> 13);
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}

export class Line {
  clock = new SteadyClock();
  model = new Model();
  /** @type {import("./model.js").Episode[]} Of this tab's line, newest first. */
  log = [];
  /** @type {Liveness} */
  liveness = { kind: "connecting", reason: "", status: null, retryAt: null, asOf: null };
  shared = false;
  #line = { phase: "connecting", status: null, reason: null, retryAt: null };
  /** @type {MessagePort | null} */
  #port = null;
  /** @type {Hub | null} */
  #own = null;
  #asked = 0;
  #joined = false;
  #pulse = 0;
  #looked = 0;
  #begun = 0;
  #deadAt = -Infinity;
  /** No word counts before this moment: the tab was asleep, and what it then reads has waited. */
  #awake = -Infinity;
  #heard = -Infinity;
  #offline = false;
  #provedAt = -Infinity;
  #listening = new AbortController();

  /** @param {string} key @param {() => void} changed called after each change */
  constructor(key, changed) {
    this.key = key;
    this.changed = changed;
    this.#looked = this.#begun = this.clock.now();
    const { signal } = this.#listening;
    addEventListener("offline", () => void this.#prove(), { signal });
    addEventListener("online", () => this.retry(), { signal });
    addEventListener("pagehide", () => this.#send({ kind: "leave" }), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.#join(), { signal });
    this.#join();
    if (!navigator.onLine) void this.#prove();
  }

  retry() {
    void this.#prove();
    if (this.#own) this.#own.stream.retry();
    else this.#send({ kind: "retry" });
  }

  /** @param {any} message */
  #send(message) {
    this.#port?.postMessage(message);
  }

  // The worker.

  #join() {
    this.#leave();
    this.#joined = false;
    this.#pulse = this.#asked = this.clock.now();
    if (typeof SharedWorker === "undefined") return this.#alone();
    try {
      // The number grows when the model has another shape: a worker may be of a version whose tabs are still open.
      const name = `ltp 2 ${hash(this.key)}`;
      const worker = new SharedWorker(new URL("worker.js", import.meta.url), { type: "module", name });
      worker.onerror = () => this.#joined || this.#alone();
      this.#port = worker.port;
      this.#port.onmessage = ({ data }) => this.#hear(data);
      this.#ask();
    } catch {
      this.#alone();
    }
  }

  /** Asks for everything. Their clock is learnt from the answer, so the way there and back is watched. */
  #ask() {
    this.#asked = this.clock.now();
    if (this.#own) this.#hear(structuredClone(this.#own.snapshot()));
    else this.#send({ kind: "join", key: this.key });
  }

  #leave() {
    this.#send({ kind: "leave" });
    if (this.#port) this.#port.onmessage = null;
    this.#port = null;
  }

  #alone() {
    this.#leave();
    this.#own ??= new Hub(this.key, (message) => this.#hear(message));
  }

  /** @param {any} message */
  #hear(message) {
    const now = this.clock.now();
    this.#look(now);
    this.#pulse = now;
    if (message.kind === "snapshot") {
      if (now - this.#asked > PATIENCE) return this.#ask();
      this.#joined = true;
      this.shared = !this.#own;
      this.model.import(message.model, now);
      this.#line = message.line;
    } else if (message.kind === "news") {
      this.#ask();
    } else if (message.kind === "line") {
      this.#line = message.line;
      if (message.line.phase === "refused") this.model.watch.end();
    } else if (message.kind === "event") {
      try {
        this.model.take(message.type, message.data, now);
      } catch {
        return this.#ask(); // of a pair that came with a hello which this tab has yet to hear of
      }
      if (message.type === "heartbeat" && this.model.watch.alive(now)) this.#heard = now;
    } else if (message.kind === "told") {
      this.model.told(message.what, message.data, now);
    } else if (message.kind === "pulse") {
      this.#send({ kind: "pulse" });
    } else if (message.kind === "refused") {
      this.#alone();
    }
    this.#judge(now);
    this.changed();
  }

  // Life.

  /** The browser freezes this tab in a moment: what it shows until it wakes must not seem to be live. */
  sleep() {
    this.#awake = this.clock.now();
    this.#heard = -Infinity;
    this.tick();
  }

  /** Whether time went by in which this tab did not run. @param {number} now */
  #look(now) {
    if (now - this.#looked > ASLEEP) {
      this.#awake = now;
      this.#heard = -Infinity;
    }
    this.#looked = now;
  }

  /** The device says that it is offline. It may be wrong, and the service on this very machine: ask. */
  async #prove() {
    this.#provedAt = this.clock.now();
    if (navigator.onLine) {
      this.#offline = false;
      return this.tick();
    }
    try {
      await fetch(new URL("health", BASE), { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      this.#offline = false;
    } catch {
      this.#offline = !navigator.onLine;
    }
    this.tick();
  }

  /** To be called each second, for what time alone changes. */
  tick() {
    const now = this.clock.now();
    this.#look(now);
    if (!this.#own && now - this.#pulse > (this.#joined ? SILENCE : PATIENCE)) {
      // A worker that died is made anew by joining; one that does not answer is left alone.
      if (this.#joined) this.#join();
      else this.#alone();
    }
    // Our clock may have jumped, and the hub's not.
    const deaf = this.#joined && this.#line.phase === "open" && !this.model.watch.alive(now);
    if (deaf && now - this.#asked > ASK) this.#ask();
    if (this.#offline && now - this.#provedAt > PROVE) void this.#prove();
    this.model.tick(now);
    this.#judge(now);
    this.changed();
  }

  /** @param {number} now */
  #judge(now) {
    const { watch } = this.model;
    const { phase, status, reason, retryAt } = this.#line;
    const alive = watch.alive(now);
    const asOf = this.model.rows.size ? watch.heardAt : null;
    /** @type {[Liveness["kind"], string]} */
    let found = ["live", ""];
    if (this.#offline) found = ["dead", "this device is offline"];
    else if (now - this.#awake < SILENCE && this.#heard < this.#awake) found = ["dead", "this tab was asleep"];
    else if (phase === "refused") found = ["dead", reason ?? ""];
    else if (!alive && this.liveness.kind === "connecting" && now - this.#begun < SILENCE) found = ["connecting", ""];
    else if (!alive) found = ["dead", reason ?? "no heartbeat for 10 s"];
    else if (now - this.#deadAt < SHOWN) found = ["dead", this.liveness.reason];
    else if (phase === "lost") found = ["lost", reason ?? ""];
    const [kind, why] = found;
    const before = this.liveness.kind;
    if (kind === "dead" && before !== "dead") this.#deadAt = now;
    if ((kind === "dead") !== (before === "dead")) {
      const at = watch.serverNow(now);
      const [from, to] = [before, kind].map((each) => (each === "dead" ? "not live" : "open"));
      note(this.log, { subject: "line", from: before === "connecting" ? "opening" : from, to, at, until: null, why });
    }
    this.liveness = { kind, reason: why, status, retryAt, asOf };
  }

  close() {
    this.#listening.abort();
    this.#own?.close();
    this.#leave();
  }
}
