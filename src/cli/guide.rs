use super::output::{Output, report};
use super::{CliError, ErrorKind};
use crate::source::providers::{self, PROVIDERS, Provider};
use serde_json::{Value, json};

/// The commands of every move.
const COMMANDS: [&str; 3] = [
    "export CAPYDB_SOURCE_URL='postgres://user:password@host:5432/database'",
    "capydb import preflight",
    "capydb import --recreate --wait",
];

/// The same for a source that only this machine can reach.
const COMMANDS_HERE: [&str; 3] =
    [COMMANDS[0], "capydb import preflight --local", "capydb import --via-dump --recreate --wait"];

/// What to do after every move.
const AFTER: [(&str, &str); 4] = [
    ("env cutover", "point the application at the new database: capydb projects url"),
    ("sequences", "compare with the source: select * from pg_sequences"),
    ("extensions", "compare with the source: \\dx in psql"),
    ("statistics", "ANALYZE"),
];

/// `capydb import guide`.
pub(super) fn run(output: &Output, wanted: Option<&str>) -> Result<(), CliError> {
    let Some(wanted) = wanted else {
        let rows: Vec<(&str, &str)> = PROVIDERS.iter().map(|provider| (provider.id, provider.name)).collect();
        let text = format!("{}\n\nOne of them: capydb import guide PROVIDER", report::pairs(&rows));
        output.result(&text, || json!({ "providers": PROVIDERS.iter().map(document).collect::<Vec<_>>() }));
        return Ok(());
    };
    let provider = providers::named(&wanted.to_lowercase()).ok_or_else(|| {
        let known: Vec<&str> = PROVIDERS.iter().map(|provider| provider.id).collect();
        CliError::new(ErrorKind::NotFound, format!("there is no guide for {wanted}"))
            .hint(format!("there are: {}", known.join(", ")))
    })?;
    output.result(&playbook(provider), || json!({ "provider": document(provider) }));
    Ok(())
}

fn commands(provider: &Provider) -> &'static [&'static str; 3] {
    if provider.is_local_only { &COMMANDS_HERE } else { &COMMANDS }
}

fn document(provider: &Provider) -> Value {
    let after: Vec<Value> = AFTER.iter().map(|(name, step)| json!({ "name": name, "step": step })).collect();
    json!({
        "id": provider.id, "name": provider.name, "connection_string": provider.string,
        "caveats": provider.caveats, "commands": commands(provider), "after": after,
    })
}

fn playbook(provider: &Provider) -> String {
    let caveats: Vec<String> = provider.caveats.iter().map(|caveat| format!("  - {caveat}")).collect();
    let commands: Vec<String> = commands(provider).iter().map(|command| format!("  {command}")).collect();
    format!(
        "{}\n\nThe connection string\n  {}\n\nWhat bites\n{}\n\nThe move: stop the writers, then\n{}\n\nAfterwards\n{}",
        report::title(provider.name),
        provider.string,
        caveats.join("\n"),
        commands.join("\n"),
        report::pairs(&AFTER)
    )
}
