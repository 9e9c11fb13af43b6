//! Source URLs that a control plane limited to public addresses must reject.

use crate::report_cases;
use crate::support::fixtures::ControlPlane;
use serde_json::json;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Loopback, private and reserved addresses in every spelling.
const PRIVATE: [&str; 62] = [
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7F.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "0x7f.1",
    "%31%32%37.0.0.1",
    "127%2E0%2E0%2E1",
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.255.255",
    "3232235521",
    "169.254.169.254",
    "169.254.0.1",
    "0xa9fea9fe",
    "2852039166",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:169.254.169.254]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:7f00:1::]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[fe80::1]",
    "[febf::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "[100::1]",
    "[5f00::1]",
];

/// Names of this machine or of a host in a private network.
const INTERNAL: [&str; 13] = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "%6cocalhost",
    "db.localhost",
    "metadata.google.internal",
    "db.internal.",
    "router.local",
    "db.lan",
    "db.localdomain",
    "x.home.arpa",
    "app.flycast",
    "db.INTERNAL",
];

/// Complete URLs that must be rejected, with the reason. `PORT` stands for the port of a listener that
/// must not be reached.
const REJECTED: [(&str, &str); 43] = [
    ("postgres://u:canary@h1,127.0.0.1:PORT/d", "several hosts"),
    ("postgres://u:canary@h1:1,h2:2/d", "several hosts"),
    ("postgres://u:canary@h1%2C127.0.0.1:PORT/d", "several hosts"),
    ("postgres://u:canary@h1%2c127.0.0.1/d", "several hosts"),
    ("postgres://u:canary@%2Fvar%2Frun%2Fpostgresql/d", "Unix socket"),
    ("postgres://u:canary@%2ftmp/d", "Unix socket"),
    ("postgres://u:canary@/d?host=/tmp", "Unix socket"),
    ("postgres://u:canary@/d?host=%2Ftmp", "Unix socket"),
    ("postgres://u:canary@%40abstract/d", "Unix socket"),
    ("postgres:///d", "has no host"),
    ("postgres://u:canary@/d", "has no host"),
    ("postgres://u:canary@:PORT/d", "has no host"),
    ("postgres://u:canary@1.1.1.1/d?host=127.0.0.1", "the parameter `host`"),
    ("postgres://u:canary@1.1.1.1/d?%68ost=127.0.0.1", "the parameter `host`"),
    ("postgres://u:canary@1.1.1.1/d?hostaddr=127.0.0.1", "the parameter `hostaddr`"),
    ("postgres://u:canary@1.1.1.1/d?sslmode=disable&hostaddr=127.0.0.1&port=PORT", "the parameter `hostaddr`"),
    ("postgres://u:canary@1.1.1.1/d?%68%6F%73%74%61%64%64%72=127.0.0.1", "the parameter `hostaddr`"),
    ("postgres://u:canary@1.1.1.1/d?port=PORT", "the parameter `port`"),
    ("postgres://u:canary@1.1.1.1/d?user=postgres", "the parameter `user`"),
    ("postgres://u:canary@1.1.1.1/d?password=x", "the parameter `password`"),
    ("postgres://u:canary@1.1.1.1/d?dbname=postgres", "the parameter `dbname`"),
    ("postgres://u:canary@1.1.1.1/d?service=x", "the parameter `service`"),
    ("postgres://u:canary@1.1.1.1/d?servicefile=/etc/x", "the parameter `servicefile`"),
    ("postgres://u:canary@1.1.1.1/d?passfile=/root/.pgpass", "the parameter `passfile`"),
    ("postgres://u:canary@1.1.1.1/d?sslcert=/etc/c", "the parameter `sslcert`"),
    ("postgres://u:canary@1.1.1.1/d?sslkey=/etc/k", "the parameter `sslkey`"),
    ("postgres://u:canary@1.1.1.1/d?sslrootcert=/etc/passwd", "the parameter `sslrootcert`"),
    ("postgres://u:canary@1.1.1.1/d?sslcrl=/etc/passwd", "the parameter `sslcrl`"),
    ("postgres://u:canary@1.1.1.1/d?sslcrldir=/etc", "the parameter `sslcrldir`"),
    ("postgres://u:canary@1.1.1.1/d?sslpassword=x", "the parameter `sslpassword`"),
    ("postgres://u:canary@1.1.1.1/d?krbsrvname=x", "the parameter `krbsrvname`"),
    ("postgres://u:canary@1.1.1.1/d?gsslib=x", "the parameter `gsslib`"),
    ("postgres://u:canary@1.1.1.1/d?requirepeer=root", "the parameter `requirepeer`"),
    ("postgres://u:canary@1.1.1.1/d?sslmode=none", "sslmode=none"),
    ("postgres://u:canary@1.1.1.1/d#@127.0.0.1:PORT/d", "more than one reading"),
    ("postgres://u:canary@1.1.1.1/d#x", "`#`"),
    ("postgres://u:canary@1.1.1.1:0/d", "invalid port"),
    ("postgres://u:canary@1.1.1.1:99999/d", "invalid port"),
    ("file:///etc/passwd", "expected a URL that starts with postgres://"),
    ("http://169.254.169.254/latest/meta-data", "expected a URL that starts with postgres://"),
    ("host=127.0.0.1 port=PORT user=u dbname=d", "must be publicly reachable"),
    ("psql -h 127.0.0.1 -p PORT -U u d", "must be publicly reachable"),
    ("jdbc:postgresql://127.0.0.1:PORT/d?user=u&password=canary", "must be publicly reachable"),
];

