//! Tests the web panel in a real browser, with a real control plane and Postgres.
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

use browser::{Browser, Device, is_installed, wait_outside};
use cluster::Cluster;
use serde_json::{Value, json};
use std::path::Path;
use support::fixtures::{ControlPlane, SAMPLE, Source, held_table, psql, source, test_dir};

/// Source data, large enough for an upload in many parts.
const LARGE: &str = "create table events as select n, md5(n::text) || md5((n + 1)::text) || md5((n + 2)::text) as payload from generate_series(1, 400000) n;
    create table people (id int primary key, name text); insert into people select n, 'p' || n from generate_series(1, 1000) n;
    create index on events (n); create index on events (payload);";

/// JavaScript that sends all parts after the first to a missing path once the first is uploaded.
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

/// Runs a test in a browser, or skips it if none is installed.
fn in_browser<F: Future<Output = ()>>(device: Device, test: impl FnOnce(Browser) -> F) {
    if !is_installed() {
        return support::skip("browser", "chromium and chromedriver are not installed");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("build runtime");
    runtime.block_on(async { test(Browser::open(device).await).await });
}

/// Runs blocking work that starts its own runtime.
fn blocking<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    tokio::task::block_in_place(|| std::thread::scope(|scope| scope.spawn(work).join().expect("join thread")))
}

fn panel_url(control_plane: &ControlPlane) -> String {
    format!("http://{}/", control_plane.address())
}

/// Selects a project by name.
async fn choose_project(browser: &Browser, name: &str) {
    browser.wait_for_element("#project").await.select_by_label(name).await.expect("select project");
    browser.wait_until(&format!("document.getElementById('project-title')?.textContent === {}", json!(name))).await;
}

/// Selects a dump file.
async fn choose_file(browser: &Browser, path: &Path) {
    browser.wait_until("Boolean(document.querySelector('input[value=file]'))").await;
    browser.run("document.querySelector('input[value=file]').click()").await;
    browser.wait_for_element(".drop").await;
    let input = browser.client.find(fantoccini::Locator::Css("#dump-file")).await.expect("find file input");
    input.send_keys(path.to_str().expect("UTF-8 path")).await.expect("choose file");
}

#[test]
fn a_database_is_imported_from_a_url() {
    let control_plane = ControlPlane::ephemeral();
    let project = control_plane.project("shop");
    let url = source().create("panel_url", SAMPLE);
    in_browser(Device::Desktop, async |browser| {
        browser.client.goto(&panel_url(&control_plane)).await.expect("open page");
        choose_project(&browser, "shop").await;
        browser.wait_for_text("of 10.0 GB").await;
        browser.check_page("1-start").await;
        // The Tab key reaches every control in reading order.
        browser.run("document.activeElement.blur(); document.querySelector('.skip').focus()").await;
        let mut focused = Vec::new();
        for _ in 0..10 {
            let element = browser.client.active_element().await.expect("focused element");
            element.send_keys("\u{e004}").await.expect("press Tab");
            let name = browser.run("const at = document.activeElement; return at.id.replace(/-[0-9]+$/, '') || at.name || at.textContent.trim()").await;
            focused.push(name.as_str().unwrap_or_default().to_owned());
        }
        let order = ["CapyDB", "project", "to-import", "to-history", "mode", "source-url", "Show", "recreate-finish"];
        assert_eq!(focused[..order.len()], order, "{focused:?}");
        // Records the requests of the page, to check which of them contain the password.
        browser.run("window.sent = []; const real = fetch; window.fetch = (to, how) => { sent.push([String(to), String(how?.body ?? '')]); return real(to, how); }").await;
        browser.fill("#source-url", &format!("psql '{url}'")).await; // as some providers show it
        browser.wait_for_text("sslmode=prefer").await;
        browser.check_page("2-url-parsed").await;
        let leaked = browser.run("return sent.filter(([, body]) => body.includes('source-secret')).length").await;
        assert_eq!(leaked, json!(0), "no request contains the password");
        assert!(browser.run("return sent.length").await.as_u64() > Some(0));
        browser.click("Run preflight").await;
        browser.wait_for_text("Preflight passed").await;
        for check in ["Source size within plan", "Source version compatible", "Extensions available on target"] {
            browser.wait_for_text(check).await;
        }
        browser.check_page("3-preflight").await;
        browser.run("document.querySelector('input[type=checkbox]').click()").await;
        assert_eq!(browser.run("return document.querySelector('button.danger').disabled").await, json!(true));
        browser.fill("input[id^=typed-]", "shop").await;
        browser.check_page("4-confirmed").await;
        browser.click("Replace shop and import").await;
        browser.wait_for_element("#job-title").await;
        let calls = browser.run("return sent.filter(([, body]) => body.includes('source-secret')).map(([to]) => to.split('/imports')[1])").await;
        assert_eq!(calls, json!(["/preflight", ""]), "only preflight and import send the password");
        browser.wait_for_text("Everything was imported into shop").await;
        browser.wait_for_text("9,585").await; // excludes rows of extension tables
        browser.check_page("5-completed").await;
        assert!(!browser.text().await.contains("postgres://"), "connection strings are hidden by default");
        browser.click("Show connection strings").await;
        browser.wait_for_text(&project.url).await;
        browser.run("location.hash = '#/history'").await;
        browser.wait_for_text("Webhook deliveries").await;
        browser.wait_for_text("Create project").await;
        browser.check_page("6-history").await;
        assert_eq!(project.sql("select count(*) from shop.customer"), psql(&url, "select count(*) from shop.customer"));
        browser.close().await;
    });
}

