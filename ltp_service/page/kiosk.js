/** One number for a wall. */

import { by, say, set } from "./dom.js";
import { showState, shown } from "./pairs.js";
import { letters, span } from "./words.js";

/** @param {import("./line.js").Line} line @param {string} asked */
export function showKiosk(line, asked) {
  const pairs = [...line.model.rows.keys()];
  const pair = pairs.find((each) => letters(each) === letters(asked));
  if (!pair) {
    say(by("kiosk-pair"), asked);
    say(by("kiosk-age"), pairs.length ? "is not served here" : "");
    return;
  }
  say(by("kiosk-pair"), pair);
  const quote = shown(line, pair);
  if (!quote) return;
  const price = by("kiosk-price");
  say(price, quote.price ?? line.model.rows.get(pair)?.price ?? "—");
  price.style.setProperty("--letters", `${Math.max(4, price.textContent?.length ?? 0)}`);
  set(by("kiosk"), "data-state", quote.state);
  showState(by("kiosk-state"), quote.state);
  const age = quote.age_ms === null ? "" : `confirmed ${span(quote.age_ms)} ago`;
  say(by("kiosk-age"), age + (quote.deviating ? ", deviates" : ""));
}
