// A source's URL, seen without its password.

/**
 * The URL without its password, and the password; null while it cannot be told where the password
 * ends, because then nothing of it may leave the form.
 */
export function apart(text) {
  text = text.trim().replace(/^["']|["']$/g, "");
  const start = text.indexOf("://");
  if (start < 0) return null;
  const [scheme, rest] = [text.slice(0, start + 3), text.slice(start + 3)];
  const at = rest.lastIndexOf("@");
  if (at < 0) return null;
  const user = rest.slice(0, at);
  const colon = user.indexOf(":");
  const name = colon < 0 ? user : user.slice(0, colon);
  const behind = rest.slice(at + 1).replace(/([?&]password=)[^&]*/gi, "$1");
  return { shown: `${scheme}${name}@${behind}`, password: colon < 0 ? null : user.slice(colon + 1) };
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
