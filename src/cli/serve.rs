//! `pressmark serve`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::settings_sources::SettingsSources;
use super::{EXIT_USAGE, environment};
use crate::app::{App, AppError};
use crate::config::Config;
use crate::telemetry;

/// How long blocking work may go on after the last connection has been closed.
const LAST_WORK: Duration = Duration::from_secs(2);

/// Each option can also be set in the environment (PRESSMARK_ and the option in capitals) or under the same name in the
/// configuration file; an option beats the environment, and the environment beats the file.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    sources: SettingsSources,
}

impl Serve {
    /// Serves until it is told to stop, with what `with` adds to the server.
    pub(super) fn run(self, with: impl FnOnce(App) -> App) -> ExitCode {
        let known = Self::augment_args(clap::Command::new("serve"));
        let prepared = environment::check(&known).and_then(|unknown| Ok((unknown, self.sources.resolve()?)));
        let (unknown, mut config) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                super::complain(&error);
                return ExitCode::from(EXIT_USAGE);
            }
        };
        telemetry::init(config.log_format);
        if let Some(problem) = telemetry::unheard() {
            super::complain(&problem);
        }
        for problem in unknown {
            tracing::warn!("{problem}");
        }
        super::open_files::raise_limit();
        config.max_connections = config.max_connections.min(super::open_files::for_connections());
        let runtime = match runtime(config.workers).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return super::fail(&error),
        };
        let outcome = runtime.block_on(serve(config, with));
        // Blocking work that nobody waits for any more stops at its next look at the flag; files are replaced in one step,
        // so that what does not stop in time harms none.
        runtime.shutdown_timeout(LAST_WORK);
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.is_of_settings() => {
                super::complain(&error);
                ExitCode::from(EXIT_USAGE)
            }
            Err(error) => super::fail(&error),
        }
    }
}

/// One worker needs no scheduler that hands tasks from thread to thread. Without it what many calls ask of Redis goes out in
/// one write, too: the task that sends it runs after them, and not between any two.
fn runtime(workers: Option<usize>) -> Builder {
    match workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)) {
        1 => Builder::new_current_thread(),
        workers => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
    }
}

async fn serve(config: Config, with: impl FnOnce(App) -> App) -> Result<(), AppError> {
    let app = with(App::new(config).await?).bind().await?;
    app.announce();
    app.serve(stop_signal()).await;
    Ok(())
}

/// Ready at the first SIGTERM or SIGINT.
async fn stop_signal() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping: finishing the calls under way");
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "signals cannot be received; only SIGKILL stops this process");
            std::future::pending().await
        }
    }
}
