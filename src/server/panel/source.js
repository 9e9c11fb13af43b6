// A source's URL, seen without its password.

/** Parameters that may leave the form with their values; of all others only the names do. */
const PLAIN = ["sslmode", "channel_binding", "options", "application_name", "connect_timeout"];
/** Those that the control plane has a word for. */
const NAMED = ["host", "hostaddr", "port", "user", "password", "dbname", "service", "passfile", "sslcert", "sslkey", "sslrootcert", "sslpassword", "target_session_attrs", "pgbouncer", "schema"];

/** The URL in what people paste: `psql 'postgres://…'`, `DATABASE_URL="postgres://…"`. */
export function bare(text) {
  const named = text.trim().replace(/^(psql\s+|(export\s+)?\w+=)(?=["']?postgres)/i, "");
  return named.replace(/^(["'])(.*)\1;?$/, "$2").trim();
}

/**
 * The URL without its password, and the password; null while it is not whole, because then it
 * cannot be told where a password ends, and nothing of it may leave the form.
 */
export function apart(text) {
  text = bare(text);
  const url = /^([a-z][a-z0-9+]*:\/\/)([^\s]+)$/i.exec(text);
  if (!url) return null;
  // What is a parameter begins behind the host: a password may have a question mark, too.
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

/** Where the host begins: behind the last `@` that has a whole host and a database behind it. */
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

/** Puts the password back into a URL that was shown without it. */
export function together(shown, password) {
  const [start, at] = [shown.indexOf("://") + 3, shown.indexOf("@")];
  if (password === null || at < 0) return shown;
  return `${shown.slice(0, start)}${shown.slice(start, at).split(":")[0]}:${password}${shown.slice(at)}`;
}

/** What is known of a URL: provider, what will be changed, what is refused and why. */
export async function recognise(shown, signal) {
  const answer = await fetch("/panel/source", {
    method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify({ url: shown }),
  });
  return answer.ok ? answer.json() : null;
}