/// Spellings that are not addresses to any resolver and must not be normalized into one.
const UNRESOLVABLE: [&str; 8] = [
    "127.0.0.1.",
    "１２７.0.0.1",
    "①27.0.0.1",
    "127。0。0。1",
    "[::1%25lo]",
    "ⓛocalhost",
    "127.0.0.1%00.example.com",
    "-",
];

/// A listener that counts connections.
fn counting_listener() -> (u16, &'static AtomicUsize) {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    let listener = TcpListener::bind("0.0.0.0:0").expect("bind a port");
    let port = listener.local_addr().expect("local address").port();
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, &CONNECTIONS)
}

#[test]
fn no_url_reaches_a_private_network() {
    let control_plane = ControlPlane::start(&["--allow-private-sources", "false"]);
    let project = control_plane.project("urls");
    let (port, connections) = counting_listener();
    let mut cases: Vec<(String, Vec<&str>)> = Vec::new();
    for host in PRIVATE {
        cases.push((format!("postgres://u:canary@{host}:PORT/d?sslmode=disable"), vec!["must be publicly reachable"]));
    }
    for host in INTERNAL {
        cases.push((
            format!("postgres://u:canary@{host}:PORT/d"),
            vec!["an internal host name", "reachable only inside the provider's network"],
        ));
    }
    cases.extend(REJECTED.iter().map(|(url, message)| ((*url).to_owned(), vec![*message])));
    for host in UNRESOLVABLE {
        let messages = vec!["cannot find", "is invalid", "several hosts", "must be publicly reachable"];
        cases.push((format!("postgres://u:canary@{host}:PORT/d"), messages));
    }
    let path = format!("/v1/projects/{}/imports", project.id);
    for (url, messages) in &cases {
        let url = url.replace("PORT", &port.to_string());
        let (mut status, mut response) = (429, json!(null));
        crate::support::until("the rate limit allows the request", || {
            (status, response) =
                control_plane.call("POST", &format!("{path}/preflight"), Some(&json!({ "source_url": url })));
            status != 429
        });
        let error = response["error"].as_str().unwrap_or_default();
        assert!(status == 400 && messages.iter().any(|message| error.contains(message)), "{url}: {status} {response}");
        assert!(!error.contains("canary"), "{url}: {error}");
    }
    // The worker checks again, because a stored name can resolve to another address later.
    for host in ["127.0.0.1", "0x7f000001", "[::ffff:127.0.0.1]", "localhost"] {
        let job = project
            .import_by_api(&json!({ "confirm": true, "source_url": format!("postgres://u:canary@{host}:{port}/d") }));
        let text = job.to_string();
        assert!(
            job["state"] == "failed" && text.contains("must be publicly reachable") && !text.contains("canary"),
            "{text}"
        );
    }
    assert_eq!(connections.load(Ordering::Relaxed), 0, "a connection was made");
    report_cases("hostile URLs", cases.len() + 4);
}
