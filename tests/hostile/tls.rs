//! `sslmode` against servers with valid and invalid certificates: for our driver, which inspects the source,
//! and for pg_dump, which copies it.

use crate::report_cases;
use crate::support::fixtures::{ControlPlane, Source, test_dir};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// A server and its certificate. The control plane trusts one authority and connects to 127.0.0.1.
struct TlsServer {
    name: &'static str,
    /// The verifying modes that accept the certificate.
    accepted: &'static [&'static str],
    source: Source,
}

fn servers(authority: &CertifiedIssuer<'_, KeyPair>) -> Vec<TlsServer> {
    let signed = |names: &[&str], expired: bool| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).expect("valid names");
        if expired {
            parameters.not_before = rcgen::date_time_ymd(2019, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().expect("generate a key");
        let cert = parameters.signed_by(&key, authority).expect("sign");
        Source::start_with(15, &["log_connections=on"], &cert.pem(), &key.serialize_pem())
    };
    let self_signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("generate a certificate");
    vec![
        TlsServer { name: "valid", accepted: &["verify-ca", "verify-full"], source: signed(&["127.0.0.1"], false) },
        TlsServer { name: "wrong name", accepted: &["verify-ca"], source: signed(&["db.example.com"], false) },
        TlsServer { name: "expired", accepted: &[], source: signed(&["127.0.0.1"], true) },
        TlsServer {
            name: "self-signed",
            accepted: &[],
            source: Source::start_with(
                15,
                &["log_connections=on"],
                &self_signed.cert.pem(),
                &self_signed.signing_key.serialize_pem(),
            ),
        },
    ]
}

#[test]
fn every_sslmode_verifies_the_certificate_as_documented() {
    let mut parameters = CertificateParams::new(Vec::new()).expect("empty list of names");
    // With equal names, a signed certificate would count as self-signed.
    parameters.distinguished_name.push(DnType::CommonName, "An authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("generate a key")).expect("sign");
    let dir = test_dir();
    let file = dir.join("authorities.pem");
    std::fs::write(&file, authority.pem()).expect("write the authority's certificate");
    let control_plane =
        ControlPlane::start_with(&[], &[("SSL_CERT_FILE", file.to_str().expect("UTF-8 path"))], &dir.join("data"));
    let project = control_plane.project("tls");
    let mut cases = 0;
    for TlsServer { name, accepted, source } in servers(&authority) {
        source.create("secured", "create table t as select 7 as x");
        for mode in ["disable", "prefer", "require", "verify-ca", "verify-full"] {
            let url = format!("{}?sslmode={mode}", source.url("secured"));
            let ran = project.import(&["--source-url", &url, "--recreate", "--wait"]);
            let should_succeed = !mode.starts_with("verify") || accepted.contains(&mode);
            assert_eq!(ran.code == 0, should_succeed, "{name}, {mode}: {ran:#?}");
            if !should_succeed {
                assert!(ran.stderr.contains("no encrypted connection"), "{name}, {mode}: {ran:#?}");
            }
            cases += 1;
        }
        // The server log shows which sessions were encrypted.
        let (plain, encrypted) =
            source
                .log()
                .lines()
                .filter(|line| line.contains("connection authorized") && line.contains("database=secured"))
                .fold((0, 0), |(plain, encrypted), line| {
                    if line.contains("SSL enabled") { (plain, encrypted + 1) } else { (plain + 1, encrypted) }
                });
        assert!(plain >= 2, "{name}: `disable` connects without TLS for the inspection and the dump: {plain}");
        assert!(encrypted >= 4 + 2 * accepted.len(), "{name}: all other modes connect with TLS: {encrypted}");
    }
    report_cases("certificates and modes", cases);
}

#[test]
fn prefer_falls_back_to_plaintext_when_the_server_rejects_tls() {
    let source = Source::start(15, &[]);
    source.create("plain_only", "create table t as select 7 as x");
    source.set_hba_rules("hostnossl all all 127.0.0.1/32 scram-sha-256\n");
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

#[test]
fn an_authority_of_the_source_is_given_with_the_request() {
    let mut parameters = CertificateParams::new(Vec::new()).expect("empty list of names");
    parameters.distinguished_name.push(DnType::CommonName, "A provider");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("generate a key")).expect("sign");
    let key = KeyPair::generate().expect("generate a key");
    let names = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a valid name");
    let cert = names.signed_by(&key, &authority).expect("sign");
    let source = Source::start_with(15, &[], &cert.pem(), &key.serialize_pem());
    let url = source.create("app", "create table t (id int); insert into t values (1)");
    let dir = test_dir();
    let file = dir.join("provider.pem");
    std::fs::write(&file, authority.pem()).expect("write the authority's certificate");
    let file = file.to_str().expect("UTF-8 path");
    let control_plane = ControlPlane::start_with(&[], &[], &dir.join("data"));
    let project = control_plane.project("authority");
    let full = format!("{url}?sslmode=verify-full");
    project.import(&["--source-url", &full, "--recreate", "--wait"]).fails(1, "no encrypted connection");
    let output = project.import(&["--source-url", &full, "--source-ca", file, "--recreate", "--wait"]).succeeds();
    assert_eq!(project.sql("select count(*) from t"), "1", "{output:#?}");
    // Without sslmode, the certificate is verified; a given authority is never ignored.
    let output = control_plane
        .run(&["import", "preflight", "--project", "authority", "--source-url", &url, "--source-ca", file])
        .succeeds();
    assert!(output.stderr.contains("added sslmode=verify-full"), "{output:#?}");
    control_plane
        .run(&["import", "preflight", "--project", "authority", "--local", "--source-url", &url, "--source-ca", file])
        .succeeds();
    let other = dir.join("other.pem");
    let self_signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("generate a certificate");
    std::fs::write(&other, self_signed.cert.pem()).expect("write file");
    let other = other.to_str().expect("UTF-8 path");
    let required = format!("{url}?sslmode=require");
    for place in [&["--local"][..], &[]] {
        let arguments =
            ["import", "preflight", "--project", "authority", "--source-url", &required, "--source-ca", other];
        control_plane.run(&[&arguments[..], place].concat()).fails(1, "no encrypted connection");
    }
    std::fs::write(other, "no certificate").expect("write file");
    let arguments = ["import", "preflight", "--project", "authority", "--source-url", &url, "--source-ca", other];
    control_plane.run(&arguments).fails(2, "no valid certificate in PEM format");
    let arguments =
        ["import", "preflight", "--project", "authority", "--source-url", &format!("{url}?sslrootcert=/tmp/ca.pem")];
    control_plane.run(&arguments).fails(2, "--source-ca FILE");
}
