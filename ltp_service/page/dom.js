/** Making and changing elements. Texts only ever become text: nothing that is told is read as HTML. */

/** @typedef {Record<string, string | number | boolean | ((event: any) => void)>} Attributes */

/**
 * @param {Element} element @param {Attributes} attributes @param {(Node | string)[]} children
 */
function dressed(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else set(element, name, value);
  }
  element.append(...children);
  return element;
}

/** An HTML element. @param {string} tag @param {Attributes} [attributes] @param {(Node | string)[]} children */
export function h(tag, attributes = {}, ...children) {
  return /** @type {HTMLElement} */ (dressed(document.createElement(tag), attributes, children));
}

/** An SVG element. @param {string} tag @param {Attributes} [attributes] @param {(Node | string)[]} children */
export function s(tag, attributes = {}, ...children) {
  return dressed(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** One of the page's icons. @param {string} name */
export function icon(name) {
  return s("svg", { class: "icon", "aria-hidden": "true", viewBox: "0 0 16 16" }, s("use", { href: `#i-${name}` }));
}

/** @param {string} id */
export function by(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id}`);
  return found;
}

// What has not changed is not touched: the browser would lay it out anew, and a selection in it would go.

/** @param {Element} element @param {string} name @param {string | number | boolean} value */
export function set(element, name, value) {
  if (value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== `${value}`) element.setAttribute(name, `${value}`);
}

/** @param {Element} element @param {string} text */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {Element} element @param {(string | undefined)[]} texts of its children; those without one are left */
export function sayAll(element, ...texts) {
  texts.forEach((text, place) => text !== undefined && say(element.children[place], text));
}

/** A row with a cell for each column of the table. Narrow screens show the columns' names beside. @param {Element} body */
export function tableRow(body) {
  const columns = [...(body.parentElement?.querySelectorAll("thead th") ?? [])];
  const [first, ...others] = columns.map(({ className, textContent }) => ({ class: className, "data-label": textContent ?? "" }));
  const cells = others.map((each) => h("td", { role: "cell", ...each }));
  return h("tr", { role: "row" }, h("th", { role: "rowheader", scope: "row", class: first.class }), ...cells);
}

/**
 * Makes the children those of the keys, in their order, and keeps those that were there.
 * @template T
 * @param {Element} parent @param {[string, T][]} entries
 * @param {(element: Element, value: T) => void} fill @param {(key: string) => Element} make
 */
export function list(parent, entries, fill, make = () => tableRow(parent)) {
  /** @type {Map<string, Element>} */
  const held = new Map([...parent.children].map((each) => [each.getAttribute("data-key") ?? "", each]));
  const kept = new Set();
  let place = parent.firstElementChild;
  for (const [key, value] of entries) {
    let element = held.get(key);
    held.delete(key);
    if (!element) {
      element = make(key);
      element.setAttribute("data-key", key);
    }
    fill(element, value);
    kept.add(element);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const each of [...parent.children]) if (!kept.has(each)) each.remove();
}

/** What is new flashes: the animation begins again. The browser lays out once for all of them. @param {[Element, string][]} moved */
export function flash(moved) {
  for (const [element] of moved) element.classList.remove("up", "down");
  if (moved.length) void (/** @type {HTMLElement} */ (moved[0][0]).offsetWidth);
  for (const [element, name] of moved) element.classList.add(name);
}
