//! Tests help, completions, error texts, documentation, and the dependencies between modules.

#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use support::{capydb, run};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `completions/` contains the output of `capydb completion`. Update it with `make completions`.
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
        let generated = run(capydb(&["completion", shell])).succeeds().stdout;
        let committed = fs::read_to_string(root().join("completions").join(file)).unwrap_or_default();
        assert!(generated == committed, "completions/{file} is out of date: run make completions");
    }
}

/// One snapshot per command.
#[cfg(feature = "server")]
#[test]
fn help_matches_the_snapshots() {
    let mut commands = Vec::new();
    collect_commands(&capydb::cli::command_line(), &[], &mut commands);
    assert!(commands.len() > 30, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let help = run(capydb(&[words.as_slice(), &["--help"]].concat())).succeeds().stdout;
        let name = if words.is_empty() { "capydb".to_owned() } else { words.join("_") };
        insta::with_settings!({ snapshot_path => "snapshots/help", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, help);
        });
    }
}

#[cfg(feature = "server")]
fn collect_commands(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
    found.push(path.to_vec());
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        collect_commands(subcommand, &[path, &[subcommand.get_name().to_owned()]].concat(), found);
    }
}

#[test]
fn the_version_is_printed() {
    assert_eq!(run(capydb(&["--version"])).succeeds().stdout, format!("capydb {}\n", env!("CARGO_PKG_VERSION")));
}

/// Each module, and the other modules that it may use through `crate::` or `super::` paths.
const LAYERS: [(&str, &[&str]); 9] = [
    ("cli", &["client", "config", "dump", "preflight", "source", "util", "wire"]),
    ("server", &["preflight", "source", "dump", "util", "wire"]),
    ("client", &["config", "util", "wire"]),
    ("preflight", &["source", "dump", "platforms", "util", "wire"]),
    ("source", &["platforms", "util", "wire"]),
    ("dump", &["platforms", "util", "wire"]),
    ("config", &["util", "wire"]),
    ("wire", &["util"]),
    ("util", &[]),
];

/// The modules of `server`. `state` is the core that the others share.
const SERVER_LAYERS: [(&str, &[&str]); 16] = [
    (
        "dev",
        &[
            "supervisor",
            "api",
            "jobs",
            "state",
            "wakeups",
            "outbound",
            "egress",
            "metrics",
            "objects",
            "target",
            "metadata",
            "postgres",
            "crypto",
        ],
    ),
    (
        "service",
        &[
            "supervisor",
            "api",
            "jobs",
            "state",
            "wakeups",
            "outbound",
            "egress",
            "metrics",
            "objects",
            "target",
            "metadata",
            "postgres",
            "crypto",
        ],
    ),
    ("supervisor", &["api", "jobs", "outbound", "state", "postgres"]),
    ("api", &["state", "wakeups", "outbound", "egress", "metrics", "objects", "target", "metadata", "crypto"]),
    ("jobs", &["import", "state", "wakeups", "metrics", "objects", "target", "metadata", "postgres"]),
    ("outbound", &["state", "wakeups", "egress", "metadata", "crypto"]),
    ("state", &["outbound", "wakeups", "metrics", "objects", "target", "metadata", "crypto"]),
    ("import", &["objects", "target", "metadata", "postgres", "crypto"]),
    ("metrics", &["metadata"]),
    ("objects", &["egress", "metadata", "postgres", "crypto"]),
    ("target", &["metadata", "postgres"]),
    ("metadata", &["postgres", "crypto"]),
    ("postgres", &[]),
    ("wakeups", &[]),
    ("egress", &[]),
    ("crypto", &[]),
];

/// The modules of `cli`.
const CLI_LAYERS: [(&str, &[&str]); 23] = [
    ("account", &["context", "output", "error"]),
    ("args", &["output"]),
    ("completion", &["args", "context", "output"]),
    ("config_show", &["context", "output", "error"]),
    ("context", &["args", "output", "prompt", "error"]),
    ("dev", &["args", "output", "signals", "error"]),
    ("doctor", &["context", "output", "error"]),
    ("dump", &["args", "context", "output", "source", "error"]),
    ("error", &[]),
    ("guide", &["output", "error"]),
    ("import", &["args", "context", "dump", "jobs", "output", "prompt", "signals", "source", "via_dump", "error"]),
    ("integrations", &["args", "context", "output", "prompt", "signals", "error"]),
    ("jobs", &["context", "output", "signals", "error"]),
    ("man", &["output", "error"]),
    ("output", &["error"]),
    ("preflight", &["args", "context", "dump", "output", "source", "via_dump", "error"]),
    ("projects", &["context", "jobs", "output", "error"]),
    ("prompt", &["output", "signals", "error"]),
    ("server", &["args", "context", "output", "prompt", "signals", "error"]),
    ("signals", &[]),
    ("source", &["args", "context", "output", "prompt", "error"]),
    ("via_dump", &["context", "dump", "output", "error"]),
    ("webhooks", &["args", "context", "output", "signals", "error"]),
];

