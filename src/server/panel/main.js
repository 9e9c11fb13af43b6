// The page: who is here, which project, which view.

import { call, forgetKey, isKey, keepKey, ownersKey, savedKey, sentence, useKey } from "./api.js";
import { announce, bar, bytes, h, note, time } from "./dom.js";
import { importForm } from "./form.js";
import { historyView, titled } from "./history.js";
import { jobView } from "./job.js";

const main = document.getElementById("main");
const who = document.getElementById("who");
const chooser = document.getElementById("project");
const leave = document.getElementById("leave");
const PROJECT = "capydb-project";
let session = null;
/** What is under way on the page: a job that is watched, or a form that may be sending. */
let view = null;

async function begin() {
  const kept = savedKey();
  if (kept && (await enter())) return;
  const given = await ownersKey();
  if (!given) return kept ? null : askForKey();
  useKey(given);
  leave.hidden = true; // it would be given again
  await enter();
}

/** Enters with the key that there is. False when it is none, and nothing is on the page yet. */
async function enter(trouble) {
  try {
    const [me, { projects }] = await Promise.all([call("GET", "/v1/me"), call("GET", "/v1/projects")]);
    session = { organization: me.organization, projects: projects ?? [] };
  } catch (error) {
    if (error.status === 401 || error.status === 403) {
      forgetKey();
      if (trouble) askForKey(error.message);
      else if (!(await ownersKey())) askForKey(error.message);
      return false;
    }
    who.hidden = true;
    const again = h("button", { type: "button", onclick: () => enter(true) }, "Try again");
    const other = h("button", { type: "button", class: "quiet", onclick: () => askForKey() }, "Use another key");
    main.replaceChildren(h("section", { class: "card narrow" }, h("h1", {}, "CapyDB"), note("bad", error.message), h("div", { class: "row" }, again, other)));
    return true;
  }
  who.hidden = false;
  fillChooser();
  const last = sessionStorage.getItem(PROJECT);
  if (session.projects.some((project) => project.id === last)) chooser.value = last;
  await show();
  return true;
}

/** Projects of the same name are told apart. */
function fillChooser() {
  const named = (project) => project.name || project.slug;
  const twice = (project) => session.projects.some((other) => other !== project && named(other) === named(project));
  const text = (project) => (twice(project) ? `${named(project)} (${project.slug})` : named(project));
  chooser.replaceChildren(...session.projects.map((project) => h("option", { value: project.id }, text(project))));
}

/** Without a key there is only this. */
function askForKey(trouble) {
  who.hidden = true;
  const input = h("input", { type: "password", id: "api-key", autocomplete: "one-time-code", required: true, placeholder: "capy_live_…" });
  const form = h("form", { class: "card narrow" },
    h("h1", {}, "Import into CapyDB"),
    h("p", { class: "soft" }, "Moving a database in needs an API key. It stays in this tab. Whoever runs this control plane can make one: ", h("code", {}, "capydb server new-key"), "; ", h("code", {}, "capydb dev"), " says where its own is."),
    h("label", { class: "field", for: "api-key" }, "API key", input),
    trouble ? note("bad", trouble) : null,
    h("div", { class: "row" }, h("button", { class: "main" }, "Continue")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const key = input.value.trim();
    if (!isKey(key)) return askForKey("That is no API key.");
    useKey(key);
    if (await enter(true)) keepKey();
  });
  main.className = "";
  main.replaceChildren(form);
  input.focus();
}

/** Counts what is to be shown: an answer that comes late belongs to what was before. */
let turn = 0;

async function show() {
  turn += 1;
  const mine = turn;
  view?.stop();
  view = null;
  const [, where, id] = location.hash.split("/");
  if (where === "jobs" && id) {
    const trouble = await chooseProjectOf(id).catch((error) => error);
    if (mine !== turn) return;
    if (trouble) {
      const again = h("button", { type: "button", onclick: show }, "Try again");
      main.className = "";
      return main.replaceChildren(h("section", { class: "card narrow" }, h("h1", {}, "Job"), note("bad", trouble.message), h("div", { class: "row" }, again)));
    }
  }
  chooser.hidden = session.projects.length === 0;
  const listed = session.projects.find((found) => found.id === chooser.value);
  if (!listed) {
    main.className = "";
    return main.replaceChildren(firstProject());
  }
  sessionStorage.setItem(PROJECT, listed.id);
  for (const [link, here] of [["to-import", where !== "history"], ["to-history", where === "history"]]) {
    const element = document.getElementById(link);
    if (here) element.setAttribute("aria-current", "page");
    else element.removeAttribute("aria-current");
  }
  if (where === "history") {
    document.title = `History of ${listed.slug} · CapyDB`;
    main.className = "";
    main.replaceChildren(h("h1", {}, `History of ${listed.name || listed.slug}`), ...historyView(listed, session.organization));
    return;
  }
  const [project, jobs] = await Promise.all([about(listed), jobsOf(listed)]);
  if (mine !== turn) return;
  main.className = "split";
  const [card, left] = [projectCard(project), h("div", { class: "column" })];
  const list = h("section", { class: "card", "aria-labelledby": "last-title" }, h("h2", { id: "last-title" }, "Last jobs"), jobList(jobs, id));
  let shown = card;
  if (where === "jobs" && id) {
    document.title = `Import into ${project.slug} · CapyDB`;
    view = jobView(id, project, async () => {
      const [now, jobs] = await Promise.all([about(listed), jobsOf(listed)]);
      if (mine !== turn) return;
      list.lastElementChild.replaceWith(jobList(jobs, id));
      const next = projectCard(now);
      shown.replaceWith(next);
      shown = next;
    });
    left.append(view.element);
  } else {
    document.title = `Import into ${project.slug} · CapyDB`;
    // Whoever has gone elsewhere meanwhile stays there.
    view = importForm(project, (job) => { if (mine === turn) location.hash = `#/jobs/${job.id}`; });
    left.append(project.state === "failed" ? madeAnew(project) : view.element);
  }
  main.replaceChildren(card, left, list);
}