#[test]
fn a_dump_is_imported_from_a_file_and_the_page_can_be_reloaded() {
    let control_plane = ControlPlane::ephemeral();
    let project = control_plane.project("files");
    let source = Source::start(15, &[]);
    source.create("panel_file", &[LARGE, &held_table("picture")].concat());
    let dump = test_dir().join("app.dump");
    source.dump("panel_file", "custom", &dump);
    control_plane.hold("picture");
    in_browser(Device::Desktop, async |browser| {
        browser.client.goto(&panel_url(&control_plane)).await.expect("open page");
        choose_project(&browser, "files").await;
        choose_file(&browser, &dump).await;
        browser.wait_for_text("Postgres 15.").await;
        browser.wait_for_text("public.events").await;
        browser.check_page("7-dump").await;
        // A failed part, a cancelled upload and a resumed upload.
        browser.run(SECOND_PART_FAILS).await;
        browser.click("Import").await;
        browser.wait_for_text("The upload failed after").await;
        browser.wait_for_text("uploaded parts are not sent again").await;
        browser.check_page("7b-upload-failed").await;
        browser.run("XMLHttpRequest = real").await;
        let conditions =
            |bytes: i64| json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes });
        browser.cdp("Network.enable", json!({})).await;
        browser.cdp("Network.emulateNetworkConditions", conditions(200_000)).await;
        browser.click("Import").await;
        browser.wait_for_text("Uploading: ").await;
        // Leaving the view needs confirmation.
        browser.run("setTimeout(() => { location.hash = '#/history' })").await;
        browser.answer_dialog("This cancels the upload", false).await;
        browser.wait_for_text("Uploading: ").await;
        browser.check_page("7c-uploading").await;
        browser.click("Cancel upload").await;
        browser.wait_for_text("The upload was cancelled").await;
        browser.cdp("Network.emulateNetworkConditions", conditions(-1)).await;
        browser.click("Import").await;
        browser.wait_for_text("Load rows").await;
        browser.client.refresh().await.expect("reload page");
        browser.wait_for_text("loading").await;
        browser.check_page("8-running").await;
        // The skip link does not change the view.
        browser.run("document.querySelector('.skip').click()").await;
        assert_eq!(browser.run("return document.activeElement.id").await, json!("main"));
        browser.wait_for_text("loading").await;
        blocking(|| control_plane.let_go("picture"));
        browser.wait_for_text("Everything was imported into files").await;
        browser.wait_for_text("401,001").await;
        browser.check_page("9-completed").await;
        browser.close().await;
    });
    if is_installed() {
        assert_eq!(project.sql("select count(*) from events"), "400000");
    }
}