#[test]
fn modules_use_only_lower_layers() {
    let mut used: BTreeMap<&str, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for file in files(&root().join("src")) {
        let module = module_of(&file);
        // Only the two commands that run a control plane may use `server` from the CLI.
        let runs_server = ["cli/dev.rs", "cli/server.rs", "cli/args/server.rs"].iter().any(|name| file.ends_with(name));
        let text = fs::read_to_string(&file).expect("read file");
        let (code, tests) = text.split_once("\nmod tests {").unwrap_or((&text, ""));
        let inside_tests = [module.as_slice(), &["tests".to_owned()]].concat();
        for path in paths(code, &module).into_iter().chain(paths(tests, &inside_tests)) {
            let (from, to) = (module.first().map_or("", String::as_str), path[0].as_str());
            if from != to && !from.is_empty() && !(runs_server && to == "server") {
                used.entry("").or_default().entry(from.to_owned()).or_default().insert(to.to_owned());
            }
            let inside = ["server", "cli"].into_iter().find(|name| *name == from && *name == to);
            if let (Some(inside), Some(part), Some(other)) = (inside, module.get(1), path.get(1))
                && part != other
                && root().join("src").join(inside).join(other).with_extension("rs").is_file()
                    | root().join("src").join(inside).join(other).is_dir()
            {
                used.entry(inside).or_default().entry(part.clone()).or_default().insert(other.clone());
            }
        }
    }
    check_layers("src", &LAYERS, &used[""]);
    check_layers("src/server", &SERVER_LAYERS, &used["server"]);
    check_layers("src/cli", &CLI_LAYERS, &used["cli"]);
}

fn check_layers(dir: &str, allowed: &[(&str, &[&str])], used: &BTreeMap<String, BTreeSet<String>>) {
    let allowed: BTreeMap<&str, &[&str]> = allowed.iter().copied().collect();
    for (module, others) in used {
        let permitted = allowed.get(module.as_str()).copied().unwrap_or_default();
        for other in others {
            assert!(permitted.contains(&other.as_str()), "in {dir}, {module} must not use {other}");
        }
    }
}

/// `src/server/api/mod.rs` is the module `server::api`.
fn module_of(file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(root().join("src")).expect("file below src").with_extension("");
    let mut parts: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// All paths that begin with `crate` or `super`, resolved from the crate root.
fn paths(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            for path in expand(&code[at..]) {
                let supers = path.iter().take_while(|part| *part == "super").count();
                let base = if path[0] == "crate" { &[][..] } else { &module[..module.len().saturating_sub(supers)] };
                let rest = &path[supers.max(1)..];
                let full: Vec<String> = base.iter().chain(rest).cloned().collect();
                if !full.is_empty() {
                    found.push(full);
                }
            }
        }
    }
    found
}

/// The paths at the start of a text; `a::{b, c::d}` gives two.
fn expand(text: &str) -> Vec<Vec<String>> {
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if length > 0 {
            path.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
        match rest.strip_prefix("::") {
            Some(more) if more.starts_with('{') => {
                return group_items(&more[1..])
                    .into_iter()
                    .flat_map(expand)
                    .map(|suffix| path.iter().cloned().chain(suffix).collect())
                    .collect();
            }
            Some(more) => rest = more,
            None => return if path.is_empty() { Vec::new() } else { vec![path] },
        }
    }
}

