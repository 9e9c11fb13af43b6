// The page: session, project selection, routing between views.

import { call, forgetKey, isKey, keepKey, ownersKey, savedKey, sentence, useKey } from "./api.js";
import { announce, bar, bytes, h, note, time } from "./dom.js";
import { importForm } from "./form.js";
import { historyView, jobTitle } from "./history.js";
import { jobView } from "./job.js";

const main = document.getElementById("main");
const account = document.getElementById("who");
const chooser = document.getElementById("project");
const logout = document.getElementById("leave");
const PROJECT = "capydb-project";
let session = null;
/** The active view: a job, or an import form that may be uploading. */
let view = null;

async function start() {
  const saved = savedKey();
  if (saved && (await startSession())) return;
  const key = await ownersKey();
  if (!key) return saved ? null : askForKey();
  useKey(key);
  logout.hidden = true; // the server would return the same key again
  await startSession();
}

/** Starts a session with the current key. False if the key was rejected. */
async function startSession(reportErrors) {
  try {
    const [me, { projects }] = await Promise.all([call("GET", "/v1/me"), call("GET", "/v1/projects")]);
    session = { organization: me.organization, projects: projects ?? [] };
  } catch (error) {
    if (error.status === 401 || error.status === 403) {
      forgetKey();
      if (reportErrors) askForKey(error.message);
      else if (!(await ownersKey())) askForKey(error.message);
      return false;
    }
    account.hidden = true;
    const retry = h("button", { type: "button", onclick: () => startSession(true) }, "Try again");
    const useAnotherKey = h("button", { type: "button", class: "quiet", onclick: () => askForKey() }, "Use another key");
    main.replaceChildren(h("section", { class: "card narrow" }, h("h1", {}, "CapyDB"), note("bad", error.message), h("div", { class: "row" }, retry, useAnotherKey)));
    return true;
  }
  account.hidden = false;
  fillChooser();
  const last = sessionStorage.getItem(PROJECT);
  if (session.projects.some((project) => project.id === last)) chooser.value = last;
  await show();
  return true;
}

/** Fills the project list; projects of the same name also show their slug. */
function fillChooser() {
  const displayName = (project) => project.name || project.slug;
  const isAmbiguous = (project) => session.projects.some((another) => another !== project && displayName(another) === displayName(project));
  const text = (project) => (isAmbiguous(project) ? `${displayName(project)} (${project.slug})` : displayName(project));
  chooser.replaceChildren(...session.projects.map((project) => h("option", { value: project.id }, text(project))));
}

/** The page without a key. */
function askForKey(problem) {
  account.hidden = true;
  const input = h("input", { type: "password", id: "api-key", autocomplete: "one-time-code", required: true, placeholder: "capy_live_…" });
  const form = h("form", { class: "card narrow" },
    h("h1", {}, "Import into CapyDB"),
    h("p", { class: "soft" }, "Enter an API key to import. The key stays in this tab. Create one with ", h("code", {}, "capydb server new-key"), "; ", h("code", {}, "capydb dev"), " prints where its key is stored."),
    h("label", { class: "field", for: "api-key" }, "API key", input),
    problem ? note("bad", problem) : null,
    h("div", { class: "row" }, h("button", { class: "main" }, "Continue")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const key = input.value.trim();
    if (!isKey(key)) return askForKey("The text has characters that are not allowed in an API key.");
    useKey(key);
    if (await startSession(true)) keepKey();
  });
  main.className = "";
  main.replaceChildren(form);
  input.focus();
}

/** Number of the current view; a response for an earlier view is dropped. */
let viewNumber = 0;

