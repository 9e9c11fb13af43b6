//! `capydb import guide`: migration guides for providers.

use super::output::next_steps::next_steps;
use super::output::{Output, report};
use super::{CliError, ErrorKind};
use crate::source::providers::{self, PROVIDERS, Provider};
use crate::util::suggest::nearest;
use serde_json::{Value, json};

/// The commands of a migration.
const COMMANDS: [&str; 3] = [
    "export CAPYDB_SOURCE_URL='postgres://user:password@host:5432/database'",
    "capydb import preflight",
    "capydb import --recreate --wait",
];

/// The commands for a source that only this machine can reach.
const LOCAL_COMMANDS: [&str; 3] =
    [COMMANDS[0], "capydb import preflight --local", "capydb import --via-dump --recreate --wait"];

/// `capydb import guide`.
pub(super) fn run(output: &Output, wanted: Option<&str>) -> Result<(), CliError> {
    let Some(wanted) = wanted else {
        let rows: Vec<(&str, &str)> = PROVIDERS.iter().map(|provider| (provider.id, provider.name)).collect();
        let text = format!("{}\n\nShow a guide with: capydb import guide PROVIDER", report::pairs(&rows));
        output.result(&text, || json!({ "providers": PROVIDERS.iter().map(document).collect::<Vec<_>>() }));
        return Ok(());
    };
    let provider = providers::named(&wanted.to_lowercase()).ok_or_else(|| {
        let known: Vec<&str> = PROVIDERS.iter().map(|provider| provider.id).collect();
        let near = nearest(wanted, known.iter().copied()).map(|near| format!("did you mean {near}? "));
        CliError::new(ErrorKind::NotFound, "no guide for this provider").hint(format!(
            "{}providers: {}",
            near.unwrap_or_default(),
            known.join(", ")
        ))
    })?;
    output.result(&playbook(provider), || json!({ "provider": document(provider) }));
    Ok(())
}

fn commands(provider: &Provider) -> &'static [&'static str; 3] {
    if provider.is_local_only { &LOCAL_COMMANDS } else { &COMMANDS }
}

fn document(provider: &Provider) -> Value {
    let after: Vec<Value> = next_steps(None).iter().map(|(name, step)| json!({ "name": name, "step": step })).collect();
    json!({
        "id": provider.id, "name": provider.name, "connection_string": provider.connection_string_help,
        "caveats": provider.caveats, "commands": commands(provider), "after": after,
    })
}

fn playbook(provider: &Provider) -> String {
    let caveats: Vec<String> = provider.caveats.iter().map(|caveat| format!("  - {caveat}")).collect();
    let commands: Vec<String> = commands(provider).iter().map(|command| format!("  {command}")).collect();
    format!(
        "{}\n\nConnection string\n  {}\n\nCaveats\n{}\n\nImport (stop all writers first)\n{}\n\nNext steps\n{}",
        report::title(provider.name),
        provider.connection_string_help,
        caveats.join("\n"),
        commands.join("\n"),
        report::pairs(&next_steps(None).each_ref().map(|(name, step)| (*name, step.as_str())))
    )
}
