// Calling the control plane with the key that this tab has.

const BASE = "/api/capydb";
const KEPT = "capydb-key";

export class ApiError extends Error {
  constructor(message, status, retryAfter, code) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** The owner's key is only remembered as long as the page is open; one that was typed, as long as the tab. */
let ours = null;
export const savedKey = () => ours ?? sessionStorage.getItem(KEPT);
export const useKey = (key) => { ours = key; };
export const keepKey = () => { if (ours) sessionStorage.setItem(KEPT, ours); };
export const forgetKey = () => {
  ours = null;
  sessionStorage.removeItem(KEPT);
};
/** What can stand in a header. */
export const isKey = (text) => /^[\x21-\x7e]+$/.test(text);

/** On the machine of the person who runs it, the control plane gives its own key. */
export async function ownersKey() {
  const answer = await fetch("/panel/key", { headers: { "X-CapyDB-Panel": "1" }, cache: "no-store" }).catch(() => null);
  return answer?.ok ? (await answer.json()).api_key : null;
}

/** How much the control plane's clock is ahead of ours, in milliseconds. */
let ahead = 0;
/** What time it is where jobs are run. */
export const now = () => Date.now() + ahead;

/** Most calls are answered at once; those that are not say how many seconds they may take. */
const PATIENCE = 30;

/** A call of the API; what is not right becomes a sentence. */
export async function call(method, path, body, { signal, patience = PATIENCE } = {}) {
  const [key, late] = [savedKey(), AbortSignal.timeout(patience * 1000)];
  const headers = { Authorization: `Bearer ${key}`, Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(BASE + path, { method, headers, signal: signal ? AbortSignal.any([signal, late]) : late, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.name === "TimeoutError") throw new ApiError(`The control plane did not answer within ${patience} s.`, 0);
    throw new ApiError("The control plane cannot be reached. Check the network, then try again.", 0);
  }
  const told = Date.parse(answer.headers.get("Date"));
  if (told) ahead = Math.abs(told - Date.now()) > 2000 ? told - Date.now() : 0; // it is told in whole seconds
  // An answer that comes late may be about a key that is not ours any more.
  if (answer.status === 401 && key === savedKey()) dispatchEvent(new Event("capydb-key"));
  const read = await answer.json().catch(() => null);
  signal?.throwIfAborted();
  if (answer.ok && read === null) throw new ApiError("The control plane's answer broke off.", 0);
  if (answer.ok) return read;
  const wait = Number(answer.headers.get("Retry-After")) || null;
  throw new ApiError(read?.error ? sentence(read.error) : `The control plane answered ${answer.status}.`, answer.status, wait, read?.code);
}

/** A sentence begins with a capital and ends with a full stop. */
export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}
