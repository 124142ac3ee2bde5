/** The feeds of the service, the other exchanges, what has changed when, and the service itself. */

import { by, h, icon, list, s, say, set } from "./dom.js";
import { SLOTS, stretches } from "./track.js";
import { clock, span } from "./words.js";

/** @typedef {import("./line.js").Line} Line */

/** Heights in a bar, for those who see no colours. @type {Record<string, number>} */
const LEVEL = { up: 12, trouble: 7, down: 3 };

/** Cells with labels for narrow screens. @param {string[]} labels @param {Set<number>} [numbers] */
function row(labels, numbers = new Set()) {
  return () =>
    h(
      "tr",
      { role: "row" },
      ...labels.map((label, place) =>
        place
          ? h("td", { role: "cell", "data-label": label, class: numbers.has(place) ? "number" : false })
          : h("th", { role: "rowheader", scope: "row" }),
      ),
    );
}

const FEED = row(["Feed", "State", "Last 15 min", "Last frame", "Reconnects"], new Set([3, 4]));
const MARKET = row(["Exchange", "Symbol", "Trades/s", "Last", "Best bid", "Best ask"], new Set([2, 3, 4, 5]));
const TRANSITION = row(["Moment", "What", "From, to", "Lasted"], new Set([3]));

/** @param {Line} line */
export function showFeeds({ model, clock: ours }) {
  const at = model.watch.serverNow(ours.now());
  /** @type {[string, any][]} */
  const entries = [...model.feeds].map(([name, { told, track }]) => [
    name,
    {
      track,
      state: told.healthy ? told.state : (told.problem ?? told.last_error ?? told.state),
      level: told.healthy ? "up" : told.connected ? "trouble" : "down",
      frame: told.last_frame_at,
      reconnects: Math.max(0, told.generation - 1),
    },
  ]);
  if (model.rest) entries.push(["REST", { ...restOf(model.rest.told), track: model.rest.track }]);
  by("feeds-none").hidden = entries.length > 0;
  list(by("feeds"), entries, FEED, (element, { state, level, frame, reconnects, track }) => {
    const [name, word, bar, last, count] = element.children;
    say(name, (element.getAttribute("data-key") ?? "").replace("_", " "));
    say(word, state);
    set(word, "class", `feed ${level}`);
    say(last, frame === undefined ? "" : frame ? span(at - Date.parse(frame)) : "never");
    say(count, reconnects === undefined ? "" : `${reconnects}`);
    showBar(bar, track, at);
  });
}

/** REST stands behind a circuit breaker. @param {any} breaker */
export function restOf({ state, failures, retry_in_s }) {
  const failed = failures ? `, ${failures} failed` : "";
  const next = retry_in_s ? `, again in ${Math.ceil(retry_in_s)} s` : "";
  const level = state === "closed" ? "up" : state === "open" ? "down" : "trouble";
  return { state: `breaker ${state.replace("_", "-")}${failed}${next}`, level };
}

/** @param {Element} cell @param {import("./track.js").Track} track @param {number} at */
function showBar(cell, track, at) {
  if (!cell.firstElementChild) {
    cell.append(s("svg", { class: "states", role: "img", viewBox: `0 0 ${SLOTS} 12`, preserveAspectRatio: "none" }));
  }
  const picture = /** @type {Element} */ (cell.firstElementChild);
  const parts = stretches(track, at, true);
  /** @type {[string, any][]} */
  const entries = parts.map((part, place) => [`${place}`, part]);
  list(
    picture,
    entries,
    () => s("rect"),
    (element, { first, values }) => {
      const height = LEVEL[values[0]] ?? 1;
      set(element, "class", values[0]);
      set(element, "x", first);
      set(element, "width", values.length);
      set(element, "y", 12 - height);
      set(element, "height", height);
    },
  );
  const total = (/** @type {string} */ level) =>
    parts.filter(({ values }) => values[0] === level).reduce((sum, { values }) => sum + values.length * 5_000, 0);
  const told = Object.keys(LEVEL).filter(total).map((level) => `${level} ${span(total(level))}`);
  set(picture, "aria-label", `Last 15 minutes: ${told.join(", ") || "nothing known"}`);
}

/** @param {Line} line */
export function showMarkets({ model }) {
  const rows = model.markets ?? [];
  by("markets-table").hidden = !rows.length;
  by("markets-none").hidden = rows.length > 0;
  say(by("markets-none"), model.markets ? "None are collected here" : "Not known yet");
  /** @type {[string, any][]} */
  const entries = rows.map((each) => [`${each.exchange} ${each.symbol}`, each]);
  list(by("markets"), entries, MARKET, (element, { exchange, symbol, rate, last, book }) => {
    const [name, symbolCell, rateCell, lastCell, bid, ask] = element.children;
    say(name, exchange);
    say(symbolCell, symbol);
    say(rateCell, rate === null ? "—" : rate.toFixed(rate < 10 ? 1 : 0));
    say(lastCell, last ?? "—");
    say(bid, book?.best_bid?.price ?? (book && !book.in_sync ? "out of sync" : "—"));
    say(ask, book?.best_ask?.price ?? (book && !book.in_sync ? "out of sync" : "—"));
  });
}

/** @param {Line} line */
export function showLog({ model, log, clock: ours }) {
  const now = model.watch.serverNow(ours.now());
  const both = [...model.log, ...log].sort((a, b) => b.at - a.at).slice(0, 200);
  by("log-none").hidden = both.length > 0;
  /** @type {[string, any][]} */
  const entries = both.map((each) => [`${each.number} ${each.at} ${each.subject}`, each]);
  list(by("log"), entries, TRANSITION, (element, { subject, from, to, at, until, why }) => {
    const [moment, what, change, lasted] = element.children;
    if (!change.firstChild) {
      say(moment, clock(at));
      say(what, subject);
      const image = document.getElementById(`i-${to}`) ? [icon(to)] : [];
      const change_ = h("span", { class: "state", "data-state": to }, ...image, to);
      change.append(`${from} → `, change_, ...(why ? [h("small", {}, ` ${why}`)] : []));
    }
    say(lasted, until === null ? `${span(now - at)} so far` : span(until - at));
  });
}

/** @param {Line} line */
export function showAbout({ model, shared }) {
  const { status, version } = model;
  /** @type {[string, string][]} */
  const facts = [["version", version || "—"]];
  if (status) {
    facts.push(["status", status.status], ["up for", span(1000 * status.uptime_s)]);
    facts.push(["worker", `${status.worker.pid}, one of ${status.worker.count}`]);
    if (status.fleet) facts.push(["fleet", `${status.fleet.role}, epoch ${status.fleet.epoch}`]);
    for (const [name, value] of Object.entries(status.settings ?? {})) {
      const durations = !/limit|enabled/.test(name);
      facts.push([name.toUpperCase(), durations ? `${value} s` : `${value}`]);
    }
  }
  facts.push(["this tab", shared ? "shares one line with the others" : "has a line of its own"]);
  list(
    by("about"),
    facts,
    () => h("div", {}, h("dt"), h("dd")),
    (element, value) => {
      say(element.children[0], element.getAttribute("data-key") ?? "");
      say(element.children[1], value);
    },
  );
}
