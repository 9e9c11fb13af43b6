// API client: calls the control plane with this tab's API key.

const BASE = "/api/capydb";
const STORAGE_KEY = "capydb-key";

export class ApiError extends Error {
  constructor(message, status, retryAfter, code) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** The owner's key is kept in memory until the page closes; an entered key until the tab closes. */
let currentKey = null;
export const savedKey = () => currentKey ?? sessionStorage.getItem(STORAGE_KEY);
export const useKey = (key) => { currentKey = key; };
export const keepKey = () => { if (currentKey) sessionStorage.setItem(STORAGE_KEY, currentKey); };
export const forgetKey = () => {
  currentKey = null;
  sessionStorage.removeItem(STORAGE_KEY);
};
/** Whether the text is valid in an HTTP header. */
export const isKey = (text) => /^[\x21-\x7e]+$/.test(text);

/** The key of `capydb dev`, which it returns to its own user only; otherwise null. */
export async function ownersKey() {
  const answer = await fetch("/panel/key", { headers: { "X-CapyDB-Panel": "1" }, cache: "no-store" }).catch(() => null);
  return answer?.ok ? (await answer.json()).api_key : null;
}

/** Offset of the control plane's clock from ours, in milliseconds. */
let clockOffset = 0;
/** The control plane's time, in milliseconds. */
export const now = () => Date.now() + clockOffset;

/** Default timeout of a call, in seconds. */
const DEFAULT_TIMEOUT = 30;

/** Calls the API; every failure throws an `ApiError` with a complete sentence. */
export async function call(method, path, body, { signal, timeout = DEFAULT_TIMEOUT } = {}) {
  const [key, late] = [savedKey(), AbortSignal.timeout(timeout * 1000)];
  const headers = { Authorization: `Bearer ${key}`, Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(BASE + path, { method, headers, signal: signal ? AbortSignal.any([signal, late]) : late, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.name === "TimeoutError") throw new ApiError(`The control plane did not respond within ${timeout} s.`, 0);
    throw new ApiError("Cannot reach the control plane. Check the network, then try again.", 0);
  }
  const serverTime = Date.parse(answer.headers.get("Date"));
  if (serverTime) clockOffset = Math.abs(serverTime - Date.now()) > 2000 ? serverTime - Date.now() : 0; // `Date` has whole seconds
  // A late response may be about a key that was replaced meanwhile.
  if (answer.status === 401 && key === savedKey()) dispatchEvent(new Event("capydb-key"));
  const read = await answer.json().catch(() => null);
  signal?.throwIfAborted();
  if (answer.ok && read === null) throw new ApiError("The response from the control plane is incomplete.", 0);
  if (answer.ok) return read;
  const wait = Number(answer.headers.get("Retry-After")) || null;
  throw new ApiError(read?.error ? sentence(read.error) : `The control plane returned HTTP ${answer.status}.`, answer.status, wait, read?.code);
}

/** Adds an initial capital and a final full stop. */
export function sentence(text) {
  const capitalized = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(capitalized) ? capitalized : `${capitalized}.`;
}
