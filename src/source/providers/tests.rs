//! Tests of provider recognition and endpoint advice.

use super::*;

fn advice_for(text: &str) -> String {
    match advise(&SourceUrl::parse(text).expect("a valid URL")) {
        Advice::Fine => "fine".into(),
        Advice::Rewrite(_, url, reason) => format!("{url} because it was {reason}"),
        Advice::Refuse(provider, reason) => format!("{}: {reason}", provider.id),
    }
}

#[test]
fn providers_are_recognized_by_host() {
    for (host, id) in [
        ("ep-a-1.eu-central-1.aws.neon.tech", "neon"),
        ("db.abc.supabase.co", "supabase"),
        ("aws-0-eu.pooler.supabase.com.", "supabase"),
        ("a.proxy.rlwy.net", "railway"),
        ("dpg-abc-a", "render"),
        ("dpg-abc-a.frankfurt-postgres.render.com", "render"),
        ("x.abc.eu-west-1.rds.amazonaws.com", "rds"),
        ("x.postgres.database.azure.com", "azure"),
        ("x-do-user-1.b.db.ondigitalocean.com", "digitalocean"),
        ("app.flycast", "fly"),
        ("pg-x.aivencloud.com", "aiven"),
        ("p.abc.db.postgresbridge.com", "crunchy"),
        ("x.pg.psdb.cloud", "planetscale"),
        ("a.b.tsdb.cloud.timescale.com", "timescale"),
        ("db.prisma.io", "xata"),
    ] {
        assert_eq!(recognize(host).map(|provider| provider.id), Some(id), "{host}");
    }
    for host in ["db.example.com", "notneon.tech", "neon.tech.example.com", "10.0.0.1"] {
        assert_eq!(recognize(host), None, "{host}");
    }
}

#[test]
fn pooled_endpoints_are_rewritten_to_direct_endpoints() {
    for (endpoint, direct) in [
        ("ep-a-1-pooler.eu.aws.neon.tech/d", "ep-a-1.eu.aws.neon.tech/d"),
        ("aws-0-eu.pooler.supabase.com:6543/d", "aws-0-eu.pooler.supabase.com:5432/d"),
        ("x.postgres.database.azure.com:6432/d", "x.postgres.database.azure.com:5432/d"),
        ("private-x.b.db.ondigitalocean.com:25061/d", "x.b.db.ondigitalocean.com:25060/d"),
        ("x.b.db.ondigitalocean.com:25061/d", "x.b.db.ondigitalocean.com:25060/d"),
        ("p.abc.db.postgresbridge.com:5431/d", "p.abc.db.postgresbridge.com:5432/d"),
        ("x.pg.psdb.cloud:6432/d", "x.pg.psdb.cloud:5432/d"),
    ] {
        let advice = advice_for(&format!("postgres://u:secret@{endpoint}"));
        assert!(advice.starts_with(&format!("postgres://u:***@{direct} because it was a ")), "{advice}");
    }
}

#[test]
fn endpoints_that_cannot_work_are_refused() {
    for (endpoint, expected) in [
        ("postgres.railway.internal:5432/railway", "railway: a host that is reachable only"),
        ("dpg-abc-a/d", "render: a host that is reachable only"),
        ("app.flycast:5432/d", "fly: a host that is reachable only"),
        ("pgbouncer.x.fly.dev/d", "fly: a pooled endpoint"),
    ] {
        let advice = advice_for(&format!("postgres://u:secret@{endpoint}"));
        assert!(advice.starts_with(expected), "{advice}");
    }
}

#[test]
fn direct_endpoints_are_unchanged() {
    for endpoint in [
        "ep-a-1.eu-central-1.aws.neon.tech/d",
        "aws-0-eu.pooler.supabase.com:5432/d",
        "my-pooler.example.com:6543/d",
        "x.abc.eu-west-1.rds.amazonaws.com/d",
    ] {
        assert_eq!(advice_for(&format!("postgres://u@{endpoint}")), "fine", "{endpoint}");
    }
}
