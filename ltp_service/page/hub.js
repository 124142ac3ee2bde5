/** One stream and the polls with one key. It runs in the worker that all tabs share, or in the tab where there is none. */

import { PriceStream, SteadyClock } from "./client.js";
import { Model } from "./model.js";
import { BASE, Polls, ask } from "./service.js";

const EVENTS = ["hello", "price", "heartbeat", "book"];

export class Hub {
  #clock = new SteadyClock();
  #model = new Model();
  #hasPast = false;

  /** @param {string} key @param {(message: any) => void} tell */
  constructor(key, tell) {
    this.key = key;
    const books = async () => (await ask("collectors/status", key)).data?.collectors?.kraken_books;
    this.stream = new PriceStream(BASE, { key, books });
    const polls = new Polls(
      key,
      (what, data) => {
        this.#model.told(what, data, this.#clock.now());
        tell({ kind: "told", what, data });
      },
      () => this.#model.watch.serverNow(this.#clock.now()),
    );
    for (const type of EVENTS) {
      this.stream.addEventListener(type, (event) => {
        const data = /** @type {CustomEvent} */ (event).detail;
        const now = this.#clock.now();
        if (type === "hello") this.#model.watch.begin(Date.parse(data.server_time), now);
        this.#model.take(type, data, now);
        if (type === "heartbeat" && !this.#hasPast) {
          this.#hasPast = true;
          void polls.past([...this.#model.rows.keys()]);
        }
        // A tab learns their clock only by asking: what waits in a frozen tab must not seem to be new.
        tell(type === "hello" ? { kind: "news" } : { kind: "event", type, data });
      });
    }
    this.stream.addEventListener("line", ({ detail }) => {
      if (detail.phase === "open") polls.start();
      else polls.stop();
      if (detail.phase === "refused") this.#model.watch.end();
      tell({ kind: "line", line: detail });
    });
    this.ticking = setInterval(() => this.#model.tick(this.#clock.now()), 1_000);
    this.polls = polls;
  }

  /** Everything that is known now. */
  snapshot() {
    return { kind: "snapshot", model: this.#model.export(this.#clock.now()), line: this.stream.line };
  }

  close() {
    clearInterval(this.ticking);
    this.polls.stop();
    this.stream.close();
  }
}
