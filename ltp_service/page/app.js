/** The page: one line, and the views that show what comes from it. */

import { by, h, say, set } from "./dom.js";
import { showAbout, showFeeds, showLog, showMarkets } from "./feeds.js";
import { Line } from "./line.js";
import { letFind, showKiosk, showPairs, showSparks } from "./pairs.js";
import { BASE } from "./service.js";
import { favicon, verdict } from "./verdict.js";
import { explain, showChart } from "./why.js";
import { clock, span } from "./words.js";

const asked = new URLSearchParams(location.search);
const kiosk = asked.get("kiosk");
const root = document.documentElement;

/** Where the key is kept, for this tab only. A browser that keeps nothing asks again after each load. */
const SLOT = "ltp-key";

function storedKey() {
  try {
    return sessionStorage.getItem(SLOT) ?? "";
  } catch {
    return "";
  }
}

let line = new Line(storedKey(), changed);
let painting = 0;
let verdictAt = 0;

/** Shows what changed before the next picture; a hidden tab has none, but a title and an icon. */
function changed() {
  if (!document.hidden) painting ||= requestAnimationFrame(paint);
  else if (performance.now() - verdictAt > 500) {
    showVerdict();
    holdSwitch();
  }
}

function paint() {
  painting = 0;
  showVerdict();
  showBar();
  if (kiosk) showKiosk(line, kiosk);
  else showPairs(line);
}

/** What moves with time alone, or seldom. */
function tick() {
  line.tick();
  if (document.hidden || kiosk) return;
  showSparks(line);
  showChart(line);
  showFeeds(line);
  showMarkets(line);
  showLog(line);
  showAbout(line);
}

function showVerdict() {
  verdictAt = performance.now();
  const { text, level } = verdict(line.model, line.liveness, line.clock.now());
  say(by("verdict"), text);
  set(by("verdict"), "data-level", level);
  say(by("title"), `${text} · ltp_service`);
  set(by("favicon"), "href", favicon(level));
}

function showBar() {
  const { kind, reason, status, retryAt, asOf } = line.liveness;
  const now = line.clock.now();
  const { watch } = line.model;
  const heard = span(watch.serverNow(now) - (watch.heardAt ?? watch.serverNow(now)));
  const left = (retryAt ?? 0) - Date.now();
  const next = left > 0 ? `next try in ${span(left + 999)}` : retryAt ? "trying now" : "";
  const dead = asOf === null ? "NOT LIVE, no price was told yet" : `NOT LIVE, prices as of ${clock(asOf)}`;
  const word = { connecting: "Connecting", live: "Line open", lost: "Reconnecting", dead }[kind];
  const detail = { connecting: "", live: `last word ${heard} ago`, lost: reason, dead: reason }[kind];
  set(root, "data-line", kind);
  say(by("bar-word"), word);
  say(by("bar-detail"), [detail, kind === "live" ? "" : next].filter(Boolean).join(" · "));
  by("bar-retry").hidden = kind !== "dead";
  showKeyForm(status);
  holdSwitch();
}

/** A switch that must be held: the style itself says NOT LIVE where this script does not run any more. */
function holdSwitch() {
  if (line.liveness.kind !== "dead") for (const each of by("deadman").getAnimations()) each.currentTime = 0;
}

/** @param {number | null} status of the stream's last answer */
function showKeyForm(status) {
  const needed = status === 401 || status === 403;
  by("key").hidden = !needed;
  by("forget").hidden = !line.key;
  if (needed) say(by("key-problem"), line.key ? "The key of this tab is not accepted." : "");
}

/** @param {string} key */
function use(key) {
  try {
    sessionStorage.setItem(SLOT, key);
  } catch {
    // It lives as long as this page, then.
  }
  line.close();
  line = new Line(key, changed);
  showCurl();
}

by("key").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = /** @type {HTMLInputElement} */ (by("key-text"));
  const key = input.value.trim();
  if (!/^[\x21-\x7e]+$/.test(key)) return say(by("key-problem"), "That is no API key.");
  input.value = "";
  use(key);
});
by("forget").addEventListener("click", () => use(""));
by("bar-retry").addEventListener("click", () => line.retry());
by("pairs").addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest("a");
  const pair = link?.closest("tr")?.getAttribute("data-pair");
  if (!pair || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  void explain(line, pair);
});

function showCurl() {
  const header = line.key ? ' -H "X-API-Key: $LTP_KEY"' : "";
  say(by("curl"), `curl '${new URL("api/v1/ltp?pair=BTC/USD&detail=true", BASE)}'${header}`);
}

by("copy").addEventListener("click", () => void copy());

/** A page without TLS may not write to the clipboard: there the line is selected for Ctrl+C. */
async function copy() {
  try {
    await navigator.clipboard.writeText(by("curl").textContent ?? "");
    say(by("copy"), "Copied");
  } catch {
    getSelection()?.selectAllChildren(by("curl"));
    say(by("copy"), "Selected");
  }
  setTimeout(() => say(by("copy"), "Copy"), 2_000);
}

function showTheme() {
  const theme = asked.get("theme");
  if (theme === "dark" || theme === "light") set(root, "data-theme", theme);
  const links = ["auto", "light", "dark"].map((name) => {
    const to = new URLSearchParams(asked);
    to.delete("theme");
    if (name !== "auto") to.set("theme", name);
    const current = name === (theme ?? "auto") && { "aria-current": "true" };
    return h("a", { href: `?${to}`, ...current }, name);
  });
  by("themes").append("Theme: ", ...links.flatMap((each) => [each, " "]));
}

letFind(() => {
  showPairs(line);
  showSparks(line);
});
showTheme();
showCurl();
if (kiosk) {
  set(root, "data-kiosk", "");
  by("kiosk").hidden = false;
}
document.addEventListener("visibilitychange", tick);
document.addEventListener("freeze", () => {
  line.sleep();
  paint();
});
setInterval(tick, 1_000);
tick();
