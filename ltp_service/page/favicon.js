/** The verdict in a tab: a shape for each, not a colour alone. */

/** @type {Record<import("./verdict.js").Level, [string, string]>} Colour, and the path of a white mark. */
const LOOKS = {
  ok: ["#0b7a43", "M4 8.5l3 3 5-6.5"],
  warn: ["#b26a00", "M8 4v5M8 11.4v.6"],
  bad: ["#b3261e", "M5 5l6 6M11 5l-6 6"],
  dead: ["#5a6472", "M4 8h8"],
  wait: ["#5a6472", "M8 4.5V8l2.5 2"],
};

/** @param {import("./verdict.js").Level} level */
export function favicon(level) {
  const [colour, mark] = LOOKS[level];
  const rim = level === "dead" ? '<circle cx="8" cy="8" r="6.8" fill="none" stroke="#d93025" stroke-width="2.4"/>' : "";
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8" fill="${colour}"/>${rim}` +
    `<path d="${mark}" fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
