//! What is generated or promised: help, completions, and the direction of dependencies.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use support::{capydb, run};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `completions/` holds what `capydb completion` prints. Mend it with `make completions`.
#[cfg(feature = "server")]
#[test]
fn the_committed_completions_are_current() {
    for (shell, file) in [
        ("bash", "capydb.bash"),
        ("zsh", "_capydb"),
        ("fish", "capydb.fish"),
        ("powershell", "_capydb.ps1"),
        ("elvish", "capydb.elv"),
    ] {
        let printed = run(capydb(&["completion", shell])).succeeds().stdout;
        let committed = fs::read_to_string(root().join("completions").join(file)).unwrap_or_default();
        assert!(printed == committed, "completions/{file} is out of date: run make completions");
    }
}

#[cfg(feature = "server")]
#[test]
fn help_reads_well() {
    let mut texts = Vec::new();
    for command in [
        &[][..],
        &["import"],
        &["import", "preflight"],
        &["jobs"],
        &["jobs", "list"],
        &["projects"],
        &["dev"],
        &["completion"],
        &["import", "guide"],
        &["webhooks"],
        &["webhooks", "create"],
        &["webhooks", "update"],
        &["webhooks", "deliveries"],
        &["integrations"],
        &["integrations", "connect"],
        &["integrations", "connect", "vercel"],
        &["integrations", "connect", "dotenv"],
        &["server"],
        &["server", "new-key"],
        &["login"],
        &["logout"],
        &["whoami"],
        &["link"],
        &["unlink"],
        &["config"],
        &["config", "show"],
        &["doctor"],
        &["man"],
    ] {
        let help = run(capydb(&[command, &["--help"]].concat())).succeeds().stdout;
        texts.push(format!("$ capydb {} --help\n{help}", command.join(" ")));
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn the_version_is_printed() {
    assert_eq!(run(capydb(&["--version"])).succeeds().stdout, format!("capydb {}\n", env!("CARGO_PKG_VERSION")));
}

/// Which rooms a room may use (the map in src/lib.rs).
#[test]
fn dependencies_point_down() {
    let allowed: [(&str, &[&str]); 8] = [
        ("cli", &["cli", "client", "config", "dump", "preflight", "source", "text", "wire"]),
        ("server", &["server", "preflight", "source", "dump", "text", "wire"]),
        ("client", &["client", "config", "identity", "text", "wire"]),
        ("preflight", &["preflight", "source", "dump", "platforms", "text", "wire"]),
        ("source", &["source", "platforms", "text", "wire"]),
        ("dump", &["dump", "identity", "platforms", "text", "wire"]),
        ("config", &["config", "text", "wire"]),
        ("wire", &["wire"]),
    ];
    for (room, rooms) in allowed {
        let mut rooms = rooms.to_vec();
        for file in files(&root().join("src").join(room)) {
            let text = fs::read_to_string(&file).expect("reads");
            if ["cli/dev.rs", "cli/server.rs", "cli/args/server.rs"].iter().any(|name| file.ends_with(name)) {
                rooms.push("server");
            }
            for (at, _) in text.match_indices("crate::") {
                let name: String = text[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                assert!(rooms.contains(&name.as_str()), "{} uses {name}", file.display());
            }
            rooms.retain(|name| *name != "server" || room == "server");
        }
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("lists").flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension() == Some("rs".as_ref()))
        .collect()
}

/// Only the output room prints.
#[test]
fn engines_never_print() {
    for room in ["client", "server", "preflight", "source", "dump", "config", "wire"] {
        for file in files(&root().join("src").join(room)) {
            let text = fs::read_to_string(&file).expect("reads");
            for word in ["println!", "eprint!", "indicatif", "console::"] {
                assert!(!text.contains(word), "{} has {word}", file.display());
            }
        }
    }
}
