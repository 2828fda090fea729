//! An axum program that runs its helpers itself: they start with it, are restarted with backoff, and
//! stop with it, in order.
//!
//! ```text
//! cargo run --example axum -- 127.0.0.1:8090
//! curl http://127.0.0.1:8090/api/pm/list
//! curl -X POST http://127.0.0.1:8090/api/pm/clock/restart
//! ```

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use provost::model::ServiceId;
use provost::model::service::ServiceReport;
use provost::{ServiceSpec, Supervisor};

type App = State<Arc<Supervisor>>;
type Failure = (StatusCode, String);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;

    // Where there is a config file, `.config("pb_processes.json")` has the same services in it.
    let supervisor = Supervisor::builder()
        .register(ServiceSpec::new("clock").command(["sh", "-c", "while date; do sleep 1; done"]).tries(-1))
        .register(ServiceSpec::new("worker").command(["sleep", "3600"]).env("APP", &address).after(["clock"]))
        .start()
        .await?;
    let mut events = supervisor.events();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            println!("{}: {}", event.id, event.message);
        }
    });

    let supervisor = Arc::new(supervisor);
    let app = Router::new()
        .route("/api/pm/list", get(list))
        .route("/api/pm/{id}/restart", post(restart))
        .route("/api/pm/{id}/stop", post(stop))
        .with_state(Arc::clone(&supervisor));
    println!("http://{address}/api/pm/list");
    axum::serve(listener, app).with_graceful_shutdown(interrupted()).await?;
    // The last request is answered: nobody else has it.
    if let Some(supervisor) = Arc::into_inner(supervisor) {
        supervisor.shutdown().await?;
    }
    Ok(())
}

async fn list(State(supervisor): App) -> Result<Json<Vec<ServiceReport>>, Failure> {
    supervisor.list().await.map(Json).map_err(failure)
}

async fn restart(State(supervisor): App, Path(id): Path<ServiceId>) -> Result<&'static str, Failure> {
    supervisor.restart(&id).await.map(|_| "restarted\n").map_err(failure)
}

async fn stop(State(supervisor): App, Path(id): Path<ServiceId>) -> Result<&'static str, Failure> {
    supervisor.stop(&id, false).await.map(|_| "stopped\n").map_err(failure)
}

fn failure(error: provost::Error) -> Failure {
    let status = match error {
        provost::Error::NotFound { .. } => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, format!("{error}\n"))
}

/// Ctrl-C, or the SIGTERM of whoever runs this program.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}
