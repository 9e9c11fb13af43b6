// The form that starts an import: from a connection URL, or from a dump file.

import { call, sentence } from "./api.js";
import { announce, bar, bytes, count, duration, h, note } from "./dom.js";
import { look } from "./dump.js";
import { apart, recognise, together } from "./source.js";
import { Upload } from "./upload.js";

/** Fixes for checks of services that send none. */
const FIXES = {
  source_size_within_plan: "Choose a larger plan, or dump only what is needed.",
  source_version_compatible: "The source is newer than the target: dump from a server of the target's version.",
  extensions_available_on_target: "Drop these extensions on a copy of the source, or leave them out of the dump.",
};

/** `started` gets the job. Gives the element, and how to give up what is under way. */
export function importForm(project, started) {
  const card = h("section", { class: "card", "aria-labelledby": "import-title" });
  const body = h("div", { class: "card-body" });
  const modes = { url: urlMode(project, started), file: fileMode(project, started) };
  const choose = (mode) => {
    modes.url.hidden = mode !== "url";
    modes.file.element.hidden = mode !== "file";
  };
  const option = (value, text, checked) =>
    h("label", {}, h("input", { type: "radio", name: "mode", value, checked, onchange: () => choose(value) }), text);
  card.append(
    h("h2", { id: "import-title" }, "Import a database"),
    h("fieldset", {}, h("legend", { class: "unseen" }, "Where the data comes from"),
      h("div", { class: "switch" }, option("url", "Connection URL", true), option("file", "Upload dump file", false))),
    body);
  body.append(modes.url, modes.file.element);
  choose("url");
  return { element: card, stop: modes.file.stop };
}

let finishes = 0;

/** What stands below both modes: replace or join, and the start. */
function finish(project, ready, start) {
  const id = `finish-${(finishes += 1)}`;
  const trouble = h("div");
  let busy = false;
  const recreate = h("input", { type: "checkbox", id: `recreate-${id}`, onchange: () => update() });
  const typed = h("input", { type: "text", id: `typed-${id}`, autocomplete: "off", spellcheck: "false", oninput: () => update() });
  const confirmation = h("label", { class: "field", hidden: true, for: `typed-${id}` },
    h("span", {}, "Type ", h("code", {}, project.slug), " to confirm that its database is replaced"), typed);
  const button = h("button", { type: "button", class: "main", disabled: true }, "Import");
  const update = () => {
    confirmation.hidden = !recreate.checked;
    button.classList.toggle("danger", recreate.checked);
    button.textContent = recreate.checked ? `Replace ${project.slug} and import` : "Import";
    button.disabled = busy || !ready() || (recreate.checked && typed.value.trim() !== project.slug);
  };
  // What was asked for must not change while it is being done.
  const lock = (locked) => {
    busy = recreate.disabled = typed.disabled = locked;
    update();
  };
  button.addEventListener("click", async () => {
    if (busy) return;
    lock(true);
    trouble.replaceChildren();
    try {
      await start(recreate.checked);
    } catch (error) {
      if (error.name !== "AbortError") trouble.replaceChildren(note("bad", error.message, advice(error)));
    }
    lock(false);
  });
  const element = h("div", { class: "card-part" },
    h("div", { class: "check" }, recreate,
      h("label", { for: recreate.id }, h("strong", {}, "Replace the database. "),
        h("span", { class: "soft" }, "What it holds now is dropped once the import has succeeded. Otherwise the data joins what is there, all of it or nothing."))),
    confirmation, h("div", { class: "row" }, button), trouble);
  return { element, update };
}

function advice(error) {
  if (error.status === 409) return "Wait until the other import is over: it is in the list of jobs.";
  if (error.status === 401 || error.status === 403) return "Use a key that may write to this project.";
  return null;
}

