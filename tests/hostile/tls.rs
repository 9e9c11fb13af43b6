//! What `sslmode` promises, against servers with good and bad certificates: for our own
//! driver, which looks, and for pg_dump, which copies.

use crate::ran_cases;
use crate::support::fixtures::{ControlPlane, Source, open_folder};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Certificates that a server may show. The plane trusts one authority, and dials 127.0.0.1.
struct Shown {
    name: &'static str,
    /// Modes, besides those without verification, in which it is good enough.
    accepted: &'static [&'static str],
    source: Source,
}

fn servers(authority: &CertifiedIssuer<'_, KeyPair>) -> Vec<Shown> {
    let signed = |names: &[&str], expired: bool| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).expect("names");
        if expired {
            parameters.not_before = rcgen::date_time_ymd(2019, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let cert = parameters.signed_by(&key, authority).expect("signs");
        Source::start_with(15, &["log_connections=on"], &cert.pem(), &key.serialize_pem())
    };
    let alone = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    vec![
        Shown { name: "good", accepted: &["verify-ca", "verify-full"], source: signed(&["127.0.0.1"], false) },
        Shown { name: "wrong name", accepted: &["verify-ca"], source: signed(&["db.example.com"], false) },
        Shown { name: "expired", accepted: &[], source: signed(&["127.0.0.1"], true) },
        Shown {
            name: "self-signed",
            accepted: &[],
            source: Source::start_with(
                15,
                &["log_connections=on"],
                &alone.cert.pem(),
                &alone.signing_key.serialize_pem(),
            ),
        },
    ]
}

#[test]
fn every_mode_verifies_as_much_as_it_promises() {
    let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
    // Its name must differ from that of what it signs, or that would sign itself.
    parameters.distinguished_name.push(DnType::CommonName, "An authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key")).expect("signs");
    let folder = open_folder();
    let file = folder.join("authorities.pem");
    std::fs::write(&file, authority.pem()).expect("written");
    let control_plane =
        ControlPlane::start_with(&[], &[("SSL_CERT_FILE", file.to_str().expect("a path"))], &folder.join("data"));
    let project = control_plane.project("tls");
    let mut cases = 0;
    for Shown { name, accepted, source } in servers(&authority) {
        source.create("secured", "create table t as select 7 as x");
        for mode in ["disable", "prefer", "require", "verify-ca", "verify-full"] {
            let url = format!("{}?sslmode={mode}", source.url("secured"));
            let ran = project.import(&["--source-url", &url, "--recreate", "--wait"]);
            let good = !mode.starts_with("verify") || accepted.contains(&mode);
            assert_eq!(ran.code == 0, good, "{name}, {mode}: {ran:#?}");
            if !good {
                assert!(ran.stderr.contains("no encrypted connection"), "{name}, {mode}: {ran:#?}");
            }
            cases += 1;
        }
        // What was promised was kept: the server says which sessions were encrypted.
        let plain = source
            .log()
            .lines()
            .filter(|line| line.contains("connection authorized") && line.contains("database=secured"))
            .fold(
                (0, 0),
                |(plain, tls), line| if line.contains("SSL enabled") { (plain, tls + 1) } else { (plain + 1, tls) },
            );
        assert!(plain.0 >= 2, "{name}: `disable` went without, for the look and for the dump: {plain:?}");
        assert!(plain.1 >= 4 + 2 * accepted.len(), "{name}: all others went with TLS: {plain:?}");
    }
    ran_cases("certificates and modes", cases);
}

#[test]
fn prefer_goes_without_where_the_server_wants_no_tls() {
    let source = Source::start(15, &[]);
    source.create("plain_only", "create table t as select 7 as x");
    source.replace_rules("hostnossl all all 127.0.0.1/32 scram-sha-256\n");
    let control_plane = crate::support::fixtures::control_plane();
    let project = control_plane.project("prefers");
    let import = |mode: &str| {
        project.import(&[
            "--source-url",
            &format!("{}?sslmode={mode}", source.url("plain_only")),
            "--recreate",
            "--wait",
        ])
    };
    import("prefer").succeeds();
    import("require").fails(1, "refused the login");
}
