/** Prices are compared and drawn as the decimal texts that they are: none becomes a binary float. */

/** The texts as whole numbers of one common unit. @param {string[]} texts */
function scaled(texts) {
  const parts = texts.map((text) => text.split("."));
  const places = Math.max(0, ...parts.map(([, fraction = ""]) => fraction.length));
  return parts.map(([whole, fraction = ""]) => BigInt(whole + fraction.padEnd(places, "0")));
}

/** Below, at or above 0 as `a` is below, at or above `b`. @param {string} a @param {string} b */
export function compare(a, b) {
  const [left, right] = scaled([a, b]);
  return left < right ? -1 : left > right ? 1 : 0;
}

/**
 * How high each stands between the lowest, 0, and the highest, `height`; in the middle where all are one.
 * @param {string[]} texts @param {number} height
 */
export function heights(texts, height) {
  const values = scaled(texts);
  const low = values.reduce((a, b) => (b < a ? b : a));
  const span = values.reduce((a, b) => (b > a ? b : a)) - low;
  // Only where it stands is a float, in hundredths of a point.
  return values.map((value) =>
    span ? Number(((value - low) * BigInt(100 * height)) / span) / 100 : height / 2,
  );
}