function urlMode(project, started) {
  const input = h("input", { type: "password", id: "source-url", autocomplete: "off", spellcheck: "false", "aria-describedby": "source-known", placeholder: "postgres://user:password@host:5432/database" });
  const show = h("button", { type: "button", "aria-pressed": "false" }, "Show");
  show.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    show.textContent = shown ? "Hide" : "Show";
    show.setAttribute("aria-pressed", String(shown));
  });
  const known = h("div", { id: "source-known", "aria-live": "polite" });
  const report = h("div", { "aria-live": "polite" });
  const check = h("button", { type: "button", disabled: true }, "Run preflight");
  let [asked, fine] = [null, false];
  const end = finish(project, () => fine, async (recreate) => {
    input.disabled = check.disabled = true;
    try {
      const { job } = await call("POST", `/v1/projects/${project.id}/imports`, { confirm: true, recreate, source_url: input.value.trim() });
      input.value = "";
      started(job);
    } finally {
      input.disabled = check.disabled = false;
    }
  });

  const changed = async () => {
    asked?.abort();
    asked = new AbortController();
    report.replaceChildren();
    fine = false;
    update();
    const seen = apart(input.value);
    if (!seen) {
      known.replaceChildren(input.value.trim() ? h("p", { class: "soft small" }, "Not yet a whole URL: postgres://user:password@host:5432/database") : "");
      update();
      return;
    }
    const { signal } = asked;
    await new Promise((done) => setTimeout(done, 150)); // while somebody types
    if (signal.aborted) return;
    const found = await recognise(seen.shown, signal).catch(() => null);
    if (signal.aborted) return;
    known.replaceChildren(found ? recognised(found, seen) : h("p", { class: "soft small" }, "It could not be looked at before; the preflight says more."));
    fine = found?.ok ?? true;
    update();
  };
  const update = () => {
    check.disabled = !fine;
    input.setAttribute("aria-invalid", String(Boolean(input.value.trim()) && apart(input.value) !== null && !fine));
    end.update();
  };
  const recognised = (found, seen) => {
    if (found.ok) {
      const rows = [["Source", h("code", {}, found.shown)], ...(found.provider ? [["Provider", found.provider]] : [])];
      return h("div", { class: "note good" },
        h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
        found.changes.length ? h("ul", {}, found.changes.map((change) => h("li", {}, sentence(change)))) : null,
        found.caveats.length ? h("details", {}, h("summary", {}, `What bites when leaving ${found.provider}`), h("ul", {}, found.caveats.map((text) => h("li", {}, text)))) : null);
    }
    const box = quiet("bad", sentence(found.why), found.fix ? sentence(found.fix) : null);
    if (found.instead) {
      const use = h("button", { type: "button" }, "Use the right endpoint");
      use.addEventListener("click", () => {
        input.value = together(found.instead, seen.password);
        input.dispatchEvent(new Event("input"));
        input.focus();
      });
      box.append(h("p", {}, "The same database is at ", h("code", {}, found.instead)), use);
    }
    return box;
  };
  input.addEventListener("input", changed);
  check.addEventListener("click", async () => {
    check.disabled = true;
    report.replaceChildren(h("p", { class: "soft" }, "Looking at the source …"));
    const { signal } = asked; // another URL ends it
    try {
      const { preflight } = await call("POST", `/v1/projects/${project.id}/imports/preflight`, { source_url: input.value.trim() }, { signal });
      if (signal.aborted) return;
      report.replaceChildren(preflightReport(preflight));
      announce(preflight.ok ? "Preflight passed" : "Preflight failed");
      fine = preflight.ok;
    } catch (error) {
      if (signal.aborted) return;
      report.replaceChildren(quiet("bad", error.message, advice(error)));
    }
    check.disabled = false;
    end.update();
  });
  return h("div", { class: "card-part" },
    h("label", { class: "field", for: "source-url" }, "Connection URL of the source",
      h("span", { class: "soft small" }, "Its password stays in this form; only the preflight and the import get it."),
      h("span", { class: "with-button" }, input, show)),
    known, h("div", { class: "row" }, check), report, end.element);
}

/** A message inside of what is read out anyway. */
function quiet(kind, text, fix) {
  const box = note(kind, text, fix);
  box.removeAttribute("role");
  return box;
}

function preflightReport(found) {
  const source = found.source ?? {};
  const item = (check) => h("li", {},
    h("span", { class: `tag ${check.status}` }, check.status), h("strong", {}, check.name.replaceAll("_", " ")),
    check.detail ? h("span", { class: "detail" }, sentence(check.detail)) : null,
    check.status !== "pass" ? h("span", { class: "detail soft" }, "→ ", check.fix ?? FIXES[check.name] ?? "") : null);
  const facts = [
    ["Server", source.server_version && `Postgres ${source.server_version}`],
    ["Size", source.database_size_bytes !== undefined && `${bytes(source.database_size_bytes)} of ${bytes(found.storage_limit_bytes)}`],
    ["Extensions", (source.extensions ?? []).map(({ name, version }) => `${name} ${version}`).join(", ")],
    ["Schemas", (source.app_schemas ?? []).join(", ")],
    ["Provider", source.provider],
    ["Platform schemas", (source.provider_schemas ?? []).join(", ")],
    ["Event triggers", (source.event_triggers ?? []).join(", ")],
    ["Target", `Postgres ${found.target_version}`],
  ].filter(([, value]) => value);
  return h("div", { class: "card-part", id: "preflight" },
    quiet(found.ok ? "good" : "bad", found.ok ? "The preflight passed. Nothing was changed." : "The import would fail. Nothing was changed."),
    h("ul", { class: "checks" }, (found.checks ?? []).map(item)),
    h("details", { open: true }, h("summary", {}, "What the source holds"),
      h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))));
}

