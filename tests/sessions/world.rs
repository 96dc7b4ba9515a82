//! Two replicas over one Redis, with the tools of these tests.

use pressmark::config::Settings;

use crate::support::in_process::Server;
use crate::support::redis::RedisServer;
use crate::tools::{AsksAll, AsksOften, Connects, Gate, Reconnects, Reports, Waits, Watched};

pub(crate) struct World {
    pub(crate) redis: RedisServer,
    pub(crate) one: Server,
    pub(crate) two: Server,
    /// What tools wait for, and what resources are.
    pub(crate) gate: Gate,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Self {
        let (redis, gate) = (RedisServer::start(), Gate::default());
        let settings = Settings { state: Some(redis.url()), ..settings };
        let one = replica(settings.clone(), &gate).await;
        let two = replica(settings, &gate).await;
        Self { redis, one, two, gate }
    }

    pub(crate) fn one(&self) -> &str {
        &self.one.url
    }

    pub(crate) fn two(&self) -> &str {
        &self.two.url
    }

    pub(crate) async fn stop(self) {
        self.one.stop().await;
        self.two.stop().await;
    }
}

pub(crate) async fn replica(settings: Settings, gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::start(settings, |app| {
        gate.notifier.lock().expect("not poisoned").get_or_insert_with(|| app.notifier());
        app.with(AsksAll)
            .with(AsksOften)
            .with(Connects(gate.clone()))
            .with(Reports(gate.clone()))
            .with(Reconnects)
            .with(Waits::<true>(gate.clone()))
            .with(Waits::<false>(gate.clone()))
            .with_resources(Watched { gate })
    })
    .await
}
