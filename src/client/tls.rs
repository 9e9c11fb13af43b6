//! TLS configuration: trusts the system's root certificates or those in `SSL_CERT_FILE`.

use rustls::{ClientConfig, RootCertStore};

/// A TLS configuration that offers these ALPN protocols in order of preference. Root
/// certificates are loaded only if `encrypted` is set: they are about 150 files.
pub(super) fn config(protocols: &[&str], encrypted: bool) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if encrypted {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if let Some(error) = found.errors.first().filter(|_| roots.is_empty()) {
            anyhow::bail!("no root certificates found (SSL_CERT_FILE or the system's): {error}");
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}
