// Parses a source URL and separates its password.

/** Parameters sent with their values to recognize the URL; others are sent without. */
const PLAIN = ["sslmode", "ssl", "user", "channel_binding", "options", "application_name", "connect_timeout"];
/** Parameters sent by name only; any other is sent as `other`. */
const NAMED = ["host", "hostaddr", "port", "dbname", "service", "passfile", "sslcert", "sslkey", "sslrootcert", "sslpassword", "target_session_attrs", "pgbouncer", "schema"];

/** Parameters whose values may contain `@` (as in source/url/authority.rs). */
const WITH_AT = ["user", "password", "application_name", "options", "fallback_application_name", "schema", "currentschema", "name"];

/** The URL in pasted text such as `psql 'postgres://…'` or `DATABASE_URL="postgres://…"`. */
function extractUrl(text) {
  const start = text.search(/(jdbc:)?[a-z][a-z0-9+-]*:\/\//i);
  if (start < 0) return null;
  const before = text.slice(0, start).trim();
  if (before && !/^((\S*\/)?(?:psql|pg_dump)(\s+(-d|--dbname))?\s*|["']?((export|set)\s+)?[$\w:]+["']?\s*[=:]\s*)?["'`]?$/i.test(before)) return null;
  return text.slice(start).trim().replace(/[;,]+$/, "").replace(/["'`]+$/, "");
}

/**
 * What the text is. A URL: its parts `shown` (without the password) and `password`. Otherwise its `kind`
 * is `incomplete`, `ambiguous` (the password may end in more than one place, so nothing may be sent), or
 * `text` (a connection string that only the control plane reads, with the password in it).
 */
export function readSource(text) {
  const url = extractUrl(text);
  if (url === null) return { kind: /\b(host|server)\s*=|\b(psql|pg_dump)\b.*\s-|^\s*PG[A-Z]+=/i.test(text) ? "text" : "incomplete" };
  const [scheme, rest] = split(url, "://");
  const end = rest.search(/[/?#]/);
  const [authority, after] = end < 0 ? [rest, ""] : [rest.slice(0, end), rest.slice(end)];
  if (isAmbiguous(authority, after)) return { kind: "ambiguous" };
  const [path, query] = split(after, "?");
  const at = authority.lastIndexOf("@");
  const [login, place] = at < 0 ? ["", authority] : [authority.slice(0, at), authority.slice(at + 1)];
  if (/\s/.test(url) || !/^(\[[^\]]+\]|[^:[\]]+)(:\d+)?$/.test(place) || !/^\/[^/#]+$/.test(path)) return { kind: "incomplete" };
  const [user, password] = split(login, ":");
  const parameters = query.split("&").filter(Boolean).map((pair) => pair.split("="));
  const inQuery = parameters.find(([name]) => name.toLowerCase() === "password");
  const named = parameters.filter(([name]) => name.toLowerCase() !== "password").map(([name, ...value]) => {
    name = name.toLowerCase();
    return PLAIN.includes(name) ? `${name}=${value.join("=")}` : `${NAMED.includes(name) ? name : "other"}=`;
  });
  const shown = `${scheme}://${at < 0 ? "" : `${user}@`}${place}${path}${named.length ? `?${named.join("&")}` : ""}`;
  return { kind: "url", shown, password: login.includes(":") ? password : inQuery ? inQuery.slice(1).join("=") : null };
}

/** Whether an `@` follows what would be the end of the authority (as in source/url/authority.rs). */
function isAmbiguous(authority, after) {
  if (!after.includes("@")) return false;
  const [path, query] = split(after, "?");
  const isPlain = (pair) => {
    const [name, value] = split(pair, "=");
    return !pair.includes("@") || (WITH_AT.includes(name.toLowerCase()) && pair.includes("=") && !/[/#?]/.test(value));
  };
  const hasHost = authority.includes("@") || !authority.includes(":") || /^localhost:|[.\]].*:\d+$/.test(authority);
  return /[@#]/.test(path) || !query.split("&").every(isPlain) || !hasHost;
}

function split(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
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
