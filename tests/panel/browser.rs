//! Controls Chromium over WebDriver.

use crate::support::{fixtures, until};
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A device to emulate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    Desktop,
    /// A phone with the dark color scheme.
    Phone,
}

/// A browser window on a page.
pub(crate) struct Browser {
    pub(crate) client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

/// Whether Chromium and chromedriver are installed.
pub(crate) fn is_installed() -> bool {
    let runs =
        |name: &str| Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    runs("chromedriver") && runs("chromium")
}

/// A command of the Chrome DevTools Protocol.
#[derive(Debug)]
struct Cdp(Value);

impl WebDriverCompatibleCommand for Cdp {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.expect("session ID")))
    }

    fn method_and_body(&self, _: &url::Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(self.0.to_string()))
    }
}

impl Browser {
    /// Runs a DevTools command.
    pub(crate) async fn cdp(&self, command: &str, parameters: Value) {
        self.client.issue_cmd(Cdp(json!({ "cmd": command, "params": parameters }))).await.expect("run CDP command");
    }

    pub(crate) async fn open(device: Device) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("spawn chromedriver");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped stdout")).lines();
        let port = lines.find_map(|line| {
            let line = line.expect("read line");
            line.split_once("started successfully on port ").map(|(_, port)| port.trim_end_matches('.').to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop)); // a full pipe would block chromedriver
        let profile = tempfile::tempdir().expect("create directory");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--no-first-run".to_owned(),
            "--no-proxy-server".to_owned(),
            "--window-size=1280,1000".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        if rustix::process::geteuid().is_root() {
            arguments.push("--no-sandbox".to_owned()); // Chromium has no sandbox for root
        }
        let mut options = json!({ "binary": "/usr/bin/chromium" });
        if device == Device::Phone {
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
            options["mobileEmulation"] = json!({ "deviceMetrics": { "width": 390, "height": 844, "pixelRatio": 2.0 } });
        }
        options["args"] = json!(arguments);
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let address = format!("http://127.0.0.1:{}", port.expect("chromedriver prints its port"));
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&address)
            .await
            .expect("start session");
        Self { client, driver, _profile: profile }
    }

    /// Waits until an element is visible.
    pub(crate) async fn wait_for_element(&self, css: &str) -> fantoccini::elements::Element {
        let started = Instant::now();
        loop {
            if let Ok(element) = self.client.find(Locator::Css(css)).await
                && element.is_displayed().await.unwrap_or(false)
            {
                return element;
            }
            assert!(started.elapsed() < Duration::from_mins(1), "no {css} in:\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the page shows a text.
    pub(crate) async fn wait_for_text(&self, text: &str) {
        let started = Instant::now();
        while !self.text().await.contains(text) {
            assert!(started.elapsed() < Duration::from_mins(1), "no “{text}” in:\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a JavaScript condition is true.
    pub(crate) async fn wait_until(&self, condition: &str) {
        let started = Instant::now();
        while self.run(&format!("return {condition}")).await != json!(true) {
            assert!(
                started.elapsed() < Duration::from_mins(1),
                "condition not met: {condition}; page:\n{}",
                self.text().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for a dialog and accepts or dismisses it.
    pub(crate) async fn answer_dialog(&self, message: &str, accept: bool) {
        let started = Instant::now();
        let text = loop {
            match self.client.get_alert_text().await {
                Ok(text) => break text,
                Err(error) => assert!(started.elapsed() < Duration::from_mins(1), "no dialog: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(text.contains(message), "{text}");
        let result = if accept { self.client.accept_alert().await } else { self.client.dismiss_alert().await };
        result.expect("answer dialog");
    }

    /// The visible text of the page.
    pub(crate) async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Runs JavaScript and returns its result, or null if it fails.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_default()
    }

    /// Waits until a button is enabled and clicks it.
    pub(crate) async fn click(&self, label: &str) {
        let script = format!(
            "const found = [...document.querySelectorAll('button, summary, a.button')].find((b) => b.checkVisibility() && !b.disabled && b.textContent.trim() === {});
             found?.click(); return Boolean(found)",
            json!(label)
        );
        let started = Instant::now();
        while self.run(&script).await != json!(true) {
            assert!(started.elapsed() < Duration::from_secs(30), "no button “{label}” in:\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Replaces the text of an input.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let field = self.wait_for_element(css).await;
        field.clear().await.expect("clear input");
        field.send_keys(text).await.expect("type text");
    }

    /// Saves a screenshot of the whole page and fails on horizontal overflow and serious
    /// accessibility violations.
    pub(crate) async fn check_page(&self, name: &str) {
        let height = self.run("return document.documentElement.scrollHeight").await.as_u64().unwrap_or(1000);
        let width = self.run("return innerWidth").await.as_u64().unwrap_or(1280);
        if width > 600 {
            let _ = self.client.set_window_size(1280, u32::try_from(height + 150).unwrap_or(2000).min(4000)).await;
        }
        let screenshot = self.client.screenshot().await.expect("take screenshot");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("panel");
        std::fs::create_dir_all(&dir).expect("create directory");
        std::fs::write(dir.join(format!("{name}.png")), screenshot).expect("write screenshot");
        let overflow = self
            .run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            .await
            .as_i64()
            .unwrap_or(0);
        assert!(overflow <= 0, "{name} is {overflow} pixels wider than the window");
        let Some(axe) = find_axe() else {
            return crate::support::skip("accessibility", "axe-core is not installed");
        };
        let script = std::fs::read_to_string(axe).expect("read axe-core");
        self.client.execute(&script, Vec::new()).await.expect("load axe-core");
        let audit = "const done = arguments[0]; axe.run().then((found) => done(found.violations.map((v) => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map((n) => n.html + ' ' + n.failureSummary) }))))";
        let violations = self.client.execute_async(audit, Vec::new()).await.expect("run axe-core");
        let violations = violations.as_array().expect("array").clone();
        let serious: Vec<&Value> = violations
            .iter()
            .filter(|violation| ["serious", "critical"].contains(&violation["impact"].as_str().unwrap_or("")))
            .collect();
        assert!(serious.is_empty(), "{name}: {serious:#?}");
        for minor in violations {
            eprintln!("{name}: {} ({}): {}", minor["id"], minor["impact"], minor["nodes"][0]);
        }
    }

    pub(crate) async fn close(mut self) {
        let _ = self.client.clone().close().await;
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The newest downloaded axe-core script.
fn find_axe() -> Option<PathBuf> {
    let scripts = std::fs::read_dir(fixtures::cache_dir().join("axe")).ok()?.flatten().map(|entry| entry.path());
    scripts.max()
}

/// Waits for a condition outside the page.
pub(crate) fn wait_outside(condition: &str, holds: impl FnMut() -> bool) {
    tokio::task::block_in_place(|| until(condition, holds));
}
