// The import form: connection URL or dump file.

import { call, now, sentence } from "./api.js";
import { announce, bar, bytes, duration, h, setProgress, note } from "./dom.js";
import { readDump } from "./dump.js";
import { readSource, recognizeSource, joinPassword } from "./source.js";
import { Upload } from "./upload.js";

/** Fixes for failed checks, if the service sends none. */
const FIXES = {
  source_size_within_plan: "Choose a larger plan, or dump only the data you need.",
  source_version_compatible: "Import into a target of the source's version or newer.",
  extensions_available_on_target: "Drop these extensions on a copy of the source, or exclude them from the dump.",
};

/** Creates the form; calls `started` with the job. `stop` cancels an upload, `sending` is whether one is active. */
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
    h("fieldset", {}, h("legend", { class: "unseen" }, "Data source"),
      h("div", { class: "switch" }, option("url", "Connection URL", true), option("file", "Upload dump file", false))),
    body);
  body.append(modes.url, modes.file.element);
  choose("url");
  return { element: card, stop: modes.file.stop, sending: modes.file.sending };
}

let finishes = 0;

/** An import that started although its response was lost; a retry would start a second one. */
async function importStartedSince(project, when) {
  const found = await call("GET", `/v1/projects/${project.id}/jobs?limit=5`).catch(() => null);
  return found?.jobs?.find((job) => job.type === "project.import" && Date.parse(job.created_at) >= when - 2000) ?? null;
}

/** The replace option and the start button of both modes. `start` returns the job, or null if abandoned. */
function finish(project, ready, start, started) {
  const id = `finish-${(finishes += 1)}`;
  const problem = h("div");
  let busy = false;
  const recreate = h("input", { type: "checkbox", id: `recreate-${id}`, onchange: () => update() });
  const typed = h("input", { type: "text", id: `typed-${id}`, autocomplete: "off", spellcheck: "false", oninput: () => update() });
  const confirmation = h("label", { class: "field", hidden: true, for: `typed-${id}` },
    h("span", {}, "Type ", h("code", {}, project.slug), " to confirm replacing its database"), typed);
  const button = h("button", { type: "button", class: "main", disabled: true }, "Import");
  const update = () => {
    confirmation.hidden = !recreate.checked;
    button.classList.toggle("danger", recreate.checked);
    button.textContent = recreate.checked ? `Replace ${project.slug} and import` : "Import";
    button.disabled = !ready() || (recreate.checked && typed.value.trim() !== project.slug);
    button.setAttribute("aria-disabled", String(busy)); // unlike `disabled`, keeps the focus
  };
  // The options must not change while the import starts.
  const lock = (locked) => {
    busy = recreate.disabled = typed.disabled = locked;
    update();
  };
  typed.addEventListener("keydown", (event) => event.key === "Enter" && button.click());
  button.addEventListener("click", async () => {
    if (busy) return;
    lock(true);
    problem.replaceChildren();
    const pressed = now();
    try {
      const job = await start(recreate.checked);
      if (job) return started(job); // the form stays locked until the view changes
      lock(false);
    } catch (error) {
      const job = error.status === 0 ? await importStartedSince(project, pressed) : null;
      if (job) return started(job);
      if (error.name !== "AbortError") problem.replaceChildren(note("bad", error.message, advice(error)));
      lock(false);
    }
  });
  /** Highlights the button when it is the next step. */
  const setPrimary = (out) => button.classList.toggle("main", out);
  const element = h("div", { class: "card-part" },
    h("div", { class: "check" }, recreate,
      h("label", { for: recreate.id }, h("strong", {}, "Replace the database. "),
        h("span", { class: "soft" }, "Its current contents are dropped once the import succeeds. Otherwise the data is added to them, all or nothing."))),
    confirmation, h("div", { class: "row" }, button), problem);
  return { element, update, setPrimary };
}

function advice(error) {
  if (error.code === "import_running") return "Open the running import in the list of jobs.";
  if (error.status === 409) return "Wait a moment, then try again.";
  if (error.status === 401 || error.status === 403) return "Use a key with write access to this project.";
  return null;
}

