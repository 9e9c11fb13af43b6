//! Tests of unusable sources: each cause has its own error, within a time limit.

use crate::support::fixtures::{ControlPlane, control_plane, source};
use std::net::TcpListener;
use std::time::Instant;

#[track_caller]
fn preflight_fails(url: &str, expected: &str) {
    let output =
        control_plane().run(&["import", "preflight", "--project", "dev", "--source-url", url]).fails(1, expected);
    assert!(!output.stderr.contains("canary"), "{output:#?}");
    assert!(output.stdout.is_empty(), "{output:#?}");
}

#[test]
fn each_cause_has_its_own_error() {
    let port = source().port;
    preflight_fails(
        &format!("postgres://owner:canary@127.0.0.1:{port}/sample"),
        "refused the login: password authentication failed",
    );
    preflight_fails(&format!("postgres://owner:source-secret@127.0.0.1:{port}/nowhere"), "no such database");
    preflight_fails("postgres://u:canary@no-such-host.invalid/d", "cannot find the source's host no-such-host.invalid");
    let closed = TcpListener::bind("127.0.0.1:0").expect("bind a port").local_addr().expect("local address").port();
    preflight_fails(&format!("postgres://u:canary@127.0.0.1:{closed}/d"), "refused the connection");
    preflight_fails(
        &format!("postgres://owner:source-secret@127.0.0.1:{port}/sample?sslmode=verify-full"),
        "no encrypted connection",
    );
}

#[test]
fn a_server_without_tls_has_its_own_error() {
    let server = crate::support::fixtures::Source::start(17, &["ssl=off"]);
    let demanding = format!("{}?sslmode=require", server.url("postgres"));
    preflight_fails(&demanding, "add sslmode=disable to the URL to connect without encryption");
    // On this machine and in private networks, TLS is used where the server has it, whichever program connects.
    let url = server.create("without_tls", "create table t as select 1 as x");
    let project = control_plane().project("without tls");
    for more in [
        &["preflight"][..],
        &["preflight", "--local"],
        &["--recreate", "--wait"],
        &["--via-dump", "--recreate", "--wait"],
    ] {
        let arguments = [&["import"], more, &["--project", &project.slug, "--source-url", &url]].concat();
        control_plane().run(&arguments).succeeds();
    }
    assert_eq!(project.sql("select x from t"), "1");
}

#[test]
fn a_silent_server_times_out_after_ten_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let port = silent.local_addr().expect("local address").port();
    let started = Instant::now();
    preflight_fails(
        &format!("postgres://u:canary@127.0.0.1:{port}/d"),
        "did not respond as a Postgres server within 10 seconds",
    );
    assert!(started.elapsed().as_secs() < 20);
}

#[test]
fn private_sources_are_refused_unless_allowed() {
    let control_plane = ControlPlane::start(&["--allow-private-sources", "false"]);
    for (host, expected) in [
        ("127.0.0.1", "a loopback address"),
        ("localhost", "an internal host name"),
        ("10.0.0.1", "a private address"),
        ("169.254.169.254", "a link-local address"),
        ("[::ffff:127.0.0.1]", "a loopback address"),
        ("db.internal", "an internal host name"),
        ("0x7f000001", "a loopback address"),
    ] {
        let url = format!("postgres://u:p@{host}:{}/d", source().port);
        control_plane.run(&["import", "preflight", "--source-url", &url]).fails(1, expected);
    }
}

#[test]
fn pooled_endpoints_are_rewritten_by_the_cli_and_refused_by_the_api() {
    let url = "postgres://u:canary@ep-a-pooler.eu.aws.neon.tech/d";
    control_plane().run(&["import", "--project", "dev", "--source-url", url]).fails(1, "using the direct endpoint");
    let unrewritten = ["import", "--project", "dev", "--no-rewrite", "--source-url", url];
    control_plane().run(&unrewritten).fails(1, "use postgres://u:***@ep-a.eu.aws.neon.tech/d?sslmode=require instead");
    let (status, response) = control_plane().call(
        "POST",
        &format!("/v1/projects/{}/imports/preflight", control_plane().project("pooled").id),
        Some(&serde_json::json!({ "source_url": url })),
    );
    assert_eq!(status, 400);
    assert!(
        response["error"].as_str().is_some_and(|error| error.contains("pooled endpoint") && !error.contains("canary")),
        "{response}"
    );
}
