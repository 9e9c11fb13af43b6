// History view: the project's jobs and the organization's webhook deliveries.

import { call } from "./api.js";
import { h, note, time, elapsed } from "./dom.js";

export function historyView(project, organization) {
  const jobs = h("section", { class: "card wide", "aria-labelledby": "jobs-title" }, h("h2", { id: "jobs-title" }, "Jobs"), h("p", { class: "loading" }, "Loading…"));
  const hooks = h("section", { class: "card wide", "aria-labelledby": "hooks-title" }, h("h2", { id: "hooks-title" }, "Webhook deliveries of the organization"), h("p", { class: "loading" }, "Loading…"));
  fill(jobs, async () => {
    const found = (await call("GET", `/v1/projects/${project.id}/jobs?limit=100`)).jobs ?? [];
    if (!found.length) return h("p", { class: "soft" }, "No jobs yet.");
    return grid("Project jobs, newest first", ["Job", "State", "Created", "Duration", "Error"], found.map((job) => [
      h("a", { href: `#/jobs/${job.id}` }, jobTitle(job)), h("span", { class: `tag ${job.state}` }, job.state),
      time(job.created_at), jobDuration(job), job.error ?? "",
    ]));
  });
  fill(hooks, async () => {
    const path = `/v1/organizations/${organization.id}/webhook-endpoints`;
    const endpoints = (await call("GET", path)).webhook_endpoints ?? [];
    if (!endpoints.length) return h("p", { class: "soft" }, "No webhook endpoints. Create one: capydb webhooks create https://…");
    const lists = await Promise.all(endpoints.map(async (endpoint) => {
      const found = await call("GET", `${path}/${endpoint.id}/deliveries?limit=50`).catch((error) => {
        if (error.status === 404) return {}; // deleted meanwhile
        throw error;
      });
      return (found.deliveries ?? []).map((delivery) => ({ ...delivery, url: endpoint.url }));
    }));
    const all = lists.flat().sort((a, b) => b.created_at.localeCompare(a.created_at)).slice(0, 100);
    if (!all.length) return h("p", { class: "soft" }, "No deliveries yet.");
    return grid("Webhook deliveries, newest first", ["Created", "Event", "State", "Attempts", "Response", "URL"], all.map((sent) => [
      time(sent.created_at), sent.event_type, h("span", { class: `tag ${sent.state}` }, sent.state),
      `${sent.attempts} of ${sent.max_attempts}`, sent.last_error ?? sent.last_status ?? "", sent.url,
    ]));
  });
  return [jobs, hooks];
}

/** The display name of a job's type. */
export function jobTitle(job) {
  return { "project.import": "Import", "project.create": "Create project" }[job.type] ?? job.type;
}

function jobDuration(job) {
  const [began, ended] = [Date.parse(job.started_at), Date.parse(job.completed_at)];
  return began && ended ? elapsed((ended - began) / 1000) : "";
}

async function fill(card, make) {
  try {
    card.lastElementChild.replaceWith(await make());
  } catch (error) {
    const again = h("button", { type: "button", onclick: () => fill(card, make) }, "Try again");
    card.lastElementChild.replaceWith(h("div", { class: "card-part" }, note("warn", error.message), h("div", { class: "row" }, again)));
  }
}

function grid(caption, titles, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, h("table", { class: "cards" },
    h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, titles.map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, at) => h("td", { "data-title": titles[at] }, cell)))))));
}
