// Parses a source URL and separates its password.

/** Parameters sent with their values to recognize the URL; others are sent without. */
const PLAIN = ["sslmode", "channel_binding", "options", "application_name", "connect_timeout"];
/** Parameters sent by name only; any other is sent as `other`. */
const NAMED = ["host", "hostaddr", "port", "user", "password", "dbname", "service", "passfile", "sslcert", "sslkey", "sslrootcert", "sslpassword", "target_session_attrs", "pgbouncer", "schema"];

/** The URL in pasted text such as `psql 'postgres://…'` or `DATABASE_URL="postgres://…"`. */
export function extractUrl(text) {
  const named = text.trim().replace(/^(psql\s+|(export\s+)?\w+=)(?=["']?postgres)/i, "");
  return named.replace(/^(["'])(.*)\1;?$/, "$2").trim();
}

/**
 * The URL without its password, and the password; null while the URL is incomplete. The end of
 * the password is then unknown, so nothing may be sent.
 */
export function splitPassword(text) {
  text = extractUrl(text);
  const url = /^([a-z][a-z0-9+]*:\/\/)([^\s]+)$/i.exec(text);
  if (!url) return null;
  // Parameters start after the host: a password may contain a question mark.
  const at = url[2].search(/@[^@]*$/) < 0 ? -1 : lastAt(url[2]);
  const user = at < 0 ? "" : url[2].slice(0, at);
  const [place, query] = split(url[2].slice(at + 1));
  if (!/^(\[[^\]]+\]|[^:/?#@]+)(:\d+)?\/[^/?#]+$/.test(place)) return null;
  const colon = user.indexOf(":");
  if (at >= 0 && colon < 0 && /[/?#]/.test(user)) return null;
  const named = query.split("&").filter(Boolean).map((parameter) => {
    const name = parameter.split("=")[0].toLowerCase();
    return PLAIN.includes(name) ? parameter : `${NAMED.includes(name) ? name : "other"}=`;
  });
  const name = colon < 0 ? user : user.slice(0, colon);
  const shown = `${url[1]}${at < 0 ? "" : `${name}@`}${place}${named.length ? `?${named.join("&")}` : ""}`;
  return { shown, password: colon < 0 ? null : user.slice(colon + 1) };
}

/** The index of the last `@` that is followed by a complete host and a database. */
function lastAt(text) {
  for (let at = text.lastIndexOf("@"); at >= 0; at = text.lastIndexOf("@", at - 1)) {
    if (/^(\[[^\]]+\]|[^:/?#@]+)(:\d+)?\/[^/?#@]+(\?|$)/.test(text.slice(at + 1))) return at;
    if (at === 0) break;
  }
  return text.lastIndexOf("@");
}

function split(text) {
  const at = text.indexOf("?");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** Restores the password in a URL. */
export function joinPassword(shown, password) {
  const [start, at] = [shown.indexOf("://") + 3, shown.indexOf("@")];
  if (password === null || at < 0) return shown;
  return `${shown.slice(0, start)}${shown.slice(start, at).split(":")[0]}:${password}${shown.slice(at)}`;
}

/** Asks the control plane about a URL: provider, changes, or why it is rejected. */
export async function recognizeSource(shown, signal) {
  const answer = await fetch("/panel/source", {
    method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify({ url: shown }),
  });
  return answer.ok ? answer.json() : null;
}
