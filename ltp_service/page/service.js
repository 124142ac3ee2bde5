/** How the service is asked beside the stream, and the key for it. */

import { readExact } from "./client.js";

/** Where the service is: a proxy may serve it below a path. */
export const BASE = new URL("..", import.meta.url);

/** Milliseconds for an answer. */
const PATIENCE = 10_000;

/**
 * The answer of a route with its decimals as text; `data` is null where it is no JSON.
 * @param {string} path @param {string} key
 */
export async function ask(path, key) {
  const response = await fetch(new URL(path, BASE), {
    headers: key ? { "X-API-Key": key } : {},
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE),
  });
  const text = await response.text();
  let data = null;
  try {
    data = readExact(text);
  } catch {
    // A proxy's own page, for one.
  }
  return { status: response.status, data };
}

const SLOT = "ltp-key";

/** The key, kept for this tab only; a browser that keeps nothing asks again after each load. */
export const storedKey = {
  get() {
    try {
      return sessionStorage.getItem(SLOT) ?? "";
    } catch {
      return "";
    }
  },
  /** @param {string} key */
  set(key) {
    try {
      if (key) sessionStorage.setItem(SLOT, key);
      else sessionStorage.removeItem(SLOT);
    } catch {
      // It lives as long as this page, then.
    }
  },
};
