//! Tests of the import panel in a real browser, with a real control plane and Postgres.
//!
//! Screenshots are saved in `target/panel`.
#![cfg(feature = "server")]
#![expect(clippy::print_stderr, reason = "minor accessibility findings are printed")]

mod browser;
#[path = "../support/cluster.rs"]
mod cluster;
#[path = "../support/object_store.rs"]
mod object_store;
#[path = "../support/mod.rs"]
mod support;

use browser::{Browser, Look, is_here, settled};
use cluster::Ground;
use serde_json::json;
use std::path::Path;
use support::fixtures::{ControlPlane, SAMPLE, Source, held_by, open_folder, psql, source};

/// Enough rows for an upload in many parts.
const LARGE: &str = "create table events as select n, md5(n::text) || md5((n + 1)::text) || md5((n + 2)::text) as payload from generate_series(1, 400000) n;
    create table people (id int primary key, name text); insert into people select n, 'p' || n from generate_series(1, 1000) n;
    create index on events (n); create index on events (payload);";

/// Sends the second part to a missing path once the first part is uploaded.
const SECOND_PART_FAILS: &str = "window.real = XMLHttpRequest;
    let first = null;
    XMLHttpRequest = class extends real {
        open(method, url) {
            this.fails = first !== null;
            first ??= this;
            super.open(method, this.fails ? '/nothing' : url);
        }
        send(body) {
            if (!this.fails || first.readyState === 4) return super.send(body);
            first.addEventListener('loadend', () => setTimeout(() => super.send(body)));
        }
    }";

/// Runs a test in a browser; skips it if none is installed.
fn in_browser<F: Future<Output = ()>>(look: Look, test: impl FnOnce(Browser) -> F) {
    if !is_here() {
        return crate::support::skip("browser", "chromium and chromedriver are not installed");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { test(Browser::open(look).await).await });
}

/// Runs blocking work that has its own runtime.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    tokio::task::block_in_place(|| std::thread::scope(|scope| scope.spawn(work).join().expect("no panic")))
}

fn site(control_plane: &ControlPlane) -> String {
    format!("http://{}/", control_plane.address())
}

/// Selects a project by name.
async fn choose(browser: &Browser, name: &str) {
    browser.see("#project").await.select_by_label(name).await.expect("is listed");
    browser.holds(&format!("document.getElementById('project-title')?.textContent === {}", json!(name))).await;
}

async fn file(browser: &Browser, path: &Path) {
    browser.holds("Boolean(document.querySelector('input[value=file]'))").await;
    browser.run("document.querySelector('input[value=file]').click()").await;
    browser.see(".drop").await;
    let input = browser.client.find(fantoccini::Locator::Css("#dump-file")).await.expect("an input");
    input.send_keys(path.to_str().expect("a path")).await.expect("is chosen");
}