/** What is said about text that is not a URL. */
const UNREAD = {
  incomplete: "The URL is incomplete. Expected: postgres://user:password@host:5432/database",
  ambiguous: "The URL has more than one reading. Percent-encode the special characters of the password: @ is %40, / is %2F, ? is %3F, # is %23.",
  text: "The connection string will be read during preflight.",
};

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
  let [request, isValid, isChecking] = [null, false, false];
  const end = finish(project, () => isValid, async (recreate) => {
    input.disabled = check.disabled = true;
    try {
      const { job } = await call("POST", `/v1/projects/${project.id}/imports`, { confirm: true, recreate, source_url: input.value.trim() }, { timeout: 90 });
      input.value = "";
      return job;
    } finally {
      input.disabled = check.disabled = false;
    }
  }, started);

  const changed = async () => {
    request?.abort();
    request = new AbortController();
    report.replaceChildren();
    isValid = false;
    passed(false);
    update();
    const parts = readSource(input.value);
    if (parts.kind !== "url") {
      known.replaceChildren(input.value.trim() ? h("p", { class: "soft small" }, UNREAD[parts.kind]) : "");
      isValid = parts.kind === "text";
      update();
      return;
    }
    const { signal } = request;
    await new Promise((done) => setTimeout(done, 150)); // debounces typing
    if (signal.aborted) return;
    const found = await recognizeSource(parts.shown, signal).catch(() => null);
    if (signal.aborted) return;
    known.replaceChildren(found ? recognizedSource(found, parts) : h("p", { class: "soft small" }, "The URL will be checked during preflight."));
    isValid = found?.ok ?? true;
    update();
  };
  /** Preflight is the next step until it passes. */
  const passed = (has) => {
    check.classList.toggle("main", !has);
    end.setPrimary(has);
  };
  const update = () => {
    check.disabled = !isValid;
    input.setAttribute("aria-invalid", String(Boolean(input.value.trim()) && ["url", "ambiguous"].includes(readSource(input.value).kind) && !isValid));
    end.update();
  };
  const recognizedSource = (found, parts) => {
    if (found.ok) {
      const rows = [["Source", h("code", {}, found.shown)], ...(found.provider ? [["Provider", found.provider]] : [])];
      return h("div", { class: "note good" },
        h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
        found.changes.length ? h("ul", {}, found.changes.map((change) => h("li", {}, sentence(change)))) : null,
        found.caveats.length ? h("details", {}, h("summary", {}, `Known differences when migrating from ${found.provider}`), h("ul", {}, found.caveats.map((text) => h("li", {}, text)))) : null);
    }
    const box = quiet("bad", sentence(found.message), found.fix ? sentence(found.fix) : null);
    if (found.instead) {
      const use = h("button", { type: "button" }, "Use this endpoint");
      use.addEventListener("click", () => {
        input.value = joinPassword(found.instead, parts.password);
        input.dispatchEvent(new Event("input"));
        input.focus();
      });
      box.append(h("p", {}, "Suitable endpoint of the same database: ", h("code", {}, found.instead)), use);
    }
    return box;
  };
  input.addEventListener("input", changed);
  input.addEventListener("keydown", (event) => event.key === "Enter" && check.click());
  const enableCheck = () => {
    isChecking = false;
    check.removeAttribute("aria-disabled");
  };
  check.addEventListener("click", async () => {
    if (isChecking) return;
    isChecking = true;
    check.setAttribute("aria-disabled", "true"); // unlike `disabled`, keeps the focus
    report.replaceChildren(h("p", { class: "soft" }, "Checking the source…"));
    const { signal } = request; // a change of the URL aborts it
    try {
      const { preflight } = await call("POST", `/v1/projects/${project.id}/imports/preflight`, { source_url: input.value.trim() }, { signal, timeout: 90 });
      enableCheck();
      if (signal.aborted) return;
      report.replaceChildren(preflightReport(preflight));
      isValid = preflight.ok;
      passed(isValid);
    } catch (error) {
      enableCheck();
      if (signal.aborted) return;
      report.replaceChildren(quiet("bad", error.message, advice(error)));
    }
    end.update();
  });
  passed(false);
  return h("div", { class: "card-part" },
    h("label", { class: "field", for: "source-url" }, "Source connection URL",
      h("span", { class: "soft small" }, "The password is sent only when you run preflight or import."),
      h("span", { class: "with-button" }, input, show)),
    known, h("div", { class: "row" }, check), report, end.element);
}

/** A message inside a live region, which is announced anyway. */
function quiet(kind, text, fix) {
  const box = note(kind, text, fix);
  box.removeAttribute("role");
  return box;
}

function fixOf(check) {
  const fix = check.status === "pass" ? null : check.fix ?? FIXES[check.name];
  return fix ? h("span", { class: "detail" }, h("strong", {}, "Fix: "), sentence(fix)) : null;
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
    quiet(found.ok ? "good" : "bad", found.ok ? "Preflight passed. Nothing was changed." : "The import would fail. Nothing was changed."),
    h("ul", { class: "checks" }, (found.checks ?? []).map(item)),
    h("details", {}, h("summary", {}, "Source details"),
      h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))));
}