/** For a project whose database could not be made. */
function madeAnew(project) {
  const place = h("section", { class: "card" }, h("h2", {}, "The database could not be made"),
    note("bad", sentence(project.last_error ?? "The control plane did not say why")));
  const button = h("button", { type: "button", class: "main" }, "Make it again");
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

/** For an organization that has none yet. */
function firstProject() {
  const input = h("input", { type: "text", id: "project-name", required: true, maxlength: 100, autocomplete: "off" });
  const trouble = h("div");
  const form = h("form", { class: "card narrow" }, h("h1", {}, "A project first"),
    h("p", { class: "soft" }, "A project is one database. There is none yet that this key may see."),
    h("label", { class: "field", for: "project-name" }, "Its name", input),
    h("div", { class: "row" }, h("button", { class: "main" }, "Make it")), trouble);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const { job } = await call("POST", "/v1/projects", { name: input.value.trim() });
      location.hash = `#/jobs/${job.id}`;
    } catch (error) {
      trouble.replaceChildren(note("bad", error.message));
    }
  });
  return form;
}

/** A job is shown with its own project, whichever was chosen before. */
async function chooseProjectOf(id) {
  const { job } = await call("GET", `/v1/jobs/${encodeURIComponent(id)}`);
  if (!job.project_id) return;
  if (!session.projects.some((project) => project.id === job.project_id)) {
    session.projects.push((await call("GET", `/v1/projects/${job.project_id}`)).project); // it is newer than the list
    fillChooser();
  }
  chooser.value = job.project_id;
}

/** The project as it is now; the list will do when that cannot be asked. */
const about = async (listed) => (await call("GET", `/v1/projects/${listed.id}`).catch(() => ({ project: listed }))).project;
const jobsOf = (project) => call("GET", `/v1/projects/${project.id}/jobs?limit=8`).then((found) => found.jobs ?? [], (error) => error);

function projectCard(project) {
  const [size, limit] = [project.database_size_bytes, project.storage_limit_bytes];
  const part = size !== undefined && limit > 0 ? size / limit : null;
  const kind = part > 1 ? "over" : part > 0.8 ? "tight" : "";
  const name = project.name || project.slug;
  const facts = [project.slug !== name && project.slug, project.postgres_version && `Postgres ${project.postgres_version}`, project.plan && `plan ${project.plan}`, project.region];
  const storage = part === null ? (limit ? `Plan limit ${bytes(limit)}` : "") : `${bytes(size)} of ${bytes(limit)}, ${percent(part)}`;
  return h("section", { class: "card wide", "aria-labelledby": "project-title" },
    h("div", { class: "row apart" }, h("h1", { id: "project-title" }, name), h("span", { class: `tag ${project.state}` }, project.state)),
    h("div", { class: "row apart" }, h("p", { class: "soft" }, facts.filter(Boolean).join(" · ")), h("p", { class: "soft" }, storage)),
    part === null ? null : bar(part, "Size of the database, of what the plan allows", kind));
}

const percent = (part) => `${part > 0 && part < 0.1 ? (part * 100).toFixed(1) : Math.round(part * 100)} %`;

function jobList(jobs, current) {
  if (jobs instanceof Error) return note("warn", jobs.message);
  if (!jobs.length) return h("p", { class: "soft" }, "There are none yet.");
  return h("ul", { class: "list" }, jobs.map((job) => h("li", {}, h("a", { href: `#/jobs/${job.id}`, "aria-current": job.id === current ? "true" : null },
    h("span", {}, titled(job)), h("span", { class: `tag ${job.state}` }, job.state),
    h("span", { class: "soft small" }, time(job.created_at))))));
}

/** Whether what is being sent may be given up. */
const mayLeave = () => !view?.sending?.() || confirm("This ends the upload. Leave all the same?");

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // it leads to a place of this view, not to another view
  main.focus();
});
if (!location.hash) history.replaceState(null, "", "#/");

let byChooser = false;
addEventListener("hashchange", async (event) => {
  if (!session) return;
  if (!mayLeave()) {
    byChooser = false;
    chooser.value = sessionStorage.getItem(PROJECT);
    return history.replaceState(null, "", event.oldURL);
  }
  await show();
  if (!byChooser) main.focus();
  byChooser = false;
});
chooser.addEventListener("change", () => {
  if (!mayLeave()) {
    chooser.value = sessionStorage.getItem(PROJECT);
    return;
  }
  byChooser = location.hash.startsWith("#/jobs/");
  if (byChooser) location.hash = "#/";
  else show();
  announce(`Project ${chooser.selectedOptions[0].textContent}`);
});
leave.addEventListener("click", () => {
  if (!mayLeave()) return;
  end();
  askForKey();
});
/** Ends what is under way, which takes the key once more, and forgets the key. */
function end() {
  turn += 1;
  view?.stop();
  [view, session] = [null, null];
  forgetKey();
}
// The key may be withdrawn while the page is open.
addEventListener("capydb-key", async () => {
  if (!session) return;
  end();
  const given = await ownersKey();
  if (!given) return askForKey("The API key is not valid any more.");
  useKey(given);
  await enter(true);
});
// A file that misses its place must not take the place of the page.
for (const dragged of ["dragover", "drop"]) addEventListener(dragged, (event) => event.preventDefault());
begin();