/// The items of a brace group, up to its closing brace.
fn group_items(text: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(text[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}

#[test]
fn paths_in_groups_are_expanded() {
    let module = ["server", "import", "restore"].map(str::to_owned);
    let found = paths(
        "use super::{plan::Plan, error::{Failure, catalog::X}}; // crate::no\nfn f() { crate::util::f() }",
        &module,
    );
    let joined: BTreeSet<String> = found.iter().map(|path| path.join("::")).collect();
    let expected = [
        "server::import::plan::Plan",
        "server::import::error::Failure",
        "server::import::error::catalog::X",
        "util::f",
    ];
    assert_eq!(joined, expected.map(str::to_owned).into());
}

/// The Rust files in a directory and its subdirectories.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("list directory").flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension() == Some("rs".as_ref()))
        .collect()
}

/// Only the CLI prints.
#[test]
fn only_the_cli_prints() {
    for module in ["client", "server", "preflight", "source", "dump", "config", "util", "wire"] {
        for file in files(&root().join("src").join(module)) {
            let text = fs::read_to_string(&file).expect("read file");
            for word in ["println!", "eprint!", "indicatif", "console::"] {
                assert!(!text.contains(word), "{} has {word}", file.display());
            }
        }
    }
}

/// The first line of every source file describes it.
#[test]
fn every_file_begins_with_a_doc_comment() {
    for dir in ["src", "tests"] {
        for file in files(&root().join(dir)) {
            let text = fs::read_to_string(&file).expect("read file");
            assert!(text.starts_with("//! "), "{} does not begin with a //! line", file.display());
        }
    }
}

/// The words of the documentation that match a pattern, by file.
fn documented(pattern: fn(&str) -> bool) -> BTreeMap<String, BTreeSet<String>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(root().join("docs")).expect("list directory").flatten().map(|entry| entry.path()).collect();
    files.push(root().join("README.md"));
    files.retain(|file| file.extension() == Some("md".as_ref()));
    let words = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("read file");
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| pattern(word));
        let name = file.file_name().expect("file name").to_string_lossy().into_owned();
        (name, words.map(str::to_owned).collect())
    };
    files.iter().map(words).collect()
}

/// Every environment variable that the program reads is documented, and the reverse.
#[test]
fn environment_variables_are_documented() {
    fn is_variable(word: &str) -> bool {
        word.starts_with("CAPYDB_")
            && word.len() > 7
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    }
    let documented: BTreeSet<String> = documented(is_variable).into_values().flatten().collect();
    let mut read = BTreeSet::new();
    for file in files(&root().join("src")) {
        let text = fs::read_to_string(&file).expect("read file");
        let quoted = text.split('"').filter(|part| is_variable(part));
        read.extend(quoted.map(str::to_owned));
    }
    read.remove("CAPYDB_COMPLETE"); // internal: set by the completion scripts
    let for_tests: BTreeSet<String> =
        ["CAPYDB_ALLOW_SKIP", "CAPYDB_FLEET", "CAPYDB_KILLS", "CAPYDB_SEED", "CAPYDB_WILD"].map(str::to_owned).into();
    let missing: Vec<_> = read.difference(&documented).collect();
    assert!(missing.is_empty(), "not documented in README.md or docs/: {missing:?}");
    let unknown: Vec<_> =
        documented.iter().filter(|name| !read.contains(*name) && !for_tests.contains(*name)).collect();
    assert!(unknown.is_empty(), "documented but never read: {unknown:?}");
}

/// `docs/checks.md` lists exactly the checks that exist.
#[test]
fn checks_are_documented() {
    use capydb::preflight::{ALLOWED_EXTENSIONS, ImportMode, Limits, TargetFacts, grade_dump, grade_source};
    use capydb::source::risks::SourceRisks;
    let limits = Limits {
        storage_limit_bytes: 0,
        target_version: "17".into(),
        extensions: ALLOWED_EXTENSIONS.map(str::to_owned).to_vec(),
    };
    let live =
        grade_source(capydb::wire::SourceFacts::default(), &SourceRisks::default(), &limits, &TargetFacts::default());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documented.sql");
    fs::write(&file, "CREATE TABLE t (x int);\n").expect("write dump");
    let dump = capydb::dump::detect::open(&file).expect("open dump");
    let contents = capydb::dump::read(&dump, &capydb::util::byte_counter::ByteCounter::default()).expect("read dump");
    let dump = grade_dump(&dump, &contents, &limits, &ImportMode::default());
    let mut checks: BTreeSet<String> = live.checks.into_iter().chain(dump.checks).map(|check| check.name).collect();
    checks.extend(["dump_readable", "pg_dump_available"].map(str::to_owned)); // not part of every report
    let text = fs::read_to_string(root().join("docs/checks.md")).expect("reads");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(documented, checks);
}