function fileMode(project, started) {
  const input = h("input", { type: "file", id: "dump-file", "aria-describedby": "dump-hint" });
  const drop = h("label", { class: "drop", for: "dump-file" }, h("strong", {}, "Choose a dump file or drop it here"),
    h("span", { class: "soft small", id: "dump-hint" }, "Custom format (pg_dump -Fc) or plain SQL. Checked in your browser before upload."), input);
  const known = h("div", { id: "dump-known", "aria-live": "polite" });
  const sending = h("div");
  let [file, isValid, upload, closed] = [null, false, null, false];
  const end = finish(project, () => isValid, async (recreate) => {
    if (upload?.file !== file) upload = new Upload(project.id, file);
    const sent = upload;
    const key = await send(sent);
    if (closed || sent !== upload) return null; // abandoned meanwhile
    const { job } = await call("POST", `/v1/projects/${project.id}/imports`, { confirm: true, recreate, upload_key: key }, { timeout: 90 });
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
    input.value = ""; // allows choosing the same file again
  });

  const take = async (chosen) => {
    if (upload && !confirm(`This cancels the upload of ${file.name}. Use ${chosen.name} instead?`)) return;
    upload?.cancel();
    upload = null;
    [file, isValid] = [chosen, false];
    end.update();
    sending.replaceChildren();
    known.replaceChildren(h("p", { class: "soft" }, `Reading ${chosen.name}…`));
    const found = await readDump(chosen).catch((error) => ({ problem: `Cannot read the file: ${error.message}.` }));
    if (file !== chosen) return;
    const tooLarge = project.storage_limit_bytes && chosen.size > project.storage_limit_bytes;
    if (tooLarge) {
      found.problem = `The dump is ${bytes(chosen.size)}, over the plan limit of ${bytes(project.storage_limit_bytes)}.`;
      found.fix = "Choose a larger plan, or dump only the data you need.";
    }
    known.replaceChildren(found.problem ? quiet("bad", found.problem, found.fix) : facts(chosen, found));
    isValid = !found.problem;
    end.update();
  };
  const facts = (chosen, found) => {
    const newer = Number.parseInt(found.server, 10) > Number.parseInt(project.postgres_version, 10);
    const rows = [
      ["File", `${chosen.name}, ${bytes(chosen.size)}`],
      ["Format", found.format],
      ["From", [found.database, found.server && `Postgres ${found.server}`].filter(Boolean).join(", ")],
      ["Created by", found.dumper && `pg_dump ${found.dumper}`],
      ["Tables", listed(found.tables, found.partly)],
      ["Extensions", listed(found.extensions, found.partly)],
    ].filter(([, value]) => value);
    return h("div", { class: `note ${newer ? "warn" : "good"}` },
      newer ? h("p", {}, `The dump is from Postgres ${found.server}, newer than the target (${project.postgres_version}): the import may fail.`) : null,
      h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
  };
  const listed = (names, partly) => {
    if (!names.length) return partly ? "unknown: only the start of the file was read" : "none";
    return `${names.length}${partly ? " or more" : ""}: ${names.slice(0, 12).join(", ")}${names.length > 12 ? ", …" : ""}`;
  };
  const send = async (sender) => {
    const begun = { at: performance.now(), sent: sender.sent };
    const line = h("p", { class: "small" });
    const progressBar = bar(0, "Upload");
    const cancel = h("button", { type: "button", onclick: () => { sender.cancel(); upload = null; } }, "Cancel upload");
    const stop = (event) => event.preventDefault(); // leaving the page ends the upload
    sending.replaceChildren(h("div", { class: "note" }, progressBar, line, h("div", { class: "row" }, cancel)));
    addEventListener("beforeunload", stop);
    let lastShown = -1;
    const progress = (sent) => {
      const [part, seconds] = [sent / sender.file.size, (performance.now() - begun.at) / 1000];
      const rate = (sent - begun.sent) / seconds;
      const left = rate > 0 && seconds > 1 ? `, ${duration((sender.file.size - sent) / rate)} left` : "";
      setProgress(progressBar, part);
      const speed = seconds > 1 ? `, ${bytes(rate)}/s` : "";
      line.textContent = sent < sender.file.size ? `Uploading: ${bytes(sent)} of ${bytes(sender.file.size)}${speed}${left}` : "Finishing upload…";
      const decile = Math.floor(part * 10);
      if (decile > lastShown) {
        lastShown = decile;
        announce(`${decile * 10} percent uploaded`);
      }
    };
    const pausing = (seconds, error) => { line.textContent = `${error.message} Retrying in ${duration(seconds)}; ${bytes(sender.sent)} uploaded.`; };
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
      const canResume = sender.stored.size > 0 && sender.slot?.id;
      sending.replaceChildren(note("bad", `The upload failed after ${bytes(sender.sent)}: ${error.message}`, error.permanent ? null : canResume ? "Try again: uploaded parts are not sent again." : "Try again."));
      throw new DOMException("already reported", "AbortError");
    } finally {
      removeEventListener("beforeunload", stop);
    }
  };
  const element = h("div", { class: "card-part" }, drop, known, sending, end.element);
  return { element, stop: () => { closed = true; upload?.cancel(); }, sending: () => upload !== null };
}
