// The form that starts an import: from a connection URL, or from a dump file.

import { call, now, sentence } from "./api.js";
import { announce, bar, bytes, duration, h, move, note } from "./dom.js";
import { look } from "./dump.js";
import { apart, bare, recognise, together } from "./source.js";
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
  return { element: card, stop: modes.file.stop, sending: modes.file.sending };
}

let finishes = 0;

/** An import that began although its answer was lost: asking for it again would be a second one. */
async function begunSince(project, when) {
  const found = await call("GET", `/v1/projects/${project.id}/jobs?limit=5`).catch(() => null);
  return found?.jobs?.find((job) => job.type === "project.import" && Date.parse(job.created_at) >= when - 2000) ?? null;
}

/** What stands below both modes: replace or join, and the start. `start` gives the job, unless nobody waits for it any more. */
function finish(project, ready, start, started) {
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
    button.disabled = !ready() || (recreate.checked && typed.value.trim() !== project.slug);
    button.setAttribute("aria-disabled", String(busy)); // it keeps the focus
  };
  // What was asked for must not change while it is being done.
  const lock = (locked) => {
    busy = recreate.disabled = typed.disabled = locked;
    update();
  };
  typed.addEventListener("keydown", (event) => event.key === "Enter" && button.click());
  button.addEventListener("click", async () => {
    if (busy) return;
    lock(true);
    trouble.replaceChildren();
    const pressed = now();
    try {
      const job = await start(recreate.checked);
      if (job) return started(job); // the form stays locked until it is gone
      lock(false);
    } catch (error) {
      const begun = error.status === 0 ? await begunSince(project, pressed) : null;
      if (begun) return started(begun);
      if (error.name !== "AbortError") trouble.replaceChildren(note("bad", error.message, advice(error)));
      lock(false);
    }
  });
  /** The step that comes next is the one that stands out. */
  const stand = (out) => button.classList.toggle("main", out);
  const element = h("div", { class: "card-part" },
    h("div", { class: "check" }, recreate,
      h("label", { for: recreate.id }, h("strong", {}, "Replace the database. "),
        h("span", { class: "soft" }, "What it holds now is dropped once the import has succeeded. Otherwise the data joins what is there, all of it or nothing."))),
    confirmation, h("div", { class: "row" }, button), trouble);
  return { element, update, stand };
}

