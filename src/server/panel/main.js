// The page: who is here, which project, which view.

import { call, forgetKey, ownersKey, saveKey, savedKey } from "./api.js";
import { announce, bar, bytes, h, note, time } from "./dom.js";
import { importForm } from "./form.js";
import { historyView } from "./history.js";
import { jobView } from "./job.js";

const main = document.getElementById("main");
const who = document.getElementById("who");
const chooser = document.getElementById("project");
const PROJECT = "capydb-project";
let session = null;
let watched = null;

async function begin() {
  const given = savedKey() ?? (await ownersKey());
  if (!given) return askForKey();
  saveKey(given);
  await enter();
}

async function enter() {
  try {
    const [me, { projects }] = await Promise.all([call("GET", "/v1/me"), call("GET", "/v1/projects")]);
    session = { organization: me.organization, projects: projects ?? [] };
  } catch (error) {
    if (error.status !== 401 && error.status !== 403) {
      const again = h("button", { type: "button", onclick: enter }, "Try again");
      main.replaceChildren(h("section", { class: "card narrow" }, h("h1", {}, "CapyDB"), note("bad", error.message), h("div", { class: "row" }, again)));
      return;
    }
    forgetKey();
    return askForKey(error.message);
  }
  who.hidden = false;
  chooser.replaceChildren(...session.projects.map((project) => h("option", { value: project.id }, project.name || project.slug)));
  const last = sessionStorage.getItem(PROJECT);
  if (session.projects.some((project) => project.id === last)) chooser.value = last;
  await show();
}

/** Without a key there is only this. */
function askForKey(trouble) {
  who.hidden = true;
  const input = h("input", { type: "password", id: "api-key", autocomplete: "off", required: true, placeholder: "capy_live_…" });
  const form = h("form", { class: "card narrow" },
    h("h1", {}, "Import into CapyDB"),
    h("p", { class: "soft" }, "Moving a database in needs an API key. It stays in this tab, and is gone when the tab is closed."),
    h("label", { class: "field", for: "api-key" }, "API key", input),
    trouble ? note("bad", trouble) : null,
    h("div", { class: "row" }, h("button", { class: "main" }, "Continue")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    saveKey(input.value.trim());
    await enter();
  });
  main.className = "";
  main.replaceChildren(form);
  input.focus();
}

async function show() {
  watched?.stop();
  watched = null;
  const listed = session.projects.find((found) => found.id === chooser.value);
  if (!listed) {
    main.replaceChildren(h("section", { class: "card narrow" }, h("h1", {}, "No project"), h("p", {}, "This key sees no project. Make one first, then reload this page.")));
    return;
  }
  sessionStorage.setItem(PROJECT, listed.id);
  const [, view, id] = location.hash.split("/");
  for (const [link, here] of [["to-import", view !== "history"], ["to-history", view === "history"]]) {
    const element = document.getElementById(link);
    if (here) element.setAttribute("aria-current", "page");
    else element.removeAttribute("aria-current");
  }
  if (view === "history") {
    document.title = `History of ${listed.slug} · CapyDB`;
    main.className = "";
    main.replaceChildren(h("h1", {}, `History of ${listed.name || listed.slug}`), ...historyView(listed, session.organization));
    return;
  }
  const [project, jobs] = await Promise.all([about(listed), jobsOf(listed)]);
  main.className = "split";
  const [card, left] = [projectCard(project), h("div", { class: "column" })];
  const list = h("section", { class: "card", "aria-labelledby": "last-title" }, h("h2", { id: "last-title" }, "Last jobs"), jobList(jobs, id));
  if (view === "jobs" && id) {
    document.title = `Import into ${project.slug} · CapyDB`;
    watched = jobView(id, project, async () => {
      const [now, jobs] = await Promise.all([about(listed), jobsOf(listed)]);
      list.lastElementChild.replaceWith(jobList(jobs, id));
      card.replaceWith(projectCard(now));
    });
    left.append(watched.element);
  } else {
    document.title = `Import into ${project.slug} · CapyDB`;
    left.append(importForm(project, (job) => { location.hash = `#/jobs/${job.id}`; }));
  }
  main.replaceChildren(card, left, list);
}

/** The project as it is now; the list will do when that cannot be asked. */
const about = async (listed) => (await call("GET", `/v1/projects/${listed.id}`).catch(() => ({ project: listed }))).project;
const jobsOf = async (project) => (await call("GET", `/v1/projects/${project.id}/jobs?limit=8`).catch(() => ({ jobs: [] }))).jobs ?? [];

function projectCard(project) {
  const [size, limit] = [project.database_size_bytes, project.storage_limit_bytes];
  const part = size !== undefined && limit > 0 ? size / limit : null;
  const kind = part > 1 ? "over" : part > 0.8 ? "tight" : "";
  return h("section", { class: "card wide", "aria-labelledby": "project-title" },
    h("div", { class: "row apart" }, h("h1", { id: "project-title" }, project.name || project.slug), h("span", { class: `tag ${project.state}` }, project.state)),
    h("p", { class: "soft" }, [project.slug, project.postgres_version && `Postgres ${project.postgres_version}`, project.plan && `plan ${project.plan}`, project.region].filter(Boolean).join(" · ")),
    part === null ? (limit ? h("p", { class: "small" }, `Plan limit ${bytes(limit)}`) : null)
      : h("div", {}, bar(part, "Size of the database, of what the plan allows", kind), h("p", { class: "small soft" }, `${bytes(size)} of ${bytes(limit)}`)));
}

function jobList(jobs, current) {
  if (!jobs.length) return h("p", { class: "soft" }, "There are none yet.");
  return h("ul", { class: "list" }, jobs.map((job) => h("li", {}, h("a", { href: `#/jobs/${job.id}`, "aria-current": job.id === current ? "true" : null },
    h("span", {}, job.type === "project.import" ? "Import" : job.type), h("span", { class: `tag ${job.state}` }, job.state),
    h("span", { class: "soft small" }, time(job.created_at))))));
}

addEventListener("hashchange", async () => {
  if (!session) return;
  await show();
  main.focus();
});
chooser.addEventListener("change", () => {
  if (location.hash.startsWith("#/jobs/")) location.hash = "#/";
  else show();
  announce(`Project ${chooser.selectedOptions[0].textContent}`);
});
document.getElementById("leave").addEventListener("click", () => {
  forgetKey();
  watched?.stop();
  session = null;
  askForKey();
});
begin();