#[test]
fn errors_are_shown_with_a_fix() {
    let control_plane = ControlPlane::start(&["--allow-private-sources", "false", "--plan-limit", "40MB"]);
    let project = control_plane.project("errors");
    project.sql("create table taken (x int)");
    let dir = test_dir();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, bytes).expect("write file");
        path
    };
    let source = Source::start(15, &[]);
    source.create("panel_errors", SAMPLE);
    source.dump("panel_errors", "custom", &dir.join("complete.dump"));
    let complete = std::fs::read(dir.join("complete.dump")).expect("read file");
    let files = [
        (write("empty.dump", b""), "The file is empty"),
        (write("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0"), "neither a pg_dump archive nor SQL"),
        (write("packed.gz", b"\x1f\x8b\x08\0\0\0"), "compressed with gzip"),
        (write("cut.dump", &complete[..600]), "the file is truncated"),
        (
            write("large.sql", &[b"SELECT 1;\n".repeat(4_200_000), b"\n".to_vec()].concat()),
            "over the plan limit of 40.0 MB",
        ),
    ];
    let clash = write("clash.sql", b"CREATE TABLE taken (x int);\n");
    in_browser(Device::Desktop, async |browser| {
        browser.client.goto(&panel_url(&control_plane)).await.expect("open page");
        choose_project(&browser, "errors").await;
        for (url, error, fix) in [
            ("postgres://u:p@10.0.0.7/shop", "must be publicly reachable", "pg_dump -Fc"),
            ("mysql://u:p@h/shop", "a URL that starts with postgres://", ""),
            ("postgres://u:p@ep-a-b-pooler.eu-central-1.aws.neon.tech/shop", "pooled endpoint", "Use this endpoint"),
        ] {
            browser.fill("#source-url", url).await;
            browser.wait_for_text(error).await;
            browser.wait_for_text(fix).await;
        }
        browser.check_page("10-rejected-urls").await;
        browser.click("Use this endpoint").await;
        browser.wait_for_text("Neon").await;
        let direct_url = browser.run("return document.getElementById('source-url').value").await;
        assert!(direct_url.as_str().expect("string").starts_with("postgres://u:p@ep-a-b.eu-central-1"), "{direct_url}");
        browser.click("Run preflight").await;
        browser.wait_for_text("Cannot find the source's host").await;
        for (path, error) in &files {
            choose_file(&browser, path).await;
            browser.wait_for_text(error).await;
        }
        browser.check_page("11-rejected-files").await;
        choose_file(&browser, &clash).await;
        browser.wait_for_text("plain SQL").await;
        browser.click("Import").await;
        browser.wait_for_text("already exists").await;
        browser.wait_for_text("The target is unchanged").await;
        browser.check_page("12-failed").await;
        // A cancelled import, whose source accepts connections but sends nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let silent_url = format!("postgres://u:p@{}/d?sslmode=disable", silent.local_addr().expect("local address"));
        let body = json!({ "confirm": true, "source_url": silent_url });
        let start = |control_plane: &ControlPlane, project: &str| {
            let path = format!("/v1/projects/{project}/imports");
            control_plane.call("POST", &path, Some(&body)).1["job"]["id"].as_str().expect("job id").to_owned()
        };
        let control_plane = blocking(|| ControlPlane::start(&[]));
        let project = blocking(|| control_plane.project("waits").id);
        let job = blocking(|| start(&control_plane, &project));
        browser.client.goto(&format!("{}#/jobs/{job}", panel_url(&control_plane))).await.expect("open page");
        browser.click("Cancel import").await;
        browser.wait_for_text("Cancelled by request").await;
        // A control plane that stops while the job is shown.
        let job = blocking(|| start(&control_plane, &project));
        browser.client.goto(&format!("{}#/jobs/{job}", panel_url(&control_plane))).await.expect("open page");
        browser.wait_for_element("#job-cancel").await;
        blocking(|| control_plane.kill());
        browser.wait_for_text("Connection lost. The import keeps running").await;
        browser.close().await;
    });
}

#[test]
fn a_failed_project_and_an_invalid_key_can_be_fixed() {
    let control_plane = ControlPlane::ephemeral();
    control_plane.project("failed");
    control_plane.admin(
        "capydb",
        "update projects set state = 'failed', last_error = 'the disk was full' where slug = 'failed'",
    );
    in_browser(Device::Desktop, async |browser| {
        // A project whose database was not created.
        browser.client.goto(&panel_url(&control_plane)).await.expect("open page");
        choose_project(&browser, "failed").await;
        browser.wait_for_text("The disk was full").await;
        browser.check_page("12b-failed-project").await;
        browser.click("Create it again").await;
        browser.wait_for_text("Done.").await;
        // An invalid key.
        browser.cdp("Network.enable", json!({})).await;
        // Without this path, the panel asks for a key.
        browser.cdp("Network.setBlockedURLs", json!({ "urls": ["*/panel/key"] })).await;
        browser.run("sessionStorage.setItem('capydb-key', 'capy_live_wrong'); location.reload()").await;
        browser.wait_for_text("Invalid API key").await;
        browser.check_page("13-key").await;
        browser.fill("#api-key", "capy_live_…").await;
        browser.click("Continue").await;
        browser.wait_for_text("not allowed in an API key").await;
        browser.fill("#api-key", &control_plane.api_key).await;
        browser.click("Continue").await;
        browser.wait_for_element("#project").await;
        browser.cdp("Network.setBlockedURLs", json!({ "urls": [] })).await;
        browser.close().await;
    });
}

