//! Arguments of `capydb webhooks` and `capydb integrations`.

use crate::wire::{EVENT_TYPES, IntegrationProvider};
use clap::builder::PossibleValuesParser;
use clap::{Subcommand, ValueHint};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum WebhooksCommand {
    /// List the organization's endpoints
    List,
    /// Create an endpoint and print its signing secret
    #[command(
        after_help = "Examples:\n  capydb webhooks create https://hooks.example.com/capydb\n  capydb webhooks create https://hooks.example.com/capydb --event import.completed --event job.failed"
    )]
    Create {
        /// Public https URL that receives events
        url: String,
        /// Event type to send; repeatable [default: all]
        #[arg(long = "event", value_name = "TYPE", value_parser = events())]
        events: Vec<String>,
        /// Description
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Change an endpoint; other settings are unchanged
    Update {
        /// Endpoint id
        id: String,
        /// New public https URL
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// Event type to send; replaces the list; repeatable
        #[arg(long = "event", value_name = "TYPE", value_parser = events())]
        events: Vec<String>,
        /// Description
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Resume sending events
        #[arg(long)]
        enable: bool,
        /// Stop sending events
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
    },
    /// Delete an endpoint and its delivery history
    Delete {
        /// Endpoint id
        id: String,
    },
    /// Print a new signing secret; the old secret stops working
    RotateSecret {
        /// Endpoint id
        id: String,
    },
    /// List an endpoint's deliveries, newest first
    Deliveries {
        /// Endpoint id
        id: String,
        /// Maximum number of deliveries
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Send a test event and show the response
    Test {
        /// Endpoint id
        id: String,
    },
}

/// The event types that an endpoint can subscribe to.
fn events() -> PossibleValuesParser {
    PossibleValuesParser::new(["all"].into_iter().chain(EVENT_TYPES))
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum IntegrationsCommand {
    /// List a project's integrations and their last push
    List {
        /// Project id, slug or name [default: the linked or only project]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
    },
    /// Push DATABASE_URL and DATABASE_URL_UNPOOLED, now and after imports
    #[command(
        subcommand,
        after_help = "Examples:\n  VERCEL_TOKEN=… capydb integrations connect vercel my-app\n  capydb integrations connect netlify my-site.netlify.app --token - < token-file\n  capydb integrations connect dotenv ./.env"
    )]
    Connect(ConnectCommand),
    /// Stop pushing; pushed variables are kept
    Disconnect {
        /// Provider
        #[arg(value_parser = IntegrationProvider::ALL.map(IntegrationProvider::as_str))]
        provider: String,
        /// Project id, slug or name [default: the linked or only project]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConnectCommand {
    /// Push to a Vercel project
    Vercel {
        /// Vercel project name or id
        vercel_project: String,
        /// Vercel team id
        #[arg(long, value_name = "ID")]
        team: Option<String>,
        /// Environment to set variables in; repeatable [default: all]
        #[arg(long = "target", value_name = "TARGET", value_parser = ["production", "preview", "development"])]
        targets: Vec<String>,
        /// Vercel token, visible in process lists; `-` reads standard input [env: VERCEL_TOKEN]
        #[arg(long, value_name = "TOKEN")]
        token: Option<String>,
        /// Project id, slug or name [default: the linked or only project]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
    },
    /// Push to a Netlify site
    Netlify {
        /// Netlify site id or domain
        site: String,
        /// Netlify token, visible in process lists; `-` reads standard input [env: NETLIFY_AUTH_TOKEN]
        #[arg(long, value_name = "TOKEN")]
        token: Option<String>,
        /// Project id, slug or name [default: the linked or only project]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
    },
    /// Sync to a file on the machine running `capydb dev`
    Dotenv {
        /// File such as .env; other lines are kept
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Project id, slug or name [default: the linked or only project]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
    },
}
