/** "Why?": the candles of one pair, and what /api/v1/ltp/explain says of it, all of it. */

import { closeChart, openChart } from "./chart.js";
import { by, h, say } from "./dom.js";
import { ask } from "./service.js";
import { MEANING } from "./words.js";

const dialog = /** @type {HTMLDialogElement} */ (by("why"));

/** @typedef {import("./line.js").Line} Line */

dialog.addEventListener("close", closeChart);

/** @param {Line} line @param {string} pair @param {string} [key] */
export async function explain(line, pair, key = line.key) {
  say(by("why-title"), `Why this price of ${pair}?`);
  by("why-content").replaceChildren(h("p", {}, "Asking…"));
  if (!dialog.open) dialog.showModal();
  openChart(line, pair, key);
  by("why-content").replaceChildren(...(await told(line, pair, key)));
}

/** @param {Line} line @param {string} pair @param {string} key @returns {Promise<Node[]>} */
async function told(line, pair, key) {
  let answer;
  try {
    answer = await ask(`api/v1/ltp/explain?pair=${encodeURIComponent(pair)}`, key);
  } catch {
    return [h("p", { class: "problem" }, "The service cannot be reached.")];
  }
  const { status, data } = answer;
  if (status === 401) return [h("p", { class: "problem" }, "The service explains its prices to holders of a read key."), keyForm(line, pair)];
  if (status !== 200 || !data) return [h("p", { class: "problem" }, data?.message ?? `The service answered ${status}.`)];
  return [h("p", {}, `It is ${data.state}. ${MEANING[data.state] ?? ""} ${doubtOf(data)}`), tree(data)];
}

/** @param {any} data */
function doubtOf({ doubt, quarantined, servable }) {
  const doubted = doubt ? `It is in doubt: ${doubt.reason}. ` : "";
  const held = quarantined ? `A trade at ${quarantined.price} is held back. ` : "";
  return `${doubted}${held}${servable ? "The service serves it." : "The service does not serve it."}`;
}

/** A key for this one view. @param {Line} line @param {string} pair */
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
  if (value === null || typeof value !== "object") return h("span", {}, value === null ? "—" : `${value}`);
  if (Array.isArray(value)) {
    return value.length ? h("ol", {}, ...value.map((each) => h("li", {}, tree(each)))) : h("span", {}, "none");
  }
  const entries = Object.entries(value);
  if (!entries.length) return h("span", {}, "none");
  return h("dl", {}, ...entries.map(([name, each]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, tree(each)))));
}