#[test]
fn a_database_moves_from_its_url() {
    let control_plane = ControlPlane::throw_away();
    let project = control_plane.project("shop");
    let url = source().create("panel_url", SAMPLE);
    in_browser(Look::Wide, async |browser| {
        browser.client.goto(&site(&control_plane)).await.expect("opens");
        choose(&browser, "shop").await;
        browser.reads("of 10.0 GB").await;
        browser.judge("1-start").await;
        // Tab reaches every control in reading order.
        browser.run("document.activeElement.blur(); document.querySelector('.skip').focus()").await;
        let mut reached = Vec::new();
        for _ in 0..10 {
            browser.client.active_element().await.expect("has the focus").send_keys("\u{e004}").await.expect("Tab");
            let place = browser.run("const at = document.activeElement; return at.id.replace(/-[0-9]+$/, '') || at.name || at.textContent.trim()").await;
            reached.push(place.as_str().unwrap_or_default().to_owned());
        }
        let order = ["CapyDB", "project", "to-import", "to-history", "mode", "source-url", "Show", "recreate-finish"];
        assert_eq!(reached[..order.len()], order, "{reached:?}");
        // Records the requests of the page, to check which contain the password.
        browser.run("window.sent = []; const real = fetch; window.fetch = (to, how) => { sent.push([String(to), String(how?.body ?? '')]); return real(to, how); }").await;
        browser.fill("#source-url", &format!("psql '{url}'")).await; // as providers print it
        browser.reads("Added sslmode=require").await;
        browser.judge("2-recognised").await;
        let leaked = browser.run("return sent.filter(([, body]) => body.includes('source-secret')).length").await;
        assert_eq!(leaked, json!(0), "no request contains the password");
        assert!(browser.run("return sent.length").await.as_u64() > Some(0));
        browser.press("Run preflight").await;
        browser.reads("Preflight passed").await;
        for check in ["Source size within plan", "Source version compatible", "Extensions available on target"] {
            browser.reads(check).await;
        }
        browser.judge("3-preflight").await;
        browser.run("document.querySelector('input[type=checkbox]').click()").await;
        assert_eq!(browser.run("return document.querySelector('button.danger').disabled").await, json!(true));
        browser.fill("input[id^=typed-]", "shop").await;
        browser.judge("4-confirmed").await;
        browser.press("Replace shop and import").await;
        browser.see("#job-title").await;
        let calls = browser.run("return sent.filter(([, body]) => body.includes('source-secret')).map(([to]) => to.split('/imports')[1])").await;
        assert_eq!(calls, json!(["/preflight", ""]), "only preflight and import send the password");
        browser.reads("Everything was imported into shop").await;
        browser.reads("9,585").await; // without rows of extensions
        browser.judge("5-completed").await;
        assert!(!browser.text().await.contains("postgres://"), "connection strings are hidden by default");
        browser.press("Show connection strings").await;
        browser.reads(&project.url).await;
        browser.run("location.hash = '#/history'").await;
        browser.reads("Webhook deliveries").await;
        browser.reads("Create project").await;
        browser.judge("6-history").await;
        assert_eq!(project.sql("select count(*) from shop.customer"), psql(&url, "select count(*) from shop.customer"));
        browser.close().await;
    });
}

#[test]
fn a_dump_moves_from_a_file_and_a_reload_changes_nothing() {
    let control_plane = ControlPlane::throw_away();
    let project = control_plane.project("files");
    let source = Source::start(15, &[]);
    source.create("panel_file", &[LARGE, &held_by("picture")].concat());
    let dump = open_folder().join("app.dump");
    source.dump("panel_file", "custom", &dump);
    control_plane.hold("picture");
    in_browser(Look::Wide, async |browser| {
        browser.client.goto(&site(&control_plane)).await.expect("opens");
        choose(&browser, "files").await;
        file(&browser, &dump).await;
        browser.reads("Postgres 15.").await;
        browser.reads("public.events").await;
        browser.judge("7-dump").await;
        // A failed part, a cancelled upload and a resumed one.
        browser.run(SECOND_PART_FAILS).await;
        browser.press("Import").await;
        browser.reads("The upload failed after").await;
        browser.reads("uploaded parts are not sent again").await;
        browser.judge("7b-broken-off").await;
        browser.run("XMLHttpRequest = real").await;
        let speed =
            |bytes: i64| json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes });
        browser.cdp("Network.enable", json!({})).await;
        browser.cdp("Network.emulateNetworkConditions", speed(200_000)).await;
        browser.press("Import").await;
        browser.reads("Uploading: ").await;
        // Leaving the view needs confirmation.
        browser.run("setTimeout(() => { location.hash = '#/history' })").await;
        browser.answer("This cancels the upload", false).await;
        browser.reads("Uploading: ").await;
        browser.judge("7c-uploading").await;
        browser.press("Cancel upload").await;
        browser.reads("The upload was cancelled").await;
        browser.cdp("Network.emulateNetworkConditions", speed(-1)).await;
        browser.press("Import").await;
        browser.reads("Load rows").await;
        browser.client.refresh().await.expect("reloads");
        browser.reads("loading").await;
        browser.judge("8-running").await;
        // The skip link does not change the view.
        browser.run("document.querySelector('.skip').click()").await;
        assert_eq!(browser.run("return document.activeElement.id").await, json!("main"));
        browser.reads("loading").await;
        aside(|| control_plane.let_go("picture"));
        browser.reads("Everything was imported into files").await;
        browser.reads("401,001").await;
        browser.judge("9-arrived").await;
        browser.close().await;
    });
    assert_eq!(if is_here() { project.sql("select count(*) from events") } else { "400000".into() }, "400000");
}

