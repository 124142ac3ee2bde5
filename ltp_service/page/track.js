/** What was known in each slot of the last 15 minutes; a slot without an entry, or with null, is one of which nothing is
 * known. Plain objects, so that a worker can hand them to a tab. */

/** Milliseconds of a slot. */
export const SLOT = 5_000;
/** Slots that are kept: 15 minutes. */
export const SLOTS = 180;
/** Most milliseconds between two looks: browsers slow the timers of hidden tabs. */
const BRIDGE = 12_000;

/** @typedef {{at: number, slots: {slot: number, value: string | null}[]}} Track */

/** @returns {Track} */
export function newTrack() {
  return { at: -Infinity, slots: [] };
}

/**
 * Notes what holds at a moment. Within a slot null wins: a line is never drawn over a doubt.
 * @param {Track} track @param {number} at @param {string | null} value
 */
export function put(track, at, value) {
  const slot = Math.floor(at / SLOT);
  const { slots } = track;
  if (slots.length && slot < slots[slots.length - 1].slot) slots.length = 0; // the clock was set back
  const last = slots[slots.length - 1];
  if (last?.slot === slot) {
    if (last.value !== null) last.value = value;
  } else {
    if (last && at - track.at <= BRIDGE) {
      for (let each = last.slot + 1; each < slot; each++) slots.push({ slot: each, value: last.value });
    }
    slots.push({ slot, value });
  }
  track.at = at;
  while (slots[0].slot <= slot - SLOTS) slots.shift();
}

/**
 * Adds what trades tell of the time before the first look: each price holds until the next trade where the ids of both
 * follow one another, and the last one until that look.
 * @param {Track} track @param {{price: string, at: number, id: string}[]} trades oldest first @param {number} now
 */
export function putBefore(track, trades, now) {
  const first = track.slots[0]?.slot ?? Math.floor(now / SLOT);
  /** @type {Map<number, string>} */
  const found = new Map();
  trades.forEach(({ price, at, id }, place) => {
    const next = trades[place + 1];
    const from = Math.floor(at / SLOT);
    const whole = !next || BigInt(next.id) === BigInt(id) + 1n;
    const until = !whole ? from : next ? Math.floor(next.at / SLOT) : first - 1;
    for (let slot = Math.max(from, first - SLOTS); slot <= Math.min(until, first - 1); slot++) found.set(slot, price);
  });
  const past = [...found].map(([slot, value]) => ({ slot, value })).sort((a, b) => a.slot - b.slot);
  track.slots.unshift(...past.filter(({ slot }) => slot > Math.floor(now / SLOT) - SLOTS));
}

/**
 * Adds what one-minute candles tell of the time before: the close of each minute whose trades are all known.
 * @param {Track} track @param {import("./client.js").Candle[]} candles oldest first @param {number} now
 */
export function putCandles(track, candles, now) {
  const end = track.slots[0]?.slot ?? Math.floor(now / SLOT);
  const past = [];
  /** @type {string | null} */
  let price = null;
  for (const { start, close, coverage } of candles) {
    if (coverage === "complete") price = close;
    else if (coverage !== "empty") price = null;
    const first = Math.floor(Date.parse(start) / SLOT);
    for (let slot = first; price !== null && slot < Math.min(first + 60_000 / SLOT, end); slot++) {
      if (slot > Math.floor(now / SLOT) - SLOTS) past.push({ slot, value: price });
    }
  }
  track.slots.unshift(...past);
}

/**
 * The stretches without a break between them, and with `equal` of one value each: first slot of the picture, values.
 * @param {Track} track @param {number} at @param {boolean} equal
 */
export function stretches(track, at, equal = false) {
  const begin = Math.floor(at / SLOT) - SLOTS + 1;
  /** @type {{first: number, values: string[]}[]} */
  const found = [];
  for (const { slot, value } of track.slots) {
    const last = found[found.length - 1];
    if (value === null || slot < begin) continue;
    const follows = last && last.first + last.values.length === slot - begin;
    if (follows && !(equal && last.values[0] !== value)) last.values.push(value);
    else found.push({ first: slot - begin, values: [value] });
  }
  return found;
}
