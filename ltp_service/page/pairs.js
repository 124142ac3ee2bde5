/** The table of pairs, and one of them on a wall. */

import { UNCONFIRMED } from "./client.js";
import { heights } from "./decimals.js";
import { by, flash, h, icon, list, s, say, set, tableRow } from "./dom.js";
import { SLOTS, stretches } from "./track.js";
import { MEANING, clock, letters, span } from "./words.js";

/** @typedef {import("./line.js").Line} Line */

const HEIGHT = 28;
/** Most pairs that are drawn at a time: with a thousand rows a browser needs seconds to lay out one new price. */
const DRAWN = 50;

/** What the reader looks for, and the place of the first pair that is drawn. */
const sought = { text: "", first: 0 };
/** The prices that have moved since the last picture, and where to. @type {[Element, string][]} */
const moved = [];

/** The price of a pair as it may be shown now: on a line that is not live nothing is. @param {Line} line @param {string} pair */
function shown(line, pair) {
  const quote = line.model.watch.quote(pair, line.clock.now());
  const broken = line.liveness.kind === "dead" && quote && quote.state !== "unknown";
  return broken ? { ...quote, state: UNCONFIRMED, trustworthy: false } : quote;
}

/** State as word and icon. @param {Element} cell @param {string} state */
function showState(cell, state) {
  if (cell.getAttribute("data-state") === state) return;
  set(cell, "data-state", state);
  set(cell, "title", MEANING[state] ?? "");
  cell.replaceChildren(icon(MEANING[state] ? state : "unknown"), state);
}

/** @param {Line} line */
export function showPairs(line) {
  const { rows } = line.model;
  const found = find(line, [...rows.keys()]);
  while (sought.first > 0 && sought.first >= found.length) sought.first -= DRAWN;
  const drawn = found.slice(sought.first, sought.first + DRAWN);
  list(by("pairs"), drawn.map((pair) => [pair, rows.get(pair)]), (element, row) => row && fillRow(element, row, line), makeRow);
  flash(moved.splice(0));
  by("find").hidden = rows.size <= DRAWN;
  if (rows.size > DRAWN) showPlace(found.length, rows.size);
}

/** The pairs of which each word is a part of the name, or the beginning of the state. @param {Line} line @param {string[]} pairs */
function find(line, pairs) {
  const words = sought.text.split(/[\s,]+/).filter(letters);
  if (!words.length) return pairs;
  return pairs.filter((pair) => {
    const state = shown(line, pair)?.state ?? "unknown";
    return words.every((word) => letters(pair).includes(letters(word)) || state.startsWith(word.toLowerCase()));
  });
}

/** @param {number} found @param {number} all */
function showPlace(found, all) {
  const { first, text } = sought;
  const last = Math.min(found, first + DRAWN);
  const place = found ? `${first + 1} to ${last} of ${found}` : "None";
  say(by("find-place"), text.trim() ? `${place} found among ${all}` : place);
  set(by("find-before"), "disabled", first === 0);
  set(by("find-after"), "disabled", last === found);
}

/** Has the reader look for pairs. @param {() => void} redraw */
export function letFind(redraw) {
  const look = (/** @type {Partial<typeof sought>} */ change) => {
    Object.assign(sought, change);
    redraw();
  };
  by("find-text").addEventListener("input", ({ target }) =>
    look({ text: /** @type {HTMLInputElement} */ (target).value, first: 0 }),
  );
  by("find-before").addEventListener("click", () => look({ first: sought.first - DRAWN }));
  by("find-after").addEventListener("click", () => look({ first: sought.first + DRAWN }));
}

/** @param {string} pair */
function makeRow(pair) {
  const element = tableRow(by("pairs"));
  const [name, number, , , , spark, , why] = element.children;
  set(element, "data-pair", pair);
  name.append(pair);
  number.append(h("span", { class: "arrow" }), h("span", { class: "price" }, "…"), h("span", { class: "book" }));
  spark.append(s("svg", { role: "img", viewBox: `0 0 ${SLOTS} ${HEIGHT}`, preserveAspectRatio: "none" }));
  const href = `api/v1/ltp/explain?pair=${encodeURIComponent(pair).replaceAll("%2F", "/")}`;
  why.append(h("a", { href, "aria-label": `Why this price of ${pair}?` }, "why?"));
  return element;
}