async function show() {
  viewNumber += 1;
  const current = viewNumber;
  view?.stop();
  view = null;
  const [, where, id] = location.hash.split("/");
  if (where === "jobs" && id) {
    const problem = await chooseProjectOf(id).catch((error) => error);
    if (current !== viewNumber) return;
    if (problem) {
      const retry = h("button", { type: "button", onclick: show }, "Try again");
      main.className = "";
      return main.replaceChildren(h("section", { class: "card narrow" }, h("h1", {}, "Job"), note("bad", problem.message), h("div", { class: "row" }, retry)));
    }
  }
  chooser.hidden = session.projects.length === 0;
  const selected = session.projects.find((found) => found.id === chooser.value);
  if (!selected) {
    main.className = "";
    return main.replaceChildren(firstProject());
  }
  sessionStorage.setItem(PROJECT, selected.id);
  for (const [link, here] of [["to-import", where !== "history"], ["to-history", where === "history"]]) {
    const element = document.getElementById(link);
    if (here) element.setAttribute("aria-current", "page");
    else element.removeAttribute("aria-current");
  }
  if (where === "history") {
    document.title = `History of ${selected.slug} · CapyDB`;
    main.className = "";
    main.replaceChildren(h("h1", {}, `History of ${selected.name || selected.slug}`), ...historyView(selected, session.organization));
    return;
  }
  const [project, jobs] = await Promise.all([currentProject(selected), jobsOf(selected)]);
  if (current !== viewNumber) return;
  main.className = "split";
  const [card, column] = [projectCard(project), h("div", { class: "column" })];
  const list = h("section", { class: "card", "aria-labelledby": "last-title" }, h("h2", { id: "last-title" }, "Recent jobs"), jobList(jobs, id));
  let shown = card;
  if (where === "jobs" && id) {
    document.title = `Import into ${project.slug} · CapyDB`;
    view = jobView(id, project, async () => {
      const [now, jobs] = await Promise.all([currentProject(selected), jobsOf(selected)]);
      if (current !== viewNumber) return;
      list.lastElementChild.replaceWith(jobList(jobs, id));
      const next = projectCard(now);
      shown.replaceWith(next);
      shown = next;
    });
    column.append(view.element);
  } else {
    document.title = `Import into ${project.slug} · CapyDB`;
    // Not if the user opened another view meanwhile.
    view = importForm(project, (job) => { if (current === viewNumber) location.hash = `#/jobs/${job.id}`; });
    column.append(project.state === "failed" ? failedProject(project) : view.element);
  }
  main.replaceChildren(card, column, list);
}

/** The view of a project whose database could not be created. */
function failedProject(project) {
  const place = h("section", { class: "card" }, h("h2", {}, "The database could not be created"),
    note("bad", sentence(project.last_error ?? "The control plane reported no error message")));
  const button = h("button", { type: "button", class: "main" }, "Create it again");
  button.addEventListener("click", async () => {
    try {
      const { job } = await call("POST", "/v1/projects", { name: project.name || project.slug, slug: project.slug, environment: project.environment });
      location.hash = `#/jobs/${job.id}`;
    } catch (error) {
      place.append(note("bad", error.message));
    }
  });
  place.append(h("div", { class: "row" }, button));
  return place;
}

/** The form for the first project. */
function firstProject() {
  const input = h("input", { type: "text", id: "project-name", required: true, maxlength: 100, autocomplete: "off" });
  const problem = h("div");
  const form = h("form", { class: "card narrow" }, h("h1", {}, "Create your first project"),
    h("p", { class: "soft" }, "A project is one database. This key has access to no project yet."),
    h("label", { class: "field", for: "project-name" }, "Project name", input),
    h("div", { class: "row" }, h("button", { class: "main" }, "Create project")), problem);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const { job } = await call("POST", "/v1/projects", { name: input.value.trim() });
      location.hash = `#/jobs/${job.id}`;
    } catch (error) {
      problem.replaceChildren(note("bad", error.message));
    }
  });
  return form;
}

/** Selects the project of a job. */
async function chooseProjectOf(id) {
  const { job } = await call("GET", `/v1/jobs/${encodeURIComponent(id)}`);
  if (!job.project_id) return;
  if (!session.projects.some((project) => project.id === job.project_id)) {
    session.projects.push((await call("GET", `/v1/projects/${job.project_id}`)).project); // created after the list was loaded
    fillChooser();
  }
  chooser.value = job.project_id;
}

