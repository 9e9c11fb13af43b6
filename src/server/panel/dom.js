// DOM helpers, and formats for numbers and times.

/** Creates an element with attributes (`on…` are listeners) and children. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Bytes in decimal units, as the CLI prints them. */
export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (size >= (unit ? 999.95 : 999.5) && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${Math.round(size)} B` : `${size.toFixed(1)} ${units[unit]}`;
}

export const count = (number) => new Intl.NumberFormat("en").format(number);

/** A duration in seconds, as text. */
export function duration(seconds) {
  seconds = Math.max(0, Math.round(seconds));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** An elapsed time; tenths of a second below one minute. */
export const elapsed = (seconds) => (seconds < 60 ? `${seconds.toFixed(1)} s` : duration(seconds));

export function time(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? text : date.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

/** Announces text to screen readers, even if it repeats the last announcement. */
export function announce(text) {
  const place = document.getElementById("announce");
  place.textContent = "";
  setTimeout(() => { place.textContent = text; }, 50);
}

/** A message, with a fix if there is one. */
export function note(kind, text, fix) {
  return h("div", { class: `note ${kind}`, role: kind === "bad" ? "alert" : null },
    h("p", {}, text), fix ? h("p", {}, h("strong", {}, "Fix: "), fix) : null);
}

/** Updates a progress bar. */
export function setProgress(element, part) {
  const known = part !== null && Number.isFinite(part);
  element.classList.toggle("unsure", !known);
  requestAnimationFrame(() => element.classList.toggle("moved", known)); // no transition for the first value
  const percent = known ? Math.min(100, Math.max(0, part * 100)) : null;
  element.firstElementChild.style.inlineSize = known ? `${percent}%` : "";
  for (const [name, value] of [["aria-valuemin", 0], ["aria-valuemax", 100], ["aria-valuenow", Math.round(percent)]]) {
    if (known) element.setAttribute(name, value);
    else element.removeAttribute(name);
  }
}

/** A progress bar; `part` is from 0 to 1, or null if unknown. */
export function bar(part, label, kind = "") {
  const element = h("div", { class: `bar ${kind}`, role: "progressbar", "aria-label": label }, h("i"));
  setProgress(element, part);
  return element;
}

/** A command with a copy button. */
export function command(text) {
  const button = h("button", { type: "button", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      announce("Copied");
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling);
      button.textContent = "Press Ctrl+C";
    }
  });
  return h("div", { class: "command" }, h("code", {}, text), button);
}