/** @param {Element} element @param {import("./model.js").Row} row @param {Line} line */
function fillRow(element, row, line) {
  const quote = shown(line, element.getAttribute("data-pair") ?? "");
  const [, number, state, age, source, , witnesses] = element.children;
  const [arrow, price, book] = number.children;
  if (!quote) return;
  const before = price.textContent;
  set(element, "data-state", quote.state);
  say(price, quote.price ?? row.price ?? "—");
  say(book, row.book && line.liveness.kind === "live" ? bidAndAsk(row.book) : "");
  showArrow(arrow, row.direction);
  if (before !== "…" && before !== price.textContent) moved.push([price, row.direction > 0 ? "up" : "down"]);
  showState(state, quote.state);
  say(age, quote.age_ms === null ? "never" : span(quote.age_ms));
  set(age, "title", quote.traded_at ? `traded at ${clock(Date.parse(quote.traded_at))}` : "");
  say(source, (quote.source ?? "—").replace(":", " "));
  showWitnesses(witnesses, quote, line.model.status?.settings.price_divergence_limit ?? 0.05);
}

/** @param {any} book */
function bidAndAsk({ bid, ask, problem }) {
  if (problem) return `bid and ask ${problem.replaceAll("_", " ")}`;
  return `bid ${bid?.price ?? "—"} ask ${ask?.price ?? "—"}`;
}

/** @param {Element} arrow @param {number} direction */
function showArrow(arrow, direction) {
  const name = direction > 0 ? "up" : direction < 0 ? "down" : "";
  if (arrow.getAttribute("data-move") === name) return;
  set(arrow, "data-move", name);
  arrow.replaceChildren(...(name ? [icon(name), h("span", { class: "hidden" }, name)] : []));
}

/** @param {Element} cell @param {any} quote @param {number} limit */
function showWitnesses(cell, { witnesses = [], deviating }, limit) {
  /** @type {[string, any][]} */
  const entries = witnesses.map((/** @type {any} */ each) => [each.exchange, each]);
  if (deviating) entries.unshift(["deviates", null]);
  list(
    cell,
    entries,
    (element, witness) => {
      const bps = witness?.divergence_bps ?? null;
      const apart = bps === null ? "?" : `${bps < 0 ? "−" : "+"}${Math.abs(bps).toFixed(1)}`;
      say(element, witness ? `${witness.exchange} ${apart}` : `deviates more than ${+(100 * limit).toFixed(4)} % from the median`);
    },
    (key) => h("span", { class: key }),
  );
}

/** The pictures of the last 15 minutes, which change each few seconds only. @param {Line} line */
export function showSparks(line) {
  const at = line.model.watch.serverNow(line.clock.now());
  for (const element of by("pairs").children) {
    const row = line.model.rows.get(element.getAttribute("data-pair") ?? "");
    const picture = element.querySelector(".spark svg");
    if (row && picture) showSpark(picture, row, at);
  }
}

/** @param {Element} picture @param {import("./model.js").Row} row @param {number} at */
function showSpark(picture, row, at) {
  const parts = stretches(row.track, at);
  const all = parts.flatMap(({ values }) => values);
  if (!all.length) {
    set(picture, "aria-label", "Nothing is known of the last 15 minutes");
    return picture.replaceChildren();
  }
  const ups = heights(all, HEIGHT - 4);
  let index = 0;
  const path = parts
    .map(({ first, values }) => {
      const points = values.map((_, place) => `${first + place} ${(HEIGHT - 2 - ups[index++]).toFixed(2)}`);
      return `M${points.join("L")}h1`;
    })
    .join("");
  set(picture.firstElementChild ?? picture.appendChild(s("path")), "d", path);
  const [low, high] = [ups.indexOf(Math.min(...ups)), ups.indexOf(Math.max(...ups))].map((each) => all[each]);
  set(picture, "aria-label", `Last 15 minutes: between ${low} and ${high}${parts.length > 1 ? ", with gaps" : ""}`);
}

/** One number for a wall. @param {Line} line @param {string} asked */
export function showKiosk(line, asked) {
  const pairs = [...line.model.rows.keys()];
  const pair = pairs.find((each) => letters(each) === letters(asked));
  const quote = pair ? shown(line, pair) : null;
  const state = quote?.state ?? "unknown";
  const price = by("kiosk-price");
  say(by("kiosk-pair"), pair ?? asked);
  say(price, quote?.price ?? line.model.rows.get(pair ?? "")?.price ?? "—");
  price.style.setProperty("--letters", `${Math.max(4, price.textContent?.length ?? 0)}`);
  set(by("kiosk"), "data-state", state);
  showState(by("kiosk-state"), state);
  const age = quote && quote.age_ms !== null ? `confirmed ${span(quote.age_ms)} ago` : "";
  const missing = !pair && pairs.length ? "is not served here" : "";
  say(by("kiosk-age"), missing || age + (quote?.deviating ? ", deviates" : ""));
}