function advice(error) {
  if (error.code === "import_running") return "It is in the list of jobs.";
  if (error.status === 409) return "Wait a moment, then try again.";
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
  const check = h("button", { type: "button", class: "main", disabled: true }, "Run preflight");
  let [asked, fine, looking] = [null, false, false];
  const end = finish(project, () => fine, async (recreate) => {
    input.disabled = check.disabled = true;
    try {
      const { job } = await call("POST", `/v1/projects/${project.id}/imports`, { confirm: true, recreate, source_url: bare(input.value) }, { patience: 90 });
      input.value = "";
      return job;
    } finally {
      input.disabled = check.disabled = false;
    }
  }, started);

  const changed = async () => {
    asked?.abort();
    asked = new AbortController();
    report.replaceChildren();
    fine = false;
    passed(false);
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
  /** Preflight is the next step until it has passed. */
  const passed = (has) => {
    check.classList.toggle("main", !has);
    end.stand(has);
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
        found.caveats.length ? h("details", {}, h("summary", {}, `Differences to know when leaving ${found.provider}`), h("ul", {}, found.caveats.map((text) => h("li", {}, text)))) : null);
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
  input.addEventListener("keydown", (event) => event.key === "Enter" && check.click());
  const settled = () => {
    looking = false;
    check.removeAttribute("aria-disabled");
  };
  check.addEventListener("click", async () => {
    if (looking) return;
    looking = true;
    check.setAttribute("aria-disabled", "true"); // and keeps the focus
    report.replaceChildren(h("p", { class: "soft" }, "Looking at the source …"));
    const { signal } = asked; // another URL ends it
    try {
      const { preflight } = await call("POST", `/v1/projects/${project.id}/imports/preflight`, { source_url: bare(input.value) }, { signal, patience: 90 });
      settled();
      if (signal.aborted) return;
      report.replaceChildren(preflightReport(preflight));
      fine = preflight.ok;
      passed(fine);
    } catch (error) {
      settled();
      if (signal.aborted) return;
      report.replaceChildren(quiet("bad", error.message, advice(error)));
    }
    end.update();
  });
  passed(false);
  return h("div", { class: "card-part" },
    h("label", { class: "field", for: "source-url" }, "Connection URL of the source",
      h("span", { class: "soft small" }, "The password is sent only when you run the preflight or the import."),
      h("span", { class: "with-button" }, input, show)),
    known, h("div", { class: "row" }, check), report, end.element);
}

/** A message inside of what is read out anyway. */
function quiet(kind, text, fix) {
  const box = note(kind, text, fix);
  box.removeAttribute("role");
  return box;
}

function fixOf(check) {
  const fix = check.status === "pass" ? null : check.fix ?? FIXES[check.name];
  return fix ? h("span", { class: "detail" }, h("strong", {}, "What to do: "), sentence(fix)) : null;
}

function preflightReport(found) {
  const source = found.source ?? {};
  const item = (check) => h("li", {},
    h("span", { class: `tag ${check.status}` }, check.status), h("strong", {}, sentence(check.name.replaceAll("_", " ")).slice(0, -1)),
    check.detail ? h("span", { class: "detail" }, sentence(check.detail)) : null,
    fixOf(check));
  const facts = [
    ["Server", source.server_version && `Postgres ${source.server_version}`],
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
    h("details", {}, h("summary", {}, "What the source holds"),
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
    if (gone || sent !== upload) return null; // nobody waits for it any more
    const { job } = await call("POST", `/v1/projects/${project.id}/imports`, { confirm: true, recreate, upload_key: key }, { patience: 90 });
    upload = null;
    return job;
  }, started);
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
    if (upload && !confirm(`This ends the upload of ${file.name}. Take ${chosen.name} all the same?`)) return;
    upload?.cancel();
    upload = null;
    [file, fine] = [chosen, false];
    end.update();
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
      ["Tables", listed(found.tables, found.partly)],
      ["Extensions", listed(found.extensions, found.partly)],
    ].filter(([, value]) => value);
    return h("div", { class: `note ${newer ? "warn" : "good"}` },
      newer ? h("p", {}, `The dump comes from Postgres ${found.server}, and the target is ${project.postgres_version}: it may not fit.`) : null,
      h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
  };
  const listed = (names, partly) => {
    if (!names.length) return partly ? "too far behind to be read here" : "none";
    return `${names.length}${partly ? " or more" : ""}: ${names.slice(0, 12).join(", ")}${names.length > 12 ? ", …" : ""}`;
  };
  const send = async (sender) => {
    const begun = { at: performance.now(), sent: sender.sent };
    const line = h("p", { class: "small" });
    const moving = bar(0, "Upload");
    const cancel = h("button", { type: "button", onclick: () => { sender.cancel(); upload = null; } }, "Cancel the upload");
    const stop = (event) => event.preventDefault(); // a page that is left sends nothing more
    sending.replaceChildren(h("div", { class: "note" }, moving, line, h("div", { class: "row" }, cancel)));
    addEventListener("beforeunload", stop);
    let said = -1;
    const progress = (sent) => {
      const [part, seconds] = [sent / sender.file.size, (performance.now() - begun.at) / 1000];
      const rate = (sent - begun.sent) / seconds;
      const left = rate > 0 && seconds > 1 ? `, ${duration((sender.file.size - sent) / rate)} left` : "";
      move(moving, part);
      const speed = seconds > 1 ? `, ${bytes(rate)}/s` : "";
      line.textContent = sent < sender.file.size ? `Uploading: ${bytes(sent)} of ${bytes(sender.file.size)}${speed}${left}` : "Uploaded. Storage writes it down …";
      const tenth = Math.floor(part * 10);
      if (tenth > said) {
        said = tenth;
        announce(`Upload ${tenth * 10} percent`);
      }
    };
    const pausing = (seconds, error) => { line.textContent = `${error.message} Trying again in ${duration(seconds)}; ${bytes(sender.sent)} are there.`; };
    progress(sender.sent);
    try {
      const key = await sender.run(progress, pausing);
      sending.replaceChildren(note("good", `Uploaded: ${bytes(sender.file.size)}.`));
      return key;
    } catch (error) {
      if (error.name === "AbortError") {
        sending.replaceChildren(note("warn", "The upload was cancelled. Nothing was imported."));
        throw error;
      }
      const goesOn = sender.arrived.size > 0 && sender.slot?.id;
      sending.replaceChildren(note("bad", `The upload broke off after ${bytes(sender.sent)}: ${error.message}`, error.lasting ? null : goesOn ? "Try again: what has arrived is not sent twice." : "Try again."));
      throw new DOMException("told already", "AbortError");
    } finally {
      removeEventListener("beforeunload", stop);
    }
  };
  const element = h("div", { class: "card-part" }, drop, known, sending, end.element);
  return { element, stop: () => { gone = true; upload?.cancel(); }, sending: () => upload !== null };
}
