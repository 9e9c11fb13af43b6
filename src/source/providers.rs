//! Endpoints of providers that cannot carry a dump, and the one to use instead.

use super::SourceUrl;

/// A pooled endpoint: its transactions do not stay on one server connection, so `pg_dump`
/// cannot keep its snapshot there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooled {
    /// Who runs it.
    pub provider: &'static str,
    /// The same URL at the endpoint that works; holds the password.
    pub instead: SourceUrl,
}

impl Pooled {
    /// Why it is refused and what to use, without secrets.
    pub fn advice(&self) -> String {
        format!("this is {}'s pooled endpoint, which cannot carry a dump; use {} instead", self.provider, self.instead)
    }
}

/// Recognises Neon's `-pooler` hosts and Supabase's transaction pooler on port 6543.
pub fn pooled_endpoint(url: &SourceUrl) -> Option<Pooled> {
    let host = url.host().trim_end_matches('.').to_ascii_lowercase();
    if host.ends_with(".neon.tech") {
        let (label, rest) = host.split_once('.')?;
        let direct = label.strip_suffix("-pooler")?;
        return Some(Pooled { provider: "Neon", instead: url.with_host(&format!("{direct}.{rest}")) });
    }
    let supabase = host.ends_with(".supabase.co") || host.ends_with(".supabase.com");
    (supabase && url.port() == 6543).then(|| Pooled { provider: "Supabase", instead: url.with_port(5432) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(text: &str) -> Option<String> {
        pooled_endpoint(&SourceUrl::parse(text).expect("reads")).map(|pooled| pooled.advice())
    }

    #[test]
    fn names_the_endpoint_that_works() {
        let neon = advice("postgres://u:secret@ep-a-1-pooler.eu-central-1.aws.neon.tech/d").expect("is pooled");
        assert!(neon.ends_with("use postgres://u:***@ep-a-1.eu-central-1.aws.neon.tech/d instead"), "{neon}");
        let supabase = advice("postgres://u:secret@aws-0-eu.pooler.supabase.com:6543/postgres").expect("is pooled");
        assert!(supabase.contains("postgres://u:***@aws-0-eu.pooler.supabase.com:5432/postgres"), "{supabase}");
    }

    #[test]
    fn leaves_direct_endpoints_alone() {
        assert_eq!(advice("postgres://u@ep-a-1.eu-central-1.aws.neon.tech/d"), None);
        assert_eq!(advice("postgres://u@aws-0-eu.pooler.supabase.com:5432/d"), None);
        assert_eq!(advice("postgres://u@my-pooler.example.com:6543/d"), None);
    }
}
