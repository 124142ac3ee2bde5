/** "Why?", the view of one pair: the candles of its last 60 minutes, in which what is not known is not drawn, and what
 * /api/v1/ltp/explain says of it. */

import { HistoryError, candles } from "./client.js";
import { heights } from "./decimals.js";
import { by, h, s, say, set } from "./dom.js";
import { BASE, ask } from "./service.js";
import { MEANING, clock, minute } from "./words.js";

/** @typedef {import("./line.js").Line} Line */

const MINUTE = 60_000;
/** Milliseconds after a full minute until its evidence is there. */
const SETTLED = 3_000;
/** One-minute candles that are shown. */
const CANDLES = 60;
/** In the picture a candle is 1 wide, and prices stand between 0 and this. */
const HEIGHT = 100;
const AXIS = 108;

/** What each mark means. @type {Record<string, string>} */
const MEANT = {
  complete: "complete",
  partial: "trades may be missing",
  empty: "no trade",
  unknown: "unknown",
  running: "not over yet",
};

/** `at`: the service's moment when what is shown was asked for. @typedef {{pair: string, key: string, minute: number, at: number, told: any[], problem: string}} Chart */

/** @type {Chart | null} */
let chart = null;

/** @param {any} candle */
function kindOf({ coverage, open_ended }) {
  return open_ended ? "running" : MEANT[coverage] ? coverage : "unknown";
}

/** @param {Line} line @param {string} pair @param {string} key */
function openChart(line, pair, key) {
  chart = { pair, key, minute: NaN, at: 0, told: [], problem: "" };
  by("chart-plot").hidden = true;
  showChart(line);
}

/** Each second. @param {Line} line */
export function showChart(line) {
  if (!chart) return;
  const now = line.model.watch.serverNow(line.clock.now());
  const ended = Math.floor((now - SETTLED) / MINUTE);
  if (ended !== chart.minute) {
    chart.minute = ended;
    void askCandles(chart, now).then(() => showChart(line));
  }
  const { told, problem, at } = chart;
  const dead = line.liveness.kind === "dead";
  const asOf = told.length ? `${dead ? "NOT LIVE, as of" : "As of"} ${clock(at)}` : problem ? "" : "Asking…";
  set(by("chart"), "data-old", dead || problem !== "");
  say(by("chart-moment"), asOf);
  say(by("chart-problem"), problem);
}

/** @param {Chart} mine @param {number} now */
async function askCandles(mine, now) {
  try {
    const told = await candles(BASE, mine.pair, { limit: CANDLES, key: mine.key });
    if (!told.length) throw new HistoryError(200, { message: "the answer is empty" });
    if (mine !== chart) return;
    const follows = by("chart-plot").hidden || chosen().value === chosen().max;
    const before = follows ? null : mine.told[chosen().valueAsNumber].start;
    Object.assign(mine, { told, at: now, problem: "" });
    draw(mine);
    const place = told.findIndex(({ start }) => start === before);
    chosen().value = `${place < 0 ? told.length - 1 : place}`;
    showChosen();
  } catch (error) {
    const refused = error instanceof HistoryError;
    mine.problem = refused ? `There are no candles: ${error.message}` : "The service cannot be reached";
  }
}

/** @param {Chart} mine */
function draw({ pair, told }) {
  const prices = told.flatMap(({ open, high, low, close }) => (close === null ? [] : [open, high, low, close]));
  const levels = prices.length ? heights(prices, HEIGHT).map((up) => HEIGHT - up) : [];
  let next = 0;
  const marks = told.flatMap((candle, place) => {
    const own = candle.close === null ? [] : levels.slice(next, (next += 4));
    return mark(kindOf(candle), candle.coverage, place, own);
  });
  const picture = by("chart-picture");
  picture.replaceChildren(...marks, s("path", { class: "chosen", id: "chart-chosen" }));
  set(picture, "viewBox", `0 -4 ${told.length} ${HEIGHT + 16}`);
  set(chosen(), "max", told.length - 1);
  by("chart-plot").hidden = false;

  const [high, low] = [Math.min(...levels), Math.max(...levels)].map((level) => prices[levels.indexOf(level)]);
  const [from, to] = [told[0], told[told.length - 1]].map(({ start }) => minute(Date.parse(start)));
  say(by("chart-high"), prices.length ? `highest ${high}` : "no trade is known");
  say(by("chart-low"), prices.length ? `lowest ${low}` : "");
  say(by("chart-from"), from);
  say(by("chart-to"), to);

  const counts = Object.keys(MEANT).flatMap((kind) => {
    const count = told.filter((each) => kindOf(each) === kind).length;
    return count ? [{ kind, text: `${count} ${MEANT[kind]}` }] : [];
  });
  by("chart-legend").replaceChildren(...counts.map(({ kind, text }) => h("li", {}, sample(kind), text)));
  const range = prices.length ? `between ${low} and ${high}, last ${prices[prices.length - 1]}` : "no trade is known";
  const counted = counts.map(({ text }) => text).join(", ");
  set(picture, "aria-label", `${pair} by the minute, ${from} to ${to}: ${range}; ${counted}`);
}

/**
 * What is drawn of one minute: its piece of the axis, and the candle between its levels. Of an unknown one, nothing.
 * @param {string} kind @param {string} coverage @param {number} place @param {number[]} levels of open, high, low and close
 */