/// The table of exit codes in `docs/cli.md` matches the program.
#[test]
fn exit_codes_are_documented() {
    use capydb::cli::ErrorKind;
    let kinds = [
        ErrorKind::Error,
        ErrorKind::Usage,
        ErrorKind::Auth,
        ErrorKind::NotFound,
        ErrorKind::Conflict,
        ErrorKind::Timeout,
        ErrorKind::Interrupted,
    ];
    let text = fs::read_to_string(root().join("docs/cli.md")).expect("reads");
    let rows: BTreeMap<u8, &str> = text
        .lines()
        .filter_map(|line| {
            let (code, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
            Some((code.trim_matches('`').parse().ok()?, rest))
        })
        .collect();
    for kind in kinds {
        let row =
            rows.get(&kind.exit_code()).unwrap_or_else(|| panic!("exit code {} is not documented", kind.exit_code()));
        assert!(row.contains(&format!("`{}`", kind.code())), "{}: {row}", kind.exit_code());
    }
    assert_eq!(rows.len(), kinds.len() + 1, "0 and one row per error kind: {rows:?}");
}

/// Error output of commands that fail without a server.
#[test]
fn command_errors_match_the_snapshot() {
    let dir = tempfile::tempdir().expect("create directory");
    for (name, text) in [
        ("empty.dump", ""),
        ("mysql.sql", "-- MySQL dump 10.13\n"),
        ("diary.txt", "hello, this is my diary"),
        ("cut.sql", "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE t (x int);\n"),
        (
            "roles.sql",
            "CREATE TABLE t (x int);\nALTER TABLE t OWNER TO bob;\nCREATE ROLE bob;\nCOPY t FROM PROGRAM 'id';\n",
        ),
    ] {
        fs::write(dir.path().join(name), text).expect("write file");
    }
    let url = "postgres://u:secret@h/d";
    let commands: [&[&str]; 24] = [
        &["import", "--file", "missing.dump"],
        &["import", "preflight", "--file", "empty.dump"],
        &["import", "preflight", "--file", "mysql.sql"],
        &["import", "preflight", "--file", "diary.txt"],
        &["import", "preflight", "--plan-limit", "1GB", "--file", "cut.sql"],
        &["import", "preflight", "--plan-limit", "1GB", "--file", "roles.sql"],
        &["import", "preflight", "--plan-limit", "0", "--file", "roles.sql"],
        &["import"],
        &["import", "--source-url", "mysql://u:secret@h/d"],
        &["import", "--source-url", "prisma+postgres://accelerate.prisma-data.net/?api_key=secret"],
        &["import", "--source-url", "postgres://u:secret@h"],
        &["import", "--source-url", "postgres://h/d"],
        &["import", "--source-url", "postgres://u:p#secret@h/d"],
        &["import", "--source-url", "postgres://u:secret@h,i/d"],
        &["import", "--source-url", "postgres://u:secret@h/d?sslmode=on"],
        &["import", "--source-url", "postgres://u:secret@h/d?sslcert=x"],
        &["import", "--source-url", "postgres://u:secret@db.railway.internal/d"],
        &["import", "--file", "cut.sql", "--via-dump"],
        &["import", "--source-url", url, "--stall-timeout", "1ms"],
        &["import", "--source-url", url, "--limit-rate", "fast"],
        &["import", "guide", "oracle"],
        &["jobs", "get", "1", "--api-key", "capy_live_x", "--api-url", "http://127.0.0.1:9/api/capydb"],
        &["jobs", "get", "1"],
        &["jobs", "get", "1", "--api-url", "not a url"],
    ];
    let mut texts = Vec::new();
    for words in commands {
        let mut command = capydb(words);
        command.current_dir(dir.path());
        let ran = run(command);
        assert!(!ran.stderr.contains("secret"), "{ran:#?}");
        texts.push(format!("$ capydb {}\n{}exit code {}\n", words.join(" "), ran.stderr, ran.code));
    }
    insta::assert_snapshot!(texts.join("\n"));
}

/// Texts of connection errors, which need a server or a network to occur.
#[test]
fn connection_errors_match_the_snapshot() {
    use capydb::source::connect::ConnectError;
    let address = || "db.example.com:5432".to_owned();
    let message = || "the server's message".to_owned();
    let texts = [
        ConnectError::Private("db.internal is an internal host name".into()),
        ConnectError::UnknownHost("db.example.com".into()),
        ConnectError::Refused(address()),
        ConnectError::TimedOut(address(), 10),
        ConnectError::Login(address(), message()),
        ConnectError::Rejected(address(), message()),
        ConnectError::Database(address(), message()),
        ConnectError::Tls(address(), message()),
        ConnectError::Other(address(), message()),
    ]
    .map(|error| error.to_string());
    insta::assert_snapshot!(texts.join("\n"));
}
