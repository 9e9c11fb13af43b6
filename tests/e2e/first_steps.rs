//! Tests of what a new user tries first: projects, sources without flags, mistakes.

use crate::support::fixtures::ControlPlane;
use crate::support::{Ran, capydb, run};
use std::process::{Command, Stdio};

/// Rows of a small application.
const APP: &str = "create table t (id int primary key, v text);\ninsert into t values (1, 'a'), (2, 'b');\n";

/// A directory with a dump, and a command in it.
struct Here {
    control_plane: ControlPlane,
    dir: tempfile::TempDir,
}

impl Here {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::write(dir.path().join("app.sql"), APP).expect("write the dump");
        Self { control_plane: ControlPlane::ephemeral(), dir }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.control_plane.capydb(arguments);
        command.current_dir(self.dir.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments))
    }
}

#[test]
fn a_project_is_created_shown_and_imported_into_without_flags() {
    let here = Here::new();
    let doctor = here.run(&["doctor"]).succeeds();
    assert!(doctor.stdout.contains("dev (ready)"), "{doctor:#?}");
    let made = here.run(&["projects", "create", "The Shop"]).succeeds();
    for expected in ["the-shop", "ready", "Postgres 17", "capydb import SOURCE --project the-shop"] {
        assert!(made.stdout.contains(expected), "{made:#?}");
    }
    assert!(here.run(&["projects", "show", "the-shop"]).succeeds().stdout.contains("of 10.0 GB"));
    here.run(&["projects", "create", "The Shop"]).fails(5, "already exists");
    let doctor = here.run(&["doctor"]).succeeds();
    assert!(doctor.stdout.contains("2 projects, and this directory is linked to none"), "{doctor:#?}");
    let passed = here.run(&["import", "preflight", "app.sql", "--project", "the-shop"]).succeeds();
    assert!(passed.stdout.ends_with("Passed with 1 warning\n"), "{passed:#?}");
    assert!(!passed.stdout.contains("dump_complete"), "what passed is folded: {passed:#?}");
    let all = here.run(&["import", "preflight", "app.sql", "--project", "the-shop", "-v"]).succeeds();
    assert!(all.stdout.contains("dump_complete"), "{all:#?}");
    here.run(&["import", "app.sql", "--project", "the-shop", "--recreate", "--wait-timeout", "5m"]).succeeds();
    let mut piped = here.command(&["import", "-", "--project", "the-shop", "--recreate", "--wait"]);
    piped.stdin(Stdio::from(std::fs::File::open(here.dir.path().join("app.sql")).expect("open the dump")));
    let output = run(piped).succeeds();
    assert!(output.stdout.contains("Imported into project the-shop"), "{output:#?}");
    // A script continues at once, as before; so does --detach.
    for arguments in [
        &["import", "app.sql", "--project", "dev"][..],
        &["import", "app.sql", "--project", "the-shop", "--recreate", "--detach"],
    ] {
        let started = here.run(&[arguments, &["-o", "json"]].concat()).succeeds().json();
        assert_ne!(started["job"]["state"], "completed", "{started}");
        here.run(&["jobs", "wait", started["job"]["id"].as_str().expect("an id")]).succeeds();
    }
}