function mark(kind, coverage, place, [open, high, low, close]) {
  const drawn = [];
  const path = (/** @type {string} */ name, /** @type {string} */ d) => drawn.push(s("path", { class: name, d }));
  if (kind === "running") drawn.push(s("rect", { class: "running", x: place, y: -4, width: 1, height: HEIGHT + 16 }));
  if (MEANT[coverage] && coverage !== "unknown") path(`axis ${coverage}`, `M${place} ${AXIS}h1`);
  if (coverage === "empty") path("dash", `M${place + 0.25} ${AXIS - 5}h.5`);
  if (open !== undefined) {
    const [top, bottom] = [Math.min(open, close), Math.max(open, close)];
    const move = close < open ? "up" : close > open ? "down" : "same";
    const wick = `M${place + 0.5} ${high}V${top}M${place + 0.5} ${bottom}V${low}`;
    path(`candle ${coverage} ${move}`, `${wick}M${place + 0.15} ${top}h.7V${bottom}h-.7Z`);
  }
  return drawn;
}

/** For the legend. @param {string} kind */
function sample(kind) {
  const levels = ["complete", "partial"].includes(kind) ? [80, 5, 95, 20] : [];
  const beside = [-1, 1].flatMap((place) => mark("", "complete", place, []));
  const top = kind === "empty" ? 90 : -4; // its mark is near the axis
  const view = { "aria-hidden": "true", viewBox: `-1 ${top} 3 ${HEIGHT + 12 - top}`, preserveAspectRatio: "none" };
  return s("svg", view, ...beside, ...mark(kind, kind, 0, levels));
}

function chosen() {
  return /** @type {HTMLInputElement} */ (by("chart-minute"));
}

/** The digits of the minute that the reader has chosen. */
function showChosen() {
  const place = chosen().valueAsNumber;
  const candle = chart?.told[place];
  if (!candle) return;
  const { open, high, low, close, vwap, volume, trades } = candle;
  const known = close === null ? [] : [`open ${open}`, `high ${high}`, `low ${low}`, `close ${close}`];
  if (known.length) known.push(`average ${vwap}`, `volume ${volume}`, `${trades} trade${trades === 1 ? "" : "s"}`);
  const text = [minute(Date.parse(candle.start)), ...known, MEANT[kindOf(candle)]].join(" · ");
  set(by("chart-chosen"), "d", `M${place + 0.5} -4V${AXIS}`);
  set(chosen(), "aria-valuetext", text);
  say(by("chart-told"), text);
}

by("chart-minute").addEventListener("input", showChosen);

const dialog = /** @type {HTMLDialogElement} */ (by("why"));

dialog.addEventListener("close", () => (chart = null));

/** @param {Line} line @param {string} pair @param {string} [key] */
export async function explain(line, pair, key = line.key) {
  say(by("why-title"), `Why this price of ${pair}?`);
  by("why-content").replaceChildren(h("p", {}, "Asking…"));
  if (!dialog.open) dialog.showModal();
  openChart(line, pair, key);
  by("why-content").replaceChildren(...(await explanation(line, pair, key)));
}

/** @param {Line} line @param {string} pair @param {string} key @returns {Promise<Node[]>} */
async function explanation(line, pair, key) {
  let answer;
  try {
    answer = await ask(`api/v1/ltp/explain?pair=${encodeURIComponent(pair)}`, key);
  } catch {
    return [problem("The service cannot be reached.")];
  }
  const { status, data } = answer;
  if (status === 401) return [problem("The service explains its prices to holders of a read key."), keyForm(line, pair)];
  if (status !== 200 || !data) return [problem(data?.message ?? `The service answered ${status}.`)];
  return [h("p", {}, `It is ${data.state}. ${MEANING[data.state] ?? ""} ${doubtOf(data)}`), tree(data)];
}

/** @param {string} text */
const problem = (text) => h("p", { class: "problem" }, text);

/** @param {any} data */
function doubtOf({ doubt, quarantined, servable }) {
  const doubted = doubt ? `It is in doubt: ${doubt.reason}. ` : "";
  const held = quarantined ? `A trade at ${quarantined.price} is held back. ` : "";
  return `${doubted}${held}The service ${servable ? "serves" : "does not serve"} it.`;
}

/** @param {Line} line @param {string} pair */
function keyForm(line, pair) {
  const input = /** @type {HTMLInputElement} */ (
    h("input", { id: "why-key", type: "password", autocomplete: "off", required: true })
  );
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    void explain(line, pair, input.value.trim());
  };
  const label = h("label", { for: "why-key" }, "API key, used for this view only");
  return h("form", { submit }, label, h("span", { class: "field" }, input, h("button", {}, "Ask")));
}

/** Any answer as nested lists of names and values. @param {any} value @returns {HTMLElement} */
function tree(value) {
  if (typeof (value ?? "") !== "object") return h("span", {}, `${value ?? "—"}`);
  const entries = Object.entries(value);
  if (!entries.length) return h("span", {}, "none");
  if (Array.isArray(value)) return h("ol", {}, ...value.map((each) => h("li", {}, tree(each))));
  return h("dl", {}, ...entries.map(([name, each]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, tree(each)))));
}
