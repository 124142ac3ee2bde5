/** The one sentence: how many prices can be trusted, and what is wrong with the others; and its icon. */

import { UNCONFIRMED } from "./client.js";
import { minute } from "./words.js";

/** @typedef {"ok" | "warn" | "bad" | "dead" | "wait"} Level */

/** What is said of one pair in that state. @type {Record<string, string>} */
const SAID = {
  fallback: "from REST",
  substitute: "from another exchange",
  halted: "halted",
  stale: "stale",
  unknown: "never seen",
  [UNCONFIRMED]: "not confirmed",
};
/** States without a "but". */
const GOOD = new Set(["live", "quiet"]);
/** Pairs that are named one by one. */
const NAMED = 2;

/**
 * @param {import("./model.js").Model} model @param {import("./line.js").Liveness} liveness @param {number} now
 * @returns {{text: string, level: Level}}
 */
export function verdict(model, liveness, now) {
  if (liveness.kind === "dead") return { text: "NOT LIVE: no price on this page is current", level: "dead" };
  const quotes = [...model.rows].map(([pair, row]) => ({ pair, row, quote: model.watch.quote(pair, now) }));
  const known = quotes.filter(({ quote }) => quote);
  if (!known.length) return { text: "Waiting for the first prices", level: "wait" };
  // Where the WebSocket is switched off REST is the source, and no fallback.
  const restAlone = model.status?.connection?.websocket_enabled === false;
  /** @type {Map<string, typeof quotes>} */
  const others = new Map();
  let trustworthy = 0;
  for (const each of quotes) {
    const state = each.quote?.state ?? "unknown";
    const good = GOOD.has(state) || (restAlone && state === "fallback");
    if (good || state === "halted" || state === "substitute") trustworthy += 1;
    if (!good) (others.get(state) ?? others.set(state, []).get(state))?.push(each);
  }
  const remarks = [...others].map(([state, of]) => remark(state, of));
  const text = [`${trustworthy} of ${quotes.length} prices trustworthy`, ...remarks].join("; ");
  const served = known.filter(({ quote }) => quote?.trustworthy).length;
  const level = served === 0 ? "bad" : others.size ? "warn" : "ok";
  return { text, level };
}

/** @param {string} state @param {{pair: string, row: import("./model.js").Row}[]} of */
function remark(state, of) {
  const since = Math.min(...of.map(({ row }) => row.since));
  const first = of.find(({ row }) => row.since === since);
  const before = first?.row.certain ? "" : "before ";
  const names = of.length <= NAMED ? of.map(({ pair }) => pair).join(" and ") : `${of.length} pairs`;
  const when = state === "unknown" || !since ? "" : ` since ${before}${minute(since)}`;
  return `${names} ${SAID[state] ?? state}${when}`;
}

/** In a tab each has a colour and a white mark, not a colour alone. @type {Record<Level, [string, string]>} */
const LOOKS = {
  ok: ["#0b7a43", "M4 8.5l3 3 5-6.5"],
  warn: ["#b26a00", "M8 4v5M8 11.4v.6"],
  bad: ["#b3261e", "M5 5l6 6M11 5l-6 6"],
  dead: ["#5a6472", "M4 8h8"],
  wait: ["#5a6472", "M8 4.5V8l2.5 2"],
};

/** @param {Level} level */
export function favicon(level) {
  const [colour, mark] = LOOKS[level];
  const rim = level === "dead" ? '<circle cx="8" cy="8" r="6.8" fill="none" stroke="#d93025" stroke-width="2.4"/>' : "";
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8" fill="${colour}"/>${rim}` +
    `<path d="${mark}" fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
