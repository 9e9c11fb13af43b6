//! What is typed about those who are told of imports.

use clap::{Subcommand, ValueHint};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum WebhooksCommand {
    /// List the endpoints of the organization
    List,
    /// Make an endpoint, and print the secret that signs its deliveries
    #[command(
        after_help = "Examples:\n  capydb webhooks create https://hooks.example.com/capydb\n  capydb webhooks create https://hooks.example.com/capydb --event import.completed --event job.failed"
    )]
    Create {
        /// Where events are sent: https, at a public address
        url: String,
        /// An event that it gets [default: all]
        #[arg(long = "event", value_name = "TYPE", value_parser = EVENTS)]
        events: Vec<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Change an endpoint; what is not named stays as it is
    Update {
        /// The endpoint's id
        id: String,
        /// Where events are sent
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// An event that it gets, instead of those before
        #[arg(long = "event", value_name = "TYPE", value_parser = EVENTS)]
        events: Vec<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Send it events again
        #[arg(long)]
        enable: bool,
        /// Send it no events
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
    },
    /// Delete an endpoint with its history
    Delete {
        /// The endpoint's id
        id: String,
    },
    /// Give an endpoint another secret, and print it; the old one signs nothing any more
    RotateSecret {
        /// The endpoint's id
        id: String,
    },
    /// List what was sent to an endpoint, newest first
    Deliveries {
        /// The endpoint's id
        id: String,
        /// How many
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Send an endpoint a test event, and say what the receiver answered
    Test {
        /// The endpoint's id
        id: String,
    },
}

/// Events that an endpoint can ask for.
const EVENTS: [&str; 4] = ["all", "import.completed", "job.completed", "job.failed"];

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum IntegrationsCommand {
    /// List where a project's connection strings are pushed to, and how the last push went
    List {
        /// Project: id, slug or name [default: the linked one, or the only one]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
    },
    /// Push DATABASE_URL and DATABASE_URL_UNPOOLED to a provider, now and after every import
    #[command(
        subcommand,
        after_help = "Examples:\n  VERCEL_TOKEN=… capydb integrations connect vercel my-app\n  capydb integrations connect netlify my-site.netlify.app --token - < token-file\n  capydb integrations connect dotenv ./.env"
    )]
    Connect(ConnectCommand),
    /// Push no more; what was pushed stays there
    Disconnect {
        /// The provider
        #[arg(value_parser = ["vercel", "netlify", "dotenv"])]
        provider: String,
        /// Project: id, slug or name [default: the linked one, or the only one]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConnectCommand {
    /// A project of Vercel
    Vercel {
        /// Its name or id
        vercel_project: String,
        /// The team that it belongs to, by id
        #[arg(long, value_name = "ID")]
        team: Option<String>,
        /// An environment that gets the variables [default: all]
        #[arg(long = "target", value_name = "TARGET", value_parser = ["production", "preview", "development"])]
        targets: Vec<String>,
        /// Its token; better in the environment, where other users do not see it; `-` reads standard input [env: VERCEL_TOKEN]
        #[arg(long, value_name = "TOKEN")]
        token: Option<String>,
        /// Project: id, slug or name [default: the linked one, or the only one]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
    },
    /// A site of Netlify
    Netlify {
        /// Its id or domain
        site: String,
        /// Its token; better in the environment, where other users do not see it; `-` reads standard input [env: NETLIFY_AUTH_TOKEN]
        #[arg(long, value_name = "TOKEN")]
        token: Option<String>,
        /// Project: id, slug or name [default: the linked one, or the only one]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
    },
    /// A file of the machine that runs `capydb dev`
    Dotenv {
        /// The file, such as .env; other lines of it stay
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Project: id, slug or name [default: the linked one, or the only one]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
    },
}
