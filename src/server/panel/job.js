// One import, from its wait for a worker to the checklist after it.

import { call, sentence } from "./api.js";
import { announce, bar, bytes, command, count, duration, h, move, note, time } from "./dom.js";

const PHASES = [
  ["looking", "Look"], ["dumping", "Dump"], ["preparing", "Prepare"],
  ["loading", "Load rows"], ["indexing", "Build indexes"], ["finishing", "Finish"],
];
const CLASSES = {
  harmless: "Nothing of the application's would be missing.",
  degraded: "The rows would be there, and what works on them would not.",
  data_lost: "Rows would be missing.",
};

/** Shows a job and follows it to its end; gives the element and how to stop following. */
export function jobView(id, project, over) {
  const place = h("section", { class: "card", "aria-labelledby": "job-title" }, h("p", { class: "loading" }, "Loading the job …"));
  const state = { stopped: false, last: null, seen: null };
  const follow = async () => {
    let pause = 700;
    while (!state.stopped) {
      try {
        const { job } = await call("GET", `/v1/jobs/${encodeURIComponent(id)}`);
        if (state.stopped) return;
        draw(place, job, project, state);
        if (job.state === "completed" || job.state === "failed") return over(job);
        pause = 700;
      } catch (error) {
        if (error.status === 404 || error.status === 401 || error.status === 403) {
          place.replaceChildren(h("h2", { id: "job-title" }, "Job"), note("bad", error.message));
          return;
        }
        pause = Math.min(pause * 2, 10_000);
        let warning = place.querySelector("#lost");
        if (!warning) place.append(warning = h("div", { id: "lost" }));
        warning.replaceChildren(note("warn", "The connection is lost; the import itself goes on. Trying again …"));
      }
      await new Promise((done) => setTimeout(done, pause));
    }
  };
  follow();
  return { element: place, stop: () => { state.stopped = true; } };
}

/** Draws a job anew when its state changes; in between only what moves is moved. */
function draw(place, job, project, state) {
  const progress = job.result?.progress ?? {};
  const phase = job.state === "completed" ? "finishing" : job.state === "running" ? progress.phase ?? "looking" : progress.phase;
  const said = job.state === "running" ? `Import: ${label(phase)}` : `Import ${job.state}`;
  if (said !== state.said) announce(state.said = said);
  place.querySelector("#lost")?.remove();
  if (state.last !== job.state) {
    const focused = place.contains(document.activeElement);
    state.parts = skeleton(job, project);
    place.replaceChildren(...Object.values(state.parts).filter(Boolean).map((part) => part.element ?? part));
    if (focused) state.parts.head.querySelector("h2").focus();
    state.last = job.state;
  }
  const began = Date.parse(job.started_at ?? job.created_at);
  const ended = job.completed_at ? Date.parse(job.completed_at) : Date.now();
  const tries = job.attempts > 1 ? ` · attempt ${job.attempts} of ${job.max_attempts}` : "";
  state.parts.about.lastChild.textContent = ` · ${time(job.created_at)} · ${duration((ended - began) / 1000)}${tries}`;
  if (state.parts.phases && state.phase !== phase) state.parts.phases.replaceChildren(...timeline(job, phase));
  state.phase = phase;
  state.parts.body?.update?.(progress);
}

/** All of a job's card that stays as long as its state. */
function skeleton(job, project) {
  const imports = job.type === "project.import";
  const head = h("div", { class: "row apart" },
    h("h2", { id: "job-title", tabindex: "-1" }, imports ? `Import into ${project.slug}` : job.type),
    h("span", { class: `tag ${job.state}` }, job.state));
  const about = h("p", { class: "soft small" }, h("span", { class: "mono" }, job.id), "");
  about.append(document.createTextNode(""));
  const phases = imports ? h("ol", { class: "phases", "aria-label": "Phases" }, timeline(job, job.result?.progress?.phase)) : null;
  const bodies = { pending: () => waiting(job), running: () => running(job, project), failed: () => failed(job, job.result ?? {}), completed: () => completed(job, job.result ?? {}, project) };
  return { head, about, phases, body: bodies[job.state]?.() ?? null };
}

