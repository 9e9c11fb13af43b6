//! Reads facts about a source with one read-only query.

use super::connect::Session;
use crate::platforms;
use crate::util::format::bytes;
use crate::wire::{AuthForeignKey, Extension, Replication, SourceFacts};
use anyhow::{Context, bail};
use serde::Deserialize;
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;

/// Timeout for a query.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum length of the facts in bytes: a malicious source may send anything.
const MAX_FACTS: usize = 4 << 20;

/// Reads version, size, extensions, schemas and other facts relevant to an import.
pub async fn inspect(session: &Session) -> anyhow::Result<SourceFacts> {
    let raw: Raw = query_json(session, include_str!("inspect.sql"), MAX_FACTS).await?;
    Ok(raw.into_facts())
}

/// Runs a script that returns one JSON document of at most `max` bytes.
pub(super) async fn query_json<T: serde::de::DeserializeOwned>(
    session: &Session,
    script: &str,
    max: usize,
) -> anyhow::Result<T> {
    let answer = tokio::time::timeout(TIMEOUT, session.client.simple_query(script))
        .await
        .with_context(|| format!("the source did not respond within {} seconds", TIMEOUT.as_secs()))?
        .map_err(|error| match error.as_db_error() {
            Some(db) => anyhow::anyhow!("cannot query the source: {}", session.shown(db.message())),
            None => {
                anyhow::anyhow!(
                    "the connection to the source was lost: {}",
                    session.shown(&crate::util::error::chain(&error))
                )
            }
        })?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let text = row.context("the source returned no rows")?;
    if text.len() > max {
        bail!(
            "the source returned {} of metadata, more than the limit of {}",
            bytes(text.len() as u64),
            bytes(max as u64)
        );
    }
    // The parser's error would quote the input.
    serde_json::from_str(text).map_err(|_| anyhow::anyhow!("the source returned invalid metadata"))
}

#[derive(Deserialize)]
struct Raw {
    server_version: String,
    database_size_bytes: u64,
    extensions: Vec<Extension>,
    schemas: Vec<String>,
    roles: Vec<String>,
    setting_prefixes: Vec<String>,
    event_triggers: Vec<String>,
    auth_fks: Vec<AuthForeignKey>,
    auth_policy_tables: Vec<String>,
    wal_level: String,
    max_replication_slots: i64,
    used_replication_slots: i64,
    max_wal_senders: i64,
    role_can_replicate: bool,
}

impl Raw {
    fn into_facts(self) -> SourceFacts {
        fn texts(names: &[String]) -> Vec<&str> {
            names.iter().map(String::as_str).collect()
        }
        let known = platforms::of_server(&texts(&self.roles), &texts(&self.schemas), &texts(&self.setting_prefixes));
        let provider = known.as_ref().map(|(platform, _)| platform.id.to_owned());
        // Names such as `auth` belong to a platform only if the provider is known.
        let on_platform =
            |schema: &String| known.as_ref().is_some_and(|(platform, _)| platform.schemas.contains(&schema.as_str()));
        let (provider_schemas, app_schemas): (Vec<_>, Vec<_>) = self.schemas.into_iter().partition(on_platform);
        let supabase = provider.as_deref() == Some("supabase");
        let mut blockers = Vec::new();
        if self.wal_level != "logical" {
            blockers.push(format!("wal_level is {}, not logical", self.wal_level));
        }
        if self.used_replication_slots >= self.max_replication_slots {
            blockers.push(format!("all {} replication slots are in use", self.max_replication_slots));
        }
        if !self.role_can_replicate {
            blockers.push("the role does not have the REPLICATION attribute".to_owned());
        }
        SourceFacts {
            server_version: self.server_version,
            database_size_bytes: self.database_size_bytes,
            extensions: self.extensions,
            app_schemas,
            provider,
            provider_signals: known.map(|(_, signs)| signs).unwrap_or_default(),
            provider_schemas,
            provider_auth_fks: if supabase { self.auth_fks } else { Vec::new() },
            provider_auth_policy_tables: if supabase { self.auth_policy_tables } else { Vec::new() },
            event_triggers: self.event_triggers,
            replication: Some(Replication {
                ready: blockers.is_empty(),
                wal_level: self.wal_level,
                max_replication_slots: self.max_replication_slots,
                used_replication_slots: self.used_replication_slots,
                max_wal_senders: self.max_wal_senders,
                role_can_replicate: self.role_can_replicate,
                blockers,
            }),
            dump: None,
        }
    }
}