#[test]
fn the_panel_works_on_a_phone_with_dark_colors() {
    let control_plane = ControlPlane::ephemeral();
    let project = control_plane.project("pocket");
    let dump = test_dir().join("pocket.dump");
    source().dump("sample", "custom", &dump);
    in_browser(Device::Phone, async |browser| {
        browser.client.goto(&panel_url(&control_plane)).await.expect("open page");
        choose_project(&browser, "pocket").await;
        browser.check_page("14-phone").await;
        choose_file(&browser, &dump).await;
        browser.wait_for_text("custom").await;
        browser.check_page("15-phone-dump").await;
        browser.click("Import").await;
        browser.wait_for_text("Everything was imported into pocket").await;
        browser.check_page("16-phone-completed").await;
        wait_outside("the target contains the data", || project.sql("select count(*) > 0 from shop.customer") == "t");
        browser.run("location.hash = '#/history'").await;
        browser.wait_for_text("Create project").await;
        browser.check_page("17-phone-history").await;
        browser.close().await;
    });
}

/// The page reads the forms of a URL as the control plane does, and sends no password to recognize one.
#[test]
fn the_page_reads_every_form_of_a_source_url() {
    let control_plane = ControlPlane::ephemeral();
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../support/source-urls.json")).expect("a table of cases");
    let script =
        "const { readSource } = await import('/panel/source.js'); return arguments[0].map((text) => readSource(text))";
    in_browser(Device::Desktop, async |browser| {
        browser.client.goto(&panel_url(&control_plane)).await.expect("open page");
        let texts: Vec<&Value> = cases.iter().map(|case| &case["text"]).collect();
        let script = format!("return (async () => {{ {script} }})()");
        let read = browser.client.execute(&script, vec![json!(texts)]).await.expect("run script");
        for (case, read) in cases.iter().zip(read.as_array().expect("results")) {
            let kind = read["kind"].as_str().expect("a kind");
            let is_ambiguous =
                case["error"].as_str().is_some_and(|error| error.starts_with("the URL has more than one"));
            assert_eq!(kind == "ambiguous", is_ambiguous, "{case}: {read}");
            if let (Some(url), "url") = (case["url"].as_str(), kind) {
                let url = url::Url::parse(url).expect("a URL");
                let plain = |text: &str| percent_decoded(text);
                let password = read["password"].as_str().map(plain);
                assert_eq!(password, url.password().map(plain), "{case}: {read}");
                let shown = read["shown"].as_str().expect("the URL");
                assert!(!shown.contains(":p@") && !shown.contains("password=p"), "{case}: {read}");
            } else {
                assert!(case["url"].is_null() || kind == "text", "{case}: {read}");
            }
        }
        browser.close().await;
    });
}

fn percent_decoded(text: &str) -> String {
    let query = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// With a cluster, users enter a key, and dumps are uploaded to an object store of another origin.
#[test]
fn a_dump_is_imported_through_an_object_store() {
    let cluster = Cluster::create(&[]);
    let (api, _worker) = (cluster.start("api", &[]), cluster.start("worker", &[]));
    let key = cluster.new_key();
    let source = Source::start(15, &[]);
    source.create("panel_bucket", LARGE);
    let dump = test_dir().join("app.dump");
    source.dump("panel_bucket", "custom", &dump);
    in_browser(Device::Desktop, async |browser| {
        browser.client.goto(&format!("http://{}/", api.address)).await.expect("open page");
        browser.fill("#api-key", &key).await;
        browser.click("Continue").await;
        browser.wait_for_text("Create your first project").await;
        browser.check_page("18-no-project").await;
        browser.fill("#project-name", "shop").await;
        browser.click("Create project").await;
        browser.wait_for_text("Done.").await;
        browser.click("Import a database").await;
        browser.wait_for_text("plan server").await;
        choose_file(&browser, &dump).await;
        browser.wait_for_text("public.events").await;
        browser.click("Import").await;
        browser.wait_for_text("Everything was imported into shop").await;
        browser.wait_for_text("401,000").await;
        browser.check_page("19-completed").await;
        wait_outside("the dump is deleted", || object_store::files(&cluster.bucket.1).is_empty());
        // The key expires while the page is open.
        blocking(|| cluster.ask("update api_keys set expires_at = now() - interval '1 hour'"));
        browser.run("location.hash = '#/history'").await;
        browser.wait_for_text("The API key is no longer valid").await;
        browser.close().await;
    });
}
