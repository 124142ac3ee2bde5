/** The worker that all tabs with one key share: seven tabs, one line. Browsers open six connections to a host at most. */

import { Hub } from "./hub.js";

/** Milliseconds between two signs of life. */
const PULSE = 2_000;
/** Signs of life that a frozen tab may leave unanswered: its queue would grow. */
const UNANSWERED = 5;
/** After these it is taken for closed. */
const GONE = 1_800;

/** @type {Hub | null} */
let hub = null;
/** @type {Map<MessagePort, number>} Tabs, and the signs of life that each has left unanswered. */
const tabs = new Map();

/** @param {any} message */
function tell(message) {
  for (const [port, unanswered] of tabs) if (unanswered < UNANSWERED) port.postMessage(message);
}

setInterval(() => {
  tell({ kind: "pulse" });
  for (const [port, unanswered] of tabs) {
    if (unanswered < GONE) tabs.set(port, unanswered + 1);
    else leave(port);
  }
}, PULSE);

/** A tab that has changed its key keeps the worker alive: then it must not ask on. */
function leave(/** @type {MessagePort} */ port) {
  tabs.delete(port);
  port.close();
  if (tabs.size) return;
  hub?.close();
  hub = null;
}

/** @param {MessagePort} port @param {any} message */
function hear(port, message) {
  if (message.kind === "join") {
    hub ??= new Hub(message.key, tell);
    // The worker's name is a hash of the key, and two keys can share one.
    if (hub.key !== message.key) return port.postMessage({ kind: "refused" });
    tabs.set(port, 0);
    port.postMessage(hub.snapshot());
  } else if (message.kind === "pulse" && tabs.has(port)) {
    const slept = (tabs.get(port) ?? 0) >= UNANSWERED;
    tabs.set(port, 0);
    if (slept) port.postMessage({ kind: "news" });
  } else if (message.kind === "retry") {
    hub?.stream.retry();
  } else if (message.kind === "leave") {
    leave(port);
  }
}

addEventListener("connect", (event) => {
  const [port] = /** @type {MessageEvent} */ (event).ports;
  port.onmessage = ({ data }) => hear(port, data);
});