#[test]
fn mistakes_are_answered_with_the_right_command() {
    let here = Here::new();
    for (arguments, code, texts) in [
        (&["import", "ap.sql"][..], 4, &["no such file: ap.sql", "did you mean app.sql?"][..]),
        (&["import", "--file", "nofile.dump"], 4, &["no such file: nofile.dump"]),
        (&["import", "preflght"], 2, &["did you mean capydb import preflight?"]),
        (&["import", "https://example.com/app.dump"], 2, &["download the dump first"]),
        (&["import", "--file", "https://example.com/app.dump"], 2, &["download the dump first"]),
        (&["import", "--file", "postgres://u@h/d"], 2, &["use --source-url"]),
        (&["import", "$DATABASE_URL"], 2, &["double quotes"]),
        (&["import", "postgres:canary@127.0.0.1:1/shop"], 2, &["begins with postgres://"]),
        (&["import", "postgresql//u:canary@h/d", "x"], 2, &["begins with postgres://"]),
        (&["import", "preflight", "--file", "postgres:/u:canary@h/d"], 2, &["begins with postgres://"]),
        (&["import", "canary"], 2, &["begins with postgres://"]),
        (&["import", "app:canary@127.0.0.1:1/shop"], 2, &["begins with postgres://"]),
        (&["import", "127.0.0.1:1:shop:app:canary"], 2, &["begins with postgres://"]),
        (&["import", "password: canary"], 2, &["begins with postgres://"]),
        (&["import", "postgres://u:p@127.0.0.1:1/d\nPGPASSWORD=canary"], 2, &["several lines"]),
        (&["import", "postgres://u:p@h/d", "--source-ca", "app:canary@h"], 2, &["begins with postgres://"]),
        (&["import", "guide", "canary"], 4, &["no guide for this provider"]),
        (&["import", "psql -h 127.0.0.1 -p 1 -U u d"], 1, &["127.0.0.1:1 refused the connection"]),
        (&["import", "psql", "postgres://u:canary@127.0.0.1:1/d"], 1, &["127.0.0.1:1 refused the connection"]),
        (&["import", "app.sql", "--via-dump"], 2, &["--via-dump is for a live source"]),
        (&["import", "app.sql", "--file", "app.sql"], 2, &["cannot be used with"]),
        (&["import", "preflight", "app.sql", "--target-version", "99"], 2, &["from 15 to 18"]),
        (&["import", "preflight", "app.sql", "--target-version", "abc"], 2, &["from 15 to 18"]),
        (&["import", "preflight", "app.sql", "--plan-limit", "10"], 2, &["no unit"]),
        (&["import", "guide", "herokuu"], 4, &["did you mean heroku?"]),
        (&["integrations", "connect", "vercel", "app"], 2, &["no token for vercel", "VERCEL_TOKEN"]),
        (&["integrations", "connect", "dotenv", "./foo.txt"], 2, &["must be named .env, .env.NAME or NAME.env"]),
    ] {
        let refused = here.run(arguments);
        for text in texts {
            assert!(refused.stderr.contains(text), "{arguments:?}: {refused:#?}");
        }
        assert_eq!(refused.code, code, "{arguments:?}: {refused:#?}");
        assert!(!format!("{refused:?}").contains("canary"), "{arguments:?}: {refused:#?}");
    }
}

#[test]
fn the_address_of_a_server_means_its_api() {
    let here = Here::new();
    let root = format!("http://{}", here.control_plane.address());
    let mut command = here.command(&["projects", "list"]);
    command.env("CAPYDB_API_URL", &root);
    assert!(run(command).succeeds().stdout.contains("dev"));
    let mut without_tls = here.command(&["projects", "list"]);
    without_tls.env("CAPYDB_API_URL", root.replace("http:", "https:"));
    run(without_tls).fails(1, "if the server has no TLS, use http://");
}

#[test]
fn hints_name_the_control_plane_in_use() {
    let home = tempfile::tempdir().expect("temporary directory");
    let refused = |url: &str| {
        let mut command = capydb(&["projects", "list"]);
        command.env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path()).env("CAPYDB_API_URL", url);
        run(command).fails(3, "no API key").stderr
    };
    assert!(refused("https://capydb.dev/api/capydb").contains("https://capydb.dev/dashboard"));
    let own = refused("https://db.example.com");
    assert!(own.contains("capydb server new-key") && !own.contains("capydb.dev"), "{own}");
    let local = refused("http://127.0.0.1:9");
    assert!(local.contains("capydb dev") && !local.contains("dashboard"), "{local}");
}
