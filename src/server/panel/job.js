// Job view: an import from the queue to the next steps.

import { call, now, sentence } from "./api.js";
import { announce, bar, bytes, command, count, duration, h, setProgress, note, time, elapsed } from "./dom.js";
import { jobTitle } from "./history.js";

const PHASES = [
  ["looking", "Check"], ["dumping", "Fetch"], ["preparing", "Prepare"],
  ["loading", "Load rows"], ["indexing", "Build indexes"], ["finishing", "Finish"],
];
const CLASSES = {
  harmless: "No application data or objects are missing.",
  degraded: "All rows are imported, but an object that uses them is missing.",
  data_lost: "Rows are missing.",
};

/** Shows a job and polls it until it finishes; `stop` ends polling. Calls `changed` on every new state. */
export function jobView(id, project, changed) {
  const card = h("section", { class: "card", "aria-labelledby": "job-title" }, h("p", { class: "loading" }, "Loading the job…"));
  const state = { stopped: false, last: null };
  const poll = async () => {
    let pause = 700;
    while (!state.stopped) {
      try {
        const { job } = await call("GET", `/v1/jobs/${encodeURIComponent(id)}`);
        if (state.stopped) return;
        const before = state.last;
        draw(card, job, project, state);
        if (job.state !== before) changed();
        if (job.state === "completed" || job.state === "failed") return;
        pause = 700;
      } catch (error) {
        if (state.stopped) return;
        if (error.status === 404 || error.status === 403) {
          card.replaceChildren(h("h2", { id: "job-title" }, "Job"), note("bad", error.message));
          return;
        }
        pause = error.retryAfter ? error.retryAfter * 1000 : Math.min(pause * 2, 10_000);
        const why = error.status ? `${error.message} The import keeps running.` : "Connection lost. The import keeps running.";
        let warning = card.querySelector("#lost");
        if (!warning) card.append(warning = h("div", { id: "lost" }));
        warning.replaceChildren(note("warn", `${why} Retrying in ${duration(Math.max(1, pause / 1000))}…`));
      }
      await new Promise((done) => setTimeout(done, pause));
    }
  };
  poll();
  return { element: card, stop: () => { state.stopped = true; } };
}

/** Redraws a job when its state changes; otherwise updates its progress only. */
function draw(card, job, project, state) {
  const progress = job.result?.progress ?? {};
  const phase = job.state === "completed" ? "finishing" : job.state === "running" ? progress.phase ?? "looking" : progress.phase;
  const imports = job.type === "project.import";
  const announced = imports && job.state === "running" ? `Import: ${label(phase)}` : `${jobTitle(job)}: ${job.state}`;
  if (announced !== state.announced) announce(state.announced = announced);
  const part = job.state === "running" ? share(progress) : null;
  document.title = `${part === null ? "" : `${Math.round(part * 100)} % · `}${announced} · ${project.slug}`;
  card.querySelector("#lost")?.remove();
  if (state.last !== job.state) {
    const focused = card.contains(document.activeElement);
    state.parts = skeleton(job, project);
    card.replaceChildren(...Object.values(state.parts).filter(Boolean).map((part) => part.element ?? part));
    if (focused) state.parts.head.querySelector("h2").focus();
    state.last = job.state;
  }
  const seconds = ((job.completed_at ? Date.parse(job.completed_at) : now()) - Date.parse(job.started_at ?? job.created_at)) / 1000;
  // A completed job shows its duration among the results.
  const elapsedText = job.state === "pending" ? `waiting for ${duration(seconds)}` : job.state === "running" ? duration(seconds) : job.state === "failed" ? `after ${duration(seconds)}` : "";
  const attempts = job.attempts > 1 ? `attempt ${job.attempts} of ${job.max_attempts}` : "";
  state.parts.about.lastChild.textContent = ["", time(job.created_at), elapsedText, attempts].filter((text, at) => at === 0 || text).join(" · ");
  if (state.parts.phases && state.phase !== phase) state.parts.phases.replaceChildren(...timeline(job, phase));
  state.phase = phase;
  state.parts.body?.update?.(progress);
}

/** The parts of a job's card that depend on its state only. */
function skeleton(job, project) {
  const imports = job.type === "project.import";
  const head = h("div", { class: "row apart" },
    h("h2", { id: "job-title", tabindex: "-1" }, imports ? `Import into ${project.slug}` : jobTitle(job)),
    h("span", { class: `tag ${job.state}` }, job.state));
  const about = h("p", { class: "soft small" }, h("span", { class: "mono" }, job.id), "");
  about.append(document.createTextNode(""));
  const phases = imports ? h("ol", { class: "phases", "aria-label": "Phases" }, timeline(job, job.result?.progress?.phase)) : null;
  const bodies = { pending: () => waiting(job), running: () => running(job, project), failed: () => failed(job, job.result ?? {}), completed: () => completed(job, job.result ?? {}, project) };
  const body = imports ? bodies[job.state]?.() : plain(job);
  return { head, about, phases, body: body ?? null };
}

