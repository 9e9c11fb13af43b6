//! Options of uploads.

use super::time;
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(next_help_heading = "Upload")]
pub(in crate::cli) struct UploadArgs {
    /// Retry if the upload stalls this long
    #[arg(long, value_name = "TIME", value_parser = stall_timeout, default_value = "60s")]
    pub(in crate::cli) stall_timeout: Duration,
    /// Upload speed limit in bytes per second (20M, 500K)
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(in crate::cli) limit_rate: Option<u64>,
    /// Concurrent parts, if multipart uploads are supported
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(in crate::cli) upload_concurrency: u8,
    /// Ignore earlier progress and upload from the start
    #[arg(long)]
    pub(in crate::cli) no_resume: bool,
}

fn stall_timeout(text: &str) -> Result<Duration, String> {
    match time(text)? {
        short if short < Duration::from_secs(1) => Err("the minimum is 1s".into()),
        long if long > Duration::from_hours(24) => Err("the maximum is 1 day".into()),
        patience => Ok(patience),
    }
}

fn rate(text: &str) -> Result<u64, String> {
    let text = text.strip_suffix("/s").unwrap_or(text);
    match text.parse::<bytesize::ByteSize>() {
        Ok(rate) if rate.as_u64() >= 1000 => Ok(rate.as_u64()),
        Ok(_) => Err("the minimum is 1K".into()),
        Err(_) => Err("expected a size such as 20M or 500K".into()),
    }
}