function fileMode(project, started) {
  const input = h("input", { type: "file", id: "dump-file", "aria-describedby": "dump-hint" });
  const drop = h("label", { class: "drop", for: "dump-file" }, h("strong", {}, "Choose a dump file, or drop it here"),
    h("span", { class: "soft small", id: "dump-hint" }, "Custom format (pg_dump -Fc) or plain SQL. It is looked at here, before anything is sent."), input);
  const known = h("div", { id: "dump-known", "aria-live": "polite" });
  const sending = h("div");
  let [file, fine, upload, gone] = [null, false, null, false];
  const end = finish(project, () => fine, async (recreate) => {
    if (upload?.file !== file) upload = new Upload(project.id, file);
    const sent = upload;
    const key = await send(sent);
    if (gone || sent !== upload) return; // nobody waits for it any more
    const { job } = await call("POST", `/v1/projects/${project.id}/imports`, { confirm: true, recreate, upload_key: key });
    upload = null;
    started(job);
  });
  for (const event of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(event, (dragged) => {
      dragged.preventDefault();
      drop.classList.toggle("over", event === "dragover");
      if (event === "drop" && dragged.dataTransfer.files.length) take(dragged.dataTransfer.files[0]);
    });
  }
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });

  const take = async (chosen) => {
    if (upload && upload.file !== chosen) upload.cancel();
    [file, fine] = [chosen, false];
    sending.replaceChildren();
    known.replaceChildren(h("p", { class: "soft" }, `Reading ${chosen.name} …`));
    const found = await look(chosen).catch((error) => ({ trouble: `The file cannot be read: ${error.message}.` }));
    if (file !== chosen) return;
    const tooLarge = project.storage_limit_bytes && chosen.size > project.storage_limit_bytes;
    if (tooLarge) {
      found.trouble = `The dump has ${bytes(chosen.size)}, more than the ${bytes(project.storage_limit_bytes)} of the project's plan.`;
      found.fix = "Choose a larger plan, or dump only what is needed.";
    }
    known.replaceChildren(found.trouble ? quiet("bad", found.trouble, found.fix) : facts(chosen, found));
    fine = !found.trouble;
    end.update();
  };
  const facts = (chosen, found) => {
    const newer = Number.parseInt(found.server, 10) > Number.parseInt(project.postgres_version, 10);
    const rows = [
      ["File", `${chosen.name}, ${bytes(chosen.size)}`],
      ["Format", found.format],
      ["From", [found.database, found.server && `Postgres ${found.server}`].filter(Boolean).join(", ")],
      ["Made by", found.dumper && `pg_dump ${found.dumper}`],
      ["Tables", `${found.tables.length}${found.partly ? " or more" : ""}${found.tables.length ? `: ${found.tables.slice(0, 12).join(", ")}${found.tables.length > 12 ? ", …" : ""}` : ""}`],
      ["Extensions", found.extensions.join(", ") || "none"],
    ].filter(([, value]) => value);
    return h("div", { class: `note ${newer ? "warn" : "good"}` },
      newer ? h("p", {}, `The dump comes from Postgres ${found.server}, and the target is ${project.postgres_version}: it may not fit.`) : null,
      h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
  };
  const send = async (sender) => {
    const begun = { at: performance.now(), sent: sender.sent };
    const line = h("p", { class: "small" });
    const place = h("div");
    const cancel = h("button", { type: "button", onclick: () => { sender.cancel(); upload = null; } }, "Cancel the upload");
    const stop = (event) => event.preventDefault(); // a page that is left sends nothing more
    sending.replaceChildren(h("div", { class: "note" }, place, line, h("div", { class: "row" }, cancel)));
    addEventListener("beforeunload", stop);
    let said = -1;
    const progress = (sent) => {
      const [part, seconds] = [sent / sender.file.size, (performance.now() - begun.at) / 1000];
      const rate = (sent - begun.sent) / seconds;
      const left = rate > 0 && seconds > 1 ? `, ${duration((sender.file.size - sent) / rate)} left` : "";
      place.replaceChildren(bar(part, "Upload"));
      line.textContent = `Uploading: ${bytes(sent)} of ${bytes(sender.file.size)}${seconds > 1 ? `, ${bytes(rate)}/s` : ""}${left}`;
      const tenth = Math.floor(part * 10);
      if (tenth > said) {
        said = tenth;
        announce(`Upload ${tenth * 10} percent`);
      }
    };
    progress(sender.sent);
    try {
      const key = await sender.run(progress);
      sending.replaceChildren(note("good", `Uploaded: ${bytes(sender.file.size)}.`));
      return key;
    } catch (error) {
      if (error.name === "AbortError") {
        sending.replaceChildren(note("warn", "The upload was cancelled. Nothing was imported."));
        throw error;
      }
      sending.replaceChildren(note("bad", `The upload broke off after ${bytes(sender.sent)}: ${error.message}`, "Try again: what has arrived is not sent twice."));
      throw new DOMException("told already", "AbortError");
    } finally {
      removeEventListener("beforeunload", stop);
    }
  };
  const element = h("div", { class: "card-part" }, drop, known, sending, end.element);
  return { element, stop: () => { gone = true; upload?.cancel(); } };
}