/** The body of a job that is not an import. */
function plain(job) {
  if (job.state === "completed") {
    return h("div", { class: "card-part" }, note("good", "Done."), h("div", { class: "row" }, again("Import a database")));
  }
  if (job.state === "failed") {
    return h("div", { class: "card-part" }, note("bad", sentence(job.error ?? "The job reported no error message")), h("div", { class: "row" }, again("Back to the project")));
  }
  return h("p", { class: "soft" }, "Working…");
}

function waiting(job) {
  return h("div", { class: "card-part" }, h("p", {}, "Waiting for a worker. You can close this page; the import continues."), h("div", { class: "row" }, cancelButton(job)));
}

function cancelButton(job) {
  const cancel = h("button", { type: "button", id: "job-cancel" }, "Cancel import");
  const problem = h("div");
  let busy = false;
  cancel.addEventListener("click", async () => {
    const loss = (now() - Date.parse(job.started_at)) / 60_000;
    if (busy || (loss > 5 && !confirm(`Cancel the import after ${duration(loss * 60)}? You would have to start over.`))) return;
    busy = true;
    cancel.setAttribute("aria-disabled", "true"); // unlike `disabled`, keeps the focus
    problem.replaceChildren();
    try {
      await call("POST", `/v1/jobs/${job.id}/cancel`);
      cancel.textContent = "Cancelling…";
    } catch (error) {
      problem.replaceChildren(note("bad", error.message));
      cancel.removeAttribute("aria-disabled");
      busy = false;
    }
  });
  return [cancel, problem];
}

/** Progress of the phase, from 0 to 1; null if unknown. */
function share(progress) {
  if (progress.bytes_total > 0) return (progress.bytes_done ?? 0) / progress.bytes_total;
  if (progress.indexes_total > 0) return (progress.indexes_done ?? 0) / progress.indexes_total;
  return null;
}

const label = (phase) => PHASES.find(([word]) => word === phase)?.[1] ?? "working";

function timeline(job, phase) {
  const now = PHASES.findIndex(([word]) => word === phase);
  const item = ([, text], at) => {
    const done = job.state === "completed" || (now >= 0 && at < now);
    const isCurrent = at === now && job.state !== "completed";
    const kind = done ? "done" : isCurrent ? (job.state === "failed" ? "broken" : "now") : "";
    const words = done ? "done" : isCurrent ? (job.state === "failed" ? "failed" : "in progress") : "pending";
    return h("li", { class: kind, "aria-current": isCurrent && job.state === "running" ? "step" : null }, text, h("span", { class: "unseen" }, `, ${words}`));
  };
  return PHASES.map(item);
}

