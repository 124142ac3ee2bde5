/** What was known in each slot of the last 15 minutes; null where nothing is known. One plain list, so that a worker hands a
 * thousand of them to a tab without stopping it. */

/** Milliseconds of a slot. */
export const SLOT = 5_000;
/** Slots that are kept: 15 minutes. */
export const SLOTS = 180;
/** Most milliseconds between two looks: browsers slow the timers of hidden tabs. */
const BRIDGE = 12_000;

/** `first` is the slot of the first value. @typedef {{at: number, first: number, values: (string | null)[]}} Track */

/** @returns {Track} */
export function newTrack() {
  return { at: -Infinity, first: 0, values: [] };
}

/**
 * Notes what holds at a moment. Within a slot null wins: a line is never drawn over a doubt.
 * @param {Track} track @param {number} at @param {string | null} value
 */
export function put(track, at, value) {
  const slot = Math.floor(at / SLOT);
  const { values } = track;
  const last = track.first + values.length - 1;
  // The clock was set back, or nothing that is kept was known.
  if (slot < last || slot - last > SLOTS) values.length = 0;
  if (!values.length) track.first = slot;
  const before = values[values.length - 1] ?? null;
  if (values.length && slot === last) {
    if (before !== null) values[values.length - 1] = value;
  } else {
    const between = at - track.at <= BRIDGE ? before : null;
    while (track.first + values.length < slot) values.push(between);
    values.push(value);
  }
  track.at = at;
  const old = slot - SLOTS + 1 - track.first;
  if (old > 0) {
    values.splice(0, old);
    track.first += old;
  }
}

/** The slot before which nothing is known. @param {Track} track @param {number} now */
function begin(track, now) {
  return track.values.length ? track.first : Math.floor(now / SLOT);
}

/** Adds what was known in the slots before. @param {Track} track @param {Map<number, string>} found @param {number} now */
function prepend(track, found, now) {
  const end = begin(track, now);
  const oldest = Math.floor(now / SLOT) - SLOTS + 1;
  const first = Math.min(end, ...[...found.keys()].filter((slot) => slot >= oldest));
  const past = Array.from({ length: end - first }, (_, place) => found.get(first + place) ?? null);
  track.values.unshift(...past);
  track.first = first;
}

/**
 * Adds what trades tell of the time before the first look: each price holds until the next trade where the ids of both
 * follow one another, and the last one until its last evidence, where it is what is told now.
 * @param {Track} track @param {{price: string, at: number, id: string}[]} trades oldest first @param {number} now
 * @param {{trade_id?: any, age_ms: number | null}} [told]
 */
export function putBefore(track, trades, now, told) {
  const first = begin(track, now);
  /** @type {Map<number, string>} */
  const found = new Map();
  trades.forEach(({ price, at, id }, place) => {
    const next = trades[place + 1];
    const from = Math.floor(at / SLOT);
    const whole = next ? BigInt(next.id) === BigInt(id) + 1n : `${told?.trade_id}` === id;
    const until = !whole ? at : next ? next.at : Math.max(at, now - (told?.age_ms ?? now));
    const last = Math.min(Math.floor(until / SLOT), first - 1);
    for (let slot = Math.max(from, first - SLOTS); slot <= last; slot++) found.set(slot, price);
  });
  prepend(track, found, now);
}

/**
 * Adds what one-minute candles tell of the time before: the close of each minute whose trades are all known.
 * @param {Track} track @param {import("./client.js").Candle[]} candles oldest first @param {number} now
 */
export function putCandles(track, candles, now) {
  const end = begin(track, now);
  /** @type {Map<number, string>} */
  const found = new Map();
  /** @type {string | null} */
  let price = null;
  for (const { start, close, coverage } of candles) {
    if (coverage === "complete") price = close;
    else if (coverage !== "empty") price = null;
    const first = Math.floor(Date.parse(start) / SLOT);
    for (let slot = first; price !== null && slot < Math.min(first + 60_000 / SLOT, end); slot++) found.set(slot, price);
  }
  prepend(track, found, now);
}

/**
 * The stretches without a break between them, and with `equal` of one value each: first slot of the picture, values.
 * @param {Track} track @param {number} at @param {boolean} equal
 */
export function stretches(track, at, equal = false) {
  const oldest = Math.floor(at / SLOT) - SLOTS + 1;
  /** @type {{first: number, values: string[]}[]} */
  const found = [];
  track.values.forEach((value, index) => {
    const place = track.first + index - oldest;
    const last = found[found.length - 1];
    if (value === null || place < 0) return;
    const follows = last && last.first + last.values.length === place;
    if (follows && !(equal && last.values[0] !== value)) last.values.push(value);
    else found.push({ first: place, values: [value] });
  });
  return found;
}
