//! An nginx in front of the provider: it decides which metadata there is, and notes who asks for what.

use std::time::Duration;

use crate::support::nginx::Nginx;
use crate::support::process::{free_port, wait_until};

/// The nginx, and the port behind it that a provider has to listen on.
pub(crate) struct Front {
    nginx: Nginx,
    provider: u16,
}

impl Front {
    /// Passes everything on but what `locations` make of it, where `PROVIDER` stands for the provider's address.
    pub(crate) fn start(locations: &str) -> Self {
        let (port, provider) = (free_port(), free_port());
        let locations = locations.replace("PROVIDER", &format!("http://127.0.0.1:{provider}"));
        let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};\n"));
        let configuration = format!(
            "worker_processes 1;
            events {{ worker_connections 1024; }}
            http {{
                log_format path '$request_uri';
                access_log access.log path;
                {}
                proxy_http_version 1.1;
                proxy_set_header Host $http_host;
                server {{
                    listen 127.0.0.1:{port};
                    {locations}
                    location / {{ proxy_pass http://127.0.0.1:{provider}; }}
                }}
            }}",
            folders.concat()
        );
        let directory = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(directory.path().join("nginx.conf"), configuration).expect("the configuration can be written");
        Self { nginx: Nginx::start_in(directory, port), provider }
    }

    /// Its URL, without a path: the issuer of a provider behind it.
    pub(crate) fn url(&self) -> String {
        self.nginx.url()
    }

    /// Where the provider has to listen.
    pub(crate) fn provider(&self) -> u16 {
        self.provider
    }

    /// What was asked for so far, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.nginx.access_log().lines().map(str::to_owned).collect()
    }

    /// How often this was asked for so far.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == path).count()
    }

    /// Waits until this was asked for so often: nginx notes a request after it was answered.
    pub(crate) fn wait_for(&self, path: &str, count: usize) {
        wait_until(Duration::from_secs(10), "nginx has noted a request", || self.count(path) >= count);
    }
}
