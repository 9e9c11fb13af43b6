// Calling the control plane with the key that this tab has.

const BASE = "/api/capydb";
const KEPT = "capydb-key";

export class ApiError extends Error {
  constructor(message, status, retryAfter) {
    super(message);
    this.status = status;
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

/** A call of the API; what is not right becomes a sentence. */
export async function call(method, path, body, { signal } = {}) {
  const headers = { Authorization: `Bearer ${savedKey()}`, Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(BASE + path, { method, headers, signal, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The control plane cannot be reached. Check the network, then try again.", 0);
  }
  const read = await answer.json().catch(() => null);
  if (answer.ok) return read;
  const wait = Number(answer.headers.get("Retry-After")) || null;
  throw new ApiError(read?.error ? sentence(read.error) : `The control plane answered ${answer.status}.`, answer.status, wait);
}

/** A sentence begins with a capital and ends with a full stop. */
export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}
