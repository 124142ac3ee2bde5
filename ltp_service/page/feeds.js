/** The feeds of the service, the other exchanges, what has changed when, and the service itself. */

import { by, h, icon, list, s, say, sayAll, set } from "./dom.js";
import { SLOT, SLOTS, stretches } from "./track.js";
import { clock, span } from "./words.js";

/** @typedef {import("./line.js").Line} Line */

/** Heights in a bar, for those who see no colours. @type {Record<string, number>} */
const LEVEL = { up: 12, trouble: 7, down: 3 };

/** @param {Line} line */
export function showFeeds({ model, clock: ours }) {
  const at = model.watch.serverNow(ours.now());
  /** @type {[string, any][]} */
  const entries = [...model.feeds].map(([name, { told, track }]) => {
    const state = (told.healthy ? null : (told.problem ?? told.last_error)) ?? told.state;
    const last = told.last_frame_at ? span(at - Date.parse(told.last_frame_at)) : "never";
    return [name, { track, texts: [state, undefined, last, `${Math.max(0, told.generation - 1)}`] }];
  });
  if (model.rest) entries.push(["REST", { track: model.rest.track, texts: [breaker(model.rest.told)] }]);
  by("feeds-none").hidden = entries.length > 0;
  list(by("feeds"), entries, (element, { track, texts }) => {
    sayAll(element, element.getAttribute("data-key")?.replace("_", " "), ...texts);
    set(element.children[1], "class", `feed ${track.values.at(-1)}`);
    showBar(element.children[2], track, at);
  });
}

/** REST stands behind a circuit breaker. @param {any} told */
function breaker({ state, failures, retry_in_s }) {
  const failed = failures ? `, ${failures} failed` : "";
  const next = retry_in_s ? `, again in ${Math.ceil(retry_in_s)} s` : "";
  return `breaker ${state.replace("_", "-")}${failed}${next}`;
}

/** @param {Element} cell @param {import("./track.js").Track} track @param {number} at */
function showBar(cell, track, at) {
  const view = { class: "states", role: "img", viewBox: `0 0 ${SLOTS} 12`, preserveAspectRatio: "none" };
  const picture = cell.firstElementChild ?? cell.appendChild(s("svg", view));
  /** @type {Map<string, number>} */
  const slots = new Map();
  const bars = stretches(track, at, true).map(({ first, values: [level, ...others] }) => {
    const width = 1 + others.length;
    slots.set(level, width + (slots.get(level) ?? 0));
    return s("rect", { class: level, x: first, width, y: 12 - LEVEL[level], height: LEVEL[level] });
  });
  picture.replaceChildren(...bars);
  const told = [...slots].map(([level, count]) => `${level} ${span(count * SLOT)}`);
  set(picture, "aria-label", `Last 15 minutes: ${told.join(", ") || "nothing known"}`);
}

/** @param {Line} line */
export function showMarkets({ model }) {
  const rows = model.markets ?? [];
  by("markets-table").hidden = !rows.length;
  by("markets-none").hidden = rows.length > 0;
  say(by("markets-none"), model.markets ? "None are collected here" : "Not known yet");
  list(
    by("markets"),
    rows.map((each) => [`${each.exchange} ${each.symbol}`, each]),
    (element, { exchange, symbol, rate, last, book }) => {
      const pace = rate === null ? "—" : rate.toFixed(rate < 10 ? 1 : 0);
      const none = book && !book.in_sync ? "out of sync" : "—";
      sayAll(element, exchange, symbol, pace, last ?? "—", book?.best_bid?.price ?? none, book?.best_ask?.price ?? none);
    },
  );
}

/** @param {Line} line */
export function showLog({ model, log, clock: ours }) {
  const now = model.watch.serverNow(ours.now());
  const both = [...model.log, ...log].sort((a, b) => b.at - a.at).slice(0, 200);
  by("log-none").hidden = both.length > 0;
  list(
    by("log"),
    both.map((each) => [`${each.number} ${each.at} ${each.subject}`, each]),
    (element, { subject, from, to, at, until, why }) => {
      const lasted = until === null ? `${span(now - at)} so far` : span(until - at);
      sayAll(element, clock(at), subject, undefined, lasted);
      const change = element.children[2];
      if (change.firstChild) return;
      const image = document.getElementById(`i-${to}`) ? [icon(to)] : [];
      const state = h("span", { class: "state", "data-state": to }, ...image, to);
      change.append(`${from} → `, state, ...(why ? [h("small", {}, ` ${why}`)] : []));
    },
  );
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
    (element, value) => sayAll(element, element.getAttribute("data-key") ?? "", value),
    () => h("div", {}, h("dt"), h("dd")),
  );
}
