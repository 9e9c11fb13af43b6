//! How the databases of the target server sort text.

use super::TargetServer;
use crate::preflight::TargetFacts;
use crate::source::risks::{Collation, NAMES, SourceRisks};
use postgres_protocol::escape::escape_literal;

impl TargetServer {
    /// What grading a source needs to know about a project's database.
    pub(in crate::server) async fn facts(
        &self,
        database: &str,
        risks: &SourceRisks,
        recreate: Option<bool>,
        allow_empty: bool,
    ) -> anyhow::Result<TargetFacts> {
        Ok(TargetFacts {
            recreate,
            allow_empty,
            from_dump: false,
            has_tables: self.measure(database).await?.tables > 0,
            names: Some(if recreate == Some(true) { Vec::new() } else { self.names(database).await? }),
            collation: Some(self.collation(database).await?),
            can_sort_like_source: self.options_to_sort_like(&risks.collation).await?.is_some(),
        })
    }

    /// Kinds and names of a database's objects.
    async fn names(&self, database: &str) -> anyhow::Result<Vec<String>> {
        let row = self.session(database).await?.query_one(NAMES, &[]).await?;
        Ok(serde_json::from_str(row.get(0))?)
    }

    async fn collation(&self, database: &str) -> anyhow::Result<Collation> {
        let sql = "select pg_encoding_to_char(encoding)::text, coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
                          datcollate::text, datctype::text,
                          coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
                          to_jsonb(d) ->> 'daticurules'
                   from pg_database d where datname = $1";
        let row = self.session("postgres").await?.query_one(sql, &[&database]).await?;
        let [encoding, provider, collate, ctype] = [0, 1, 2, 3].map(|column| row.get(column));
        Ok(Collation { encoding, provider, collate, ctype, locale: row.get(4), rules: row.get(5) })
    }

    /// Options of `CREATE DATABASE` for a database that sorts text like another one; `None` if this server
    /// has no such locale.
    pub(in crate::server) async fn options_to_sort_like(&self, source: &Collation) -> anyhow::Result<Option<String>> {
        let session = self.session("postgres").await?;
        let locale = source.locale.as_deref().unwrap_or_default();
        Ok(match source.provider.as_str() {
            "i" if self.major >= 16 || (self.major == 15 && source.rules.is_none()) => {
                let sql = "select from pg_collation where collprovider = 'i' limit 1";
                let has_icu = session.query_opt(sql, &[]).await?.is_some();
                let rules = source.rules.as_deref().map(|rules| format!(" icu_rules {}", escape_literal(rules)));
                has_icu.then(|| {
                    format!("locale_provider icu icu_locale {}{}", escape_literal(locale), rules.unwrap_or_default())
                })
            }
            "b" if self.major >= 17 && ["C", "C.UTF-8"].contains(&locale) => {
                Some(format!("locale_provider builtin builtin_locale {}", escape_literal(locale)))
            }
            "c" => {
                // Operating systems write the same locale differently.
                let sql = "select wanted.name, coalesce(
                               (select collcollate::text from pg_collation
                                where collprovider = 'c' and collencoding in (-1, 6)
                                  and lower(replace(collcollate, '-', '')) = lower(replace(wanted.name, '-', '')) limit 1),
                               case when wanted.name in ('C', 'POSIX') then wanted.name end)
                           from unnest($1::text[]) with ordinality wanted (name, number) order by wanted.number";
                let rows = session.query(sql, &[&[&source.collate, &source.ctype].as_slice()]).await?;
                let found: Option<Vec<String>> = rows.iter().map(|row| row.get(1)).collect();
                let provider = if self.major >= 15 { "locale_provider libc " } else { "" };
                found.filter(|names| names.len() == 2).map(|names| {
                    let [collate, ctype] = [0, 1].map(|at| escape_literal(&names[at]));
                    format!("{provider}lc_collate {collate} lc_ctype {ctype}")
                })
            }
            _ => None,
        })
    }
}