/** The current state of a project; on errors its entry of the list. */
const currentProject = async (selected) => (await call("GET", `/v1/projects/${selected.id}`).catch(() => ({ project: selected }))).project;
const jobsOf = (project) => call("GET", `/v1/projects/${project.id}/jobs?limit=8`).then((found) => found.jobs ?? [], (error) => error);

function projectCard(project) {
  const [size, limit] = [project.database_size_bytes, project.storage_limit_bytes];
  const fraction = size !== undefined && limit > 0 ? size / limit : null;
  const kind = fraction > 1 ? "over" : fraction > 0.8 ? "tight" : "";
  const name = project.name || project.slug;
  const facts = [project.slug !== name && project.slug, project.postgres_version && `Postgres ${project.postgres_version}`, project.plan && `plan ${project.plan}`, project.region];
  const storage = fraction === null ? (limit ? `Plan limit ${bytes(limit)}` : "") : `${bytes(size)} of ${bytes(limit)}, ${percent(fraction)}`;
  return h("section", { class: "card wide", "aria-labelledby": "project-title" },
    h("div", { class: "row apart" }, h("h1", { id: "project-title" }, name), h("span", { class: `tag ${project.state}` }, project.state)),
    h("div", { class: "row apart" }, h("p", { class: "soft" }, facts.filter(Boolean).join(" · ")), h("p", { class: "soft" }, storage)),
    fraction === null ? null : bar(fraction, "Database size relative to the plan limit", kind));
}

const percent = (fraction) => `${fraction > 0 && fraction < 0.1 ? (fraction * 100).toFixed(1) : Math.round(fraction * 100)} %`;

function jobList(jobs, current) {
  if (jobs instanceof Error) return note("warn", jobs.message);
  if (!jobs.length) return h("p", { class: "soft" }, "No jobs yet.");
  return h("ul", { class: "list" }, jobs.map((job) => h("li", {}, h("a", { href: `#/jobs/${job.id}`, "aria-current": job.id === current ? "true" : null },
    h("span", {}, jobTitle(job)), h("span", { class: `tag ${job.state}` }, job.state),
    h("span", { class: "soft small" }, time(job.created_at))))));
}

/** Whether the view may change: confirms before an active upload is cancelled. */
const confirmLeave = () => !view?.sending?.() || confirm("This cancels the upload. Leave anyway?");

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // `#main` is not a view
  main.focus();
});
if (!location.hash) history.replaceState(null, "", "#/");

let byChooser = false;
addEventListener("hashchange", async (event) => {
  if (!session) return;
  if (!confirmLeave()) {
    byChooser = false;
    chooser.value = sessionStorage.getItem(PROJECT);
    return history.replaceState(null, "", event.oldURL);
  }
  await show();
  if (!byChooser) main.focus();
  byChooser = false;
});
chooser.addEventListener("change", () => {
  if (!confirmLeave()) {
    chooser.value = sessionStorage.getItem(PROJECT);
    return;
  }
  byChooser = location.hash.startsWith("#/jobs/");
  if (byChooser) location.hash = "#/";
  else show();
  announce(`Project ${chooser.selectedOptions[0].textContent}`);
});
logout.addEventListener("click", () => {
  if (!confirmLeave()) return;
  endSession();
  askForKey();
});
/** Stops the view, which may still need the key to cancel an upload, then forgets the key. */
function endSession() {
  viewNumber += 1;
  view?.stop();
  [view, session] = [null, null];
  forgetKey();
}
// The key may be revoked while the page is open.
addEventListener("capydb-key", async () => {
  if (!session) return;
  endSession();
  const key = await ownersKey();
  if (!key) return askForKey("The API key is no longer valid.");
  useKey(key);
  await startSession(true);
});
// A file dropped outside the drop area must not replace the page.
for (const dragged of ["dragover", "drop"]) addEventListener(dragged, (event) => event.preventDefault());
start();