function waiting(job) {
  return h("div", { class: "card-part" }, h("p", {}, "Waiting for a worker. You may close this page: the import goes on."), h("div", { class: "row" }, cancelButton(job)));
}

function cancelButton(job) {
  const cancel = h("button", { type: "button", id: "job-cancel" }, "Cancel the import");
  cancel.addEventListener("click", async () => {
    cancel.disabled = true;
    try {
      await call("POST", `/v1/jobs/${job.id}/cancel`);
      cancel.textContent = "Cancelling …";
    } catch (error) {
      cancel.after(note("bad", error.message));
      cancel.disabled = false;
    }
  });
  return cancel;
}

const label = (phase) => PHASES.find(([word]) => word === phase)?.[1] ?? "at work";

function timeline(job, phase) {
  const now = PHASES.findIndex(([word]) => word === phase);
  const item = ([, text], at) => {
    const done = job.state === "completed" || (now >= 0 && at < now);
    const here = at === now && job.state !== "completed";
    const kind = done ? "done" : here ? (job.state === "failed" ? "broken" : "now") : "";
    const words = done ? "done" : here ? (job.state === "failed" ? "failed here" : "now") : "to come";
    return h("li", { class: kind, "aria-current": here && job.state === "running" ? "step" : null }, text, h("span", { class: "unseen" }, `, ${words}`));
  };
  return PHASES.map(item);
}

