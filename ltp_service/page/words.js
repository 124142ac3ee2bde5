/** Times, ages and states as people read them. */

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const ONE_DAY = 86_400_000;

/** A moment on the reader's clock. @param {number} at */
export function clock(at) {
  return CLOCK.format(at);
}

/** The same to the minute. @param {number} at */
export function minute(at) {
  return clock(at).slice(0, 5);
}

/** How long: 7 s, 2 min 13 s, 1 h 5 min, 3 d 4 h. @param {number} ms */
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (seconds < 60) return `${seconds} s`;
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  if (ms < ONE_DAY) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** What counts of a pair's spelling: btc-usd means BTC/USD. @param {string} text */
export const letters = (text) => text.toUpperCase().replace(/[^A-Z0-9.]/g, "");

/** What each state of a price means. @type {Record<string, string>} */
export const MEANING = {
  live: "The feed is proven alive, and the last trade is at most 60 s old.",
  quiet: "The feed is proven alive, and the market is still: the number is right.",
  fallback: "The feed does not deliver this pair; the exchange's REST API confirms the price.",
  substitute: "Kraken is silent. This was the last trade on another exchange, another market.",
  halted: "The exchange matches no orders now. This was the last trade.",
  stale: "Nothing has confirmed this price for too long. The service does not serve it.",
  unknown: "The service has never seen a price of this pair.",
  unconfirmed: "The service called this price good, and nothing confirms that any more.",
};
