/** The one sentence: how many prices can be trusted, and what is wrong with the others. */

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