function running(job, project) {
  const moving = bar(null, "Progress of this phase");
  const numbers = h("dl", { class: "numbers" });
  const rows = h("tbody");
  const tables = h("div", { class: "scroll" }, h("table", {},
    h("caption", { class: "unseen" }, "Tables and how far they are"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Table"), h("th", { scope: "col" }, "State"))), rows));
  const element = h("div", { class: "card-part" }, moving, numbers, tables,
    h("p", { class: "soft small" }, `You may close this page: the import goes on, and ${project.slug} keeps its old data until it has succeeded.`),
    h("div", { class: "row" }, cancelButton(job)));
  const update = (progress) => {
    const of = (done, total) => (total > 0 ? `${count(done ?? 0)} of ${count(total)}` : null);
    move(moving, progress.bytes_total > 0 ? (progress.bytes_done ?? 0) / progress.bytes_total
      : progress.indexes_total > 0 ? (progress.indexes_done ?? 0) / progress.indexes_total : null);
    const known = [
      ["Data", progress.bytes_total > 0 ? `${bytes(progress.bytes_done ?? 0)} of ${bytes(progress.bytes_total)}` : progress.bytes_done && bytes(progress.bytes_done)],
      ["Tables", of(progress.tables_done, progress.tables_total)],
      ["Indexes", of(progress.indexes_done, progress.indexes_total)],
      ["Rows", progress.rows > 0 && count(progress.rows)],
      ["Rate", progress.bytes_per_second > 0 && `${bytes(progress.bytes_per_second)}/s`],
      ["Time left", progress.seconds_left !== undefined && duration(progress.seconds_left)],
    ].filter(([, value]) => value);
    numbers.replaceChildren(...known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    numbers.hidden = known.length === 0;
    const listed = progress.tables ?? [];
    tables.hidden = listed.length === 0;
    listed.forEach((table, at) => {
      const row = rows.children[at] ?? rows.appendChild(h("tr", {}, h("td"), h("td")));
      if (row.children[0].textContent !== table.name) row.children[0].textContent = table.name;
      if (row.children[1].textContent !== table.state) row.children[1].textContent = table.state;
    });
    while (rows.children.length > listed.length) rows.lastElementChild.remove();
  };
  return { element, update };
}

function failed(job, result) {
  const errors = result.errors ?? [];
  const cancelled = job.error === "cancelled by request";
  const fix = errors.map((error) => error.fix).find(Boolean)
    ?? (cancelled ? null : job.retry_classification === "transient" ? "This may pass: run the import again." : "Mend the cause, then run the import again.");
  const untouched = (job.error ?? "").includes("committed by the dump itself") ? null : "The target is as it was before.";
  const more = errors.map((error) => {
    const facts = [["Object", error.entry], ["Line", error.line], ["Code", error.sqlstate], ["Cause", error.cause && sentence(error.cause)], ["Without it", CLASSES[error.class]]];
    return h("div", { class: "note bad" }, h("p", {}, sentence(error.message)),
      h("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])));
  });
  // The words are those of the command line.
  const plain = (text) => sentence(text.replace("import with --recreate", "import again and tick «Replace the database»"));
  return h("div", { class: "card-part", id: "job-end" },
    note(cancelled ? "warn" : "bad", `${sentence(job.error ?? "It gave no reason")} ${untouched ?? ""}`, fix ? plain(fix) : null), ...more,
    job.last_stderr ? h("details", {}, h("summary", {}, "End of the log"), h("pre", { class: "log", tabindex: "0" }, job.last_stderr)) : null,
    h("div", { class: "row" }, h("a", { href: "#/" }, "Back to the form")));
}

function completed(job, result, project) {
  const arrived = [
    ["Tables", result.tables !== undefined && count(result.tables)], ["Rows", result.rows !== undefined && count(result.rows)],
    ["Size", result.database_size_bytes !== undefined && bytes(result.database_size_bytes)],
    ["Took", result.duration_seconds !== undefined && `${result.duration_seconds.toFixed(1)} s`],
  ].filter(([, value]) => value);
  const left = (result.left_out ?? []).map((item) => h("li", {}, `${item.count} × ${item.kind}: ${item.reason}`));
  if (job.type !== "project.import") return h("div", { class: "card-part", id: "job-end" }, note("good", "Done."));
  const steps = [
    ["Point the application at the new database", `export DATABASE_URL="$(capydb projects url --project ${project.slug})"`],
    ["See that sequences go on where they were", "psql \"$DATABASE_URL\" -c 'select * from pg_sequences'"],
    ["See the extensions", "psql \"$DATABASE_URL\" -c '\\dx'"],
    ["Let the planner know the data", "psql \"$DATABASE_URL\" -c 'ANALYZE'"],
  ];
  return h("div", { class: "card-part", id: "job-end" },
    note("good", left.length ? `Arrived in ${project.slug}: everything that a project can have.` : `Everything arrived in ${project.slug}.`),
    arrived.length ? h("dl", { class: "numbers" }, arrived.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))) : null,
    result.extensions?.length ? h("p", {}, `Extensions that were created: ${result.extensions.join(", ")}`) : null,
    left.length ? h("div", { class: "note warn" }, h("p", {}, "Left out, by rule:"), h("ul", {}, left)) : null,
    job.last_stderr ? h("details", {}, h("summary", {}, "End of the log"), h("pre", { class: "log", tabindex: "0" }, job.last_stderr)) : null,
    h("h3", {}, "Next"),
    h("ol", { class: "steps" }, steps.map(([text, line]) => h("li", {}, h("p", {}, text), command(line)))),
    h("h3", {}, "Connection strings"), connections(project));
}

function connections(project) {
  const place = h("div", { "aria-live": "polite" });
  const button = h("button", { type: "button", "aria-expanded": "false", id: "reveal" }, "Show them, passwords included");
  button.addEventListener("click", async () => {
    if (place.hasChildNodes()) {
      place.replaceChildren();
      button.textContent = "Show them, passwords included";
      return button.setAttribute("aria-expanded", "false");
    }
    try {
      const { connections: found } = await call("GET", `/v1/projects/${project.id}/connections`);
      place.replaceChildren(
        ...[["Pooled", found.pooled_url], ["Direct", found.direct_url]].filter(([, url]) => url)
          .map(([name, url]) => h("div", {}, h("p", { class: "soft small" }, name), command(url))));
      button.textContent = "Hide them";
      button.setAttribute("aria-expanded", "true");
    } catch (error) {
      place.replaceChildren(note("bad", error.message));
    }
  });
  return h("div", { class: "card-part" }, h("div", { class: "row" }, button), place);
}