function running(job, project) {
  const progressBar = bar(null, "Progress of this phase");
  const numbers = h("dl", { class: "numbers" });
  const rows = h("tbody");
  const tables = h("div", { class: "scroll some", tabindex: "0", role: "region", "aria-label": "Table progress" }, h("table", {},
    h("caption", { class: "unseen" }, "Table progress"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Table"), h("th", { scope: "col" }, "State"))), rows));
  const element = h("div", { class: "card-part" }, progressBar, numbers, tables,
    h("p", { class: "soft small" }, `You can close this page; the import continues. ${project.slug} keeps its current data until the import succeeds.`),
    h("div", { class: "row" }, cancelButton(job)));
  const update = (progress) => {
    const of = (done, total) => (total > 0 ? `${count(done ?? 0)} of ${count(total)}` : null);
    setProgress(progressBar, share(progress));
    const known = [
      ["Data", progress.bytes_done > 0 && (progress.bytes_total > 0 ? `${bytes(progress.bytes_done)} of ${bytes(progress.bytes_total)}` : bytes(progress.bytes_done))],
      ["Tables", of(progress.tables_done, progress.tables_total)],
      ["Indexes", of(progress.indexes_done, progress.indexes_total)],
      ["Rows", progress.rows > 0 && count(progress.rows)],
      ["Rate", progress.bytes_per_second > 0 && `${bytes(progress.bytes_per_second)}/s`],
      ["Time left", progress.seconds_left !== undefined && duration(progress.seconds_left)],
    ].filter(([, value]) => value);
    numbers.replaceChildren(...known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    numbers.hidden = known.length === 0;
    // Active tables first.
    const order = ["loading", "waiting", "done"];
    const listed = [...(progress.tables ?? [])].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
    tables.hidden = listed.length === 0;
    listed.forEach((table, at) => {
      const row = rows.children[at] ?? rows.appendChild(h("tr", {}, h("td"), h("td")));
      if (row.children[0].textContent !== table.name) row.children[0].textContent = table.name;
      if (row.children[1].textContent !== table.state) row.children[1].replaceChildren(h("span", { class: `tag ${table.state}` }, table.state));
    });
    while (rows.children.length > listed.length) rows.lastElementChild.remove();
  };
  return { element, update };
}

function failed(job, result) {
  const errors = result.errors ?? [];
  const cancelled = result.code === "cancelled";
  const fix = errors.map((error) => error.fix).find(Boolean)
    ?? (cancelled ? null : job.retry_classification === "transient" ? "The error may be transient: run the import again." : "Fix the cause, then run the import again.");
  const partly = result.code === "partly_committed";
  const unchangedNote = partly ? null : "The target is unchanged.";
  const more = errors.map((error) => {
    const facts = [["Object", error.entry], ["Line", error.line], ["Code", error.sqlstate], ["Cause", error.cause && sentence(error.cause)], ["If excluded", CLASSES[error.class]]];
    // The headline already shows the first message.
    const message = (job.error ?? "").includes(error.message) ? null : h("p", {}, sentence(error.message));
    return h("div", { class: "note" }, message,
      h("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])));
  });
  // Fixes are written for the CLI.
  const forPage = (text) => sentence(text.replace("import with --recreate", "import again and tick “Replace the database”"));
  return h("div", { class: "card-part", id: "job-end" },
    note(cancelled ? "warn" : "bad", `${sentence(job.error ?? "The job reported no error message")} ${unchangedNote ?? ""}`, partly ? "Inspect the database first: the target was changed." : fix ? forPage(fix) : null), ...more,
    job.last_stderr ? h("details", {}, h("summary", {}, "Log (last lines)"), h("pre", { class: "log", tabindex: "0" }, job.last_stderr)) : null,
    h("div", { class: "row" }, again("Try again")));
}

const again = (text) => h("a", { href: "#/", class: "button" }, text);

function completed(job, result, project) {
  const results = [
    ["Tables", result.tables !== undefined && count(result.tables)], ["Rows", result.rows !== undefined && count(result.rows)],
    ["Size", result.database_size_bytes !== undefined && bytes(result.database_size_bytes)],
    ["Duration", result.duration_seconds !== undefined && elapsed(result.duration_seconds)],
  ].filter(([, value]) => value);
  const left = (result.left_out ?? []).map((item) => h("li", {}, `${item.count} × ${item.kind}: ${item.reason}`));
  const steps = [
    ["Update DATABASE_URL", `export DATABASE_URL="$(capydb projects url --project ${project.slug})"`],
    ["Check sequences", "psql \"$DATABASE_URL\" -c 'select * from pg_sequences'"],
    ["Check extensions", "psql \"$DATABASE_URL\" -c '\\dx'"],
    ["Refresh statistics", "psql \"$DATABASE_URL\" -c 'ANALYZE'"],
  ];
  return h("div", { class: "card-part", id: "job-end" },
    note("good", left.length ? `Imported into ${project.slug}, except for skipped objects.` : `Everything was imported into ${project.slug}.`),
    results.length ? h("dl", { class: "numbers" }, results.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))) : null,
    result.extensions?.length ? h("p", {}, `Extensions created: ${result.extensions.join(", ")}`) : null,
    left.length ? h("div", { class: "note warn" }, h("p", {}, "Skipped:"), h("ul", {}, left)) : null,
    ...(result.warnings ?? []).map((warning) => note("warn", sentence(warning.detail ?? warning.name), warning.fix ? sentence(warning.fix) : null)),
    job.last_stderr ? h("details", {}, h("summary", {}, "Log (last lines)"), h("pre", { class: "log", tabindex: "0" }, job.last_stderr)) : null,
    h("h3", {}, "Connection strings"), connections(project),
    h("h3", {}, "Next steps in a terminal"),
    h("ol", { class: "steps" }, steps.map(([text, line]) => h("li", {}, h("p", {}, text), command(line)))),
    h("div", { class: "row" }, again("Start another import")));
}

function connections(project) {
  const list = h("div", { "aria-live": "polite" });
  const button = h("button", { type: "button", "aria-expanded": "false", id: "reveal" }, "Show connection strings");
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-expanded") === "true") {
      list.replaceChildren();
      button.textContent = "Show connection strings";
      return button.setAttribute("aria-expanded", "false");
    }
    try {
      const { connections: found } = await call("GET", `/v1/projects/${project.id}/connections`);
      list.replaceChildren(
        ...[["Pooled", found.pooled_url], ["Direct", found.direct_url]].filter(([, url]) => url)
          .map(([name, url]) => h("div", {}, h("p", { class: "soft small" }, name), command(url))));
      button.textContent = "Hide connection strings";
      button.setAttribute("aria-expanded", "true");
    } catch (error) {
      list.replaceChildren(note("bad", error.message));
    }
  });
  return h("div", { class: "card-part" }, h("div", { class: "row" }, button), list);
}