#[test]
fn what_cannot_work_is_said_with_what_to_do() {
    let control_plane = ControlPlane::start(&["--allow-private-sources", "false", "--plan-limit", "40MB"]);
    let project = control_plane.project("errors");
    project.sql("create table taken (x int)");
    let folder = open_folder();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let source = Source::start(15, &[]);
    source.create("panel_errors", SAMPLE);
    source.dump("panel_errors", "custom", &folder.join("whole.dump"));
    let whole = std::fs::read(folder.join("whole.dump")).expect("reads");
    let files = [
        (write("empty.dump", b""), "The file is empty"),
        (write("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0"), "neither a pg_dump archive nor SQL"),
        (write("packed.gz", b"\x1f\x8b\x08\0\0\0"), "compressed with gzip"),
        (write("cut.dump", &whole[..600]), "the file is truncated"),
        (
            write("large.sql", &[b"SELECT 1;\n".repeat(4_200_000), b"\n".to_vec()].concat()),
            "over the plan limit of 40.0 MB",
        ),
    ];
    let clash = write("clash.sql", b"CREATE TABLE taken (x int);\n");
    in_browser(Look::Wide, async |browser| {
        browser.client.goto(&site(&control_plane)).await.expect("opens");
        choose(&browser, "errors").await;
        for (url, words, fix) in [
            ("postgres://u:p@10.0.0.7/shop", "must be publicly reachable", "pg_dump -Fc"),
            ("mysql://u:p@h/shop", "a URL that starts with postgres://", ""),
            ("postgres://u:p@ep-a-b-pooler.eu-central-1.aws.neon.tech/shop", "pooled endpoint", "Use this endpoint"),
        ] {
            browser.fill("#source-url", url).await;
            browser.reads(words).await;
            browser.reads(fix).await;
        }
        browser.judge("10-refused").await;
        browser.press("Use this endpoint").await;
        browser.reads("Neon").await;
        let kept = browser.run("return document.getElementById('source-url').value").await;
        assert!(kept.as_str().expect("a text").starts_with("postgres://u:p@ep-a-b.eu-central-1"), "{kept}");
        browser.press("Run preflight").await;
        browser.reads("Cannot find the source's host").await;
        for (path, words) in &files {
            file(&browser, path).await;
            browser.reads(words).await;
        }
        browser.judge("11-no-dump").await;
        file(&browser, &clash).await;
        browser.reads("plain SQL").await;
        browser.press("Import").await;
        browser.reads("already exists").await;
        browser.reads("The target is unchanged").await;
        browser.judge("12-failed").await;
        // A cancelled import: its source accepts connections but sends nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let waiting = format!("postgres://u:p@{}/d?sslmode=disable", silent.local_addr().expect("an address"));
        let body = json!({ "confirm": true, "source_url": waiting });
        let start = |control_plane: &ControlPlane, project: &str| {
            let path = format!("/v1/projects/{project}/imports");
            control_plane.call("POST", &path, Some(&body)).1["job"]["id"].as_str().expect("an id").to_owned()
        };
        let control_plane = aside(|| ControlPlane::start(&[]));
        let project = aside(|| control_plane.project("waits").id);
        let job = aside(|| start(&control_plane, &project));
        browser.client.goto(&format!("{}#/jobs/{job}", site(&control_plane))).await.expect("opens");
        browser.press("Cancel import").await;
        browser.reads("Cancelled by request").await;
        // A control plane that stops.
        let job = aside(|| start(&control_plane, &project));
        browser.client.goto(&format!("{}#/jobs/{job}", site(&control_plane))).await.expect("opens");
        browser.see("#job-cancel").await;
        aside(|| control_plane.kill());
        browser.reads("Connection lost. The import keeps running").await;
        browser.close().await;
    });
}

#[test]
fn a_project_without_a_database_and_a_wrong_key_have_a_way_on() {
    let control_plane = ControlPlane::throw_away();
    control_plane.project("unlucky");
    control_plane.admin(
        "capydb",
        "update projects set state = 'failed', last_error = 'the disk was full' where slug = 'unlucky'",
    );
    in_browser(Look::Wide, async |browser| {
        // A project without a database.
        browser.client.goto(&site(&control_plane)).await.expect("opens");
        choose(&browser, "unlucky").await;
        browser.reads("The disk was full").await;
        browser.judge("12b-no-database").await;
        browser.press("Create it again").await;
        browser.reads("Done.").await;
        // A wrong key.
        browser.cdp("Network.enable", json!({})).await;
        browser.cdp("Network.setBlockedURLs", json!({ "urls": ["*/panel/key"] })).await; // as for another user
        browser.run("sessionStorage.setItem('capydb-key', 'capy_live_wrong'); location.reload()").await;
        browser.reads("Invalid API key").await;
        browser.judge("13-key").await;
        browser.fill("#api-key", "capy_live_…").await;
        browser.press("Continue").await;
        browser.reads("not allowed in an API key").await;
        browser.fill("#api-key", &control_plane.api_key).await;
        browser.press("Continue").await;
        browser.see("#project").await;
        browser.cdp("Network.setBlockedURLs", json!({ "urls": [] })).await;
        browser.close().await;
    });
}

#[test]
fn it_is_at_home_on_a_telephone_at_night() {
    let control_plane = ControlPlane::throw_away();
    let project = control_plane.project("pocket");
    let dump = open_folder().join("pocket.dump");
    source().dump("sample", "custom", &dump);
    in_browser(Look::Narrow, async |browser| {
        browser.client.goto(&site(&control_plane)).await.expect("opens");
        choose(&browser, "pocket").await;
        browser.judge("14-narrow").await;
        file(&browser, &dump).await;
        browser.reads("custom").await;
        browser.judge("15-narrow-dump").await;
        browser.press("Import").await;
        browser.reads("Everything was imported into pocket").await;
        browser.judge("16-narrow-arrived").await;
        settled("the data is in the target", || project.sql("select count(*) > 0 from shop.customer") == "t");
        browser.run("location.hash = '#/history'").await;
        browser.reads("Create project").await;
        browser.judge("17-narrow-history").await;
        browser.close().await;
    });
}

/// A cluster: users enter a key, and dumps go to a bucket of another origin.
#[test]
fn a_team_imports_through_a_bucket() {
    let ground = Ground::lay(&[]);
    let (api, _worker) = (ground.start("api", &[]), ground.start("worker", &[]));
    let key = ground.new_key();
    let source = Source::start(15, &[]);
    source.create("panel_bucket", LARGE);
    let dump = open_folder().join("app.dump");
    source.dump("panel_bucket", "custom", &dump);
    in_browser(Look::Wide, async |browser| {
        browser.client.goto(&format!("http://{}/", api.address)).await.expect("opens");
        browser.fill("#api-key", &key).await;
        browser.press("Continue").await;
        browser.reads("Create your first project").await;
        browser.judge("18-no-project").await;
        browser.fill("#project-name", "shop").await;
        browser.press("Create project").await;
        browser.reads("Done.").await;
        browser.press("Import a database").await;
        browser.reads("plan server").await;
        file(&browser, &dump).await;
        browser.reads("public.events").await;
        browser.press("Import").await;
        browser.reads("Everything was imported into shop").await;
        browser.reads("401,000").await;
        browser.judge("19-arrived").await;
        settled("the dump is deleted", || object_store::files(&ground.bucket.1).is_empty());
        // The key expires while the page is open.
        aside(|| ground.ask("update api_keys set expires_at = now() - interval '1 hour'"));
        browser.run("location.hash = '#/history'").await;
        browser.reads("The API key is no longer valid").await;
        browser.close().await;
    });
}
