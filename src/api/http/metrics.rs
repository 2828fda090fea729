//! `/metrics`: what services do, for Prometheus.

use axum::http::Method;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::call::{Answered, Call};
use super::endpoint::{Endpoint, Gives};
use super::problem::Problem;
use super::stream::answer;
use crate::model::service::{Health, ServiceReport, ServiceState};
use crate::tokens::Scope;

/// The older format, which all tools read.
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The one that Prometheus asks for.
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) static ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::GET,
    path: "/metrics",
    scope: Some(Scope::Read),
    system: true,
    about: "What services do and use, for Prometheus.",
    params: &[],
    body: None,
    gives: Gives::Text(&[PLAIN, OPEN], "the text format of Prometheus, or of OpenMetrics for who accepts that"),
    fails: &[],
    handler: |call| Box::pin(metrics(call)),
}];

const STATES: [ServiceState; 6] = [
    ServiceState::Stopped,
    ServiceState::Starting,
    ServiceState::Running,
    ServiceState::Stopping,
    ServiceState::Restarting,
    ServiceState::Failed,
];

async fn metrics(call: Call) -> Answered {
    let reports = call.reports(Default::default(), true).await?;
    let logs = reports.iter().map(|report| crate::logs::size(&call.front.places, &report.id)).collect();
    let text = text(Services { reports, logs, now: crate::clock::now() });
    let text = text.map_err(|error| Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(match call.accepts("application/openmetrics-text") {
        true => answer(text, OPEN),
        false => answer(plain(&text), PLAIN),
    })
}

/// In the older format a counter is described under the name of its sample, and there are no units
/// and no end.
fn plain(text: &str) -> String {
    let counters: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut out = String::new();
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let name = line.split(' ').nth(2).filter(|name| line.starts_with("# ") && counters.contains(name));
        match name {
            Some(name) => out.push_str(&line.replacen(name, &format!("{name}_total"), 1)),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn text(services: Services) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("provost");
    registry.register_collector(Box::new(services));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Services {
    reports: Vec<ServiceReport>,
    /// Bytes of the files with its output, where it has files.
    logs: Vec<Option<u64>>,
    now: std::time::SystemTime,
}

type Encoded = Result<(), std::fmt::Error>;
/// Name, help and unit of a metric.
type About<'a> = (&'a str, &'a str, Option<&'a Unit>);

impl Services {
    /// One gauge of those services that have a value for it.
    fn gauge(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        about: About<'_>,
        value: impl Fn(&ServiceReport) -> Option<f64>,
    ) -> Encoded {
        self.of_each(encoder, about, MetricType::Gauge, |report| value(report).map(ConstGauge::new))
    }

    fn counter(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        about: About<'_>,
        value: impl Fn(&ServiceReport) -> Option<u64>,
    ) -> Encoded {
        self.of_each(encoder, about, MetricType::Counter, |report| value(report).map(ConstCounter::new))
    }

    fn of_each<M: EncodeMetric>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, unit): About<'_>,
        kind: MetricType,
        value: impl Fn(&ServiceReport) -> Option<M>,
    ) -> Encoded {
        let mut family = encoder.encode_descriptor(name, help, unit, kind)?;
        for report in &self.reports {
            if let Some(value) = value(report) {
                value.encode(family.encode_family(&[("service", report.id.as_str())])?)?;
            }
        }
        Ok(())
    }

    fn uptime(&self, report: &ServiceReport) -> Option<f64> {
        let started = humantime::parse_rfc3339_weak(report.started_at.as_deref()?).ok()?;
        let lives = report.state.is_alive();
        lives.then(|| self.now.duration_since(started).unwrap_or_default().as_secs_f64())
    }
}

impl Collector for Services {
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Encoded {
        let mut family = encoder.encode_descriptor(
            "service_state",
            "1 for the state that a service is in",
            None,
            MetricType::Gauge,
        )?;
        for report in &self.reports {
            for state in STATES {
                let labels = [("service", report.id.as_str()), ("state", state.as_str())];
                ConstGauge::new(u32::from(report.state == state)).encode(family.encode_family(&labels)?)?;
            }
        }
        let is = |so: bool| Some(f64::from(u8::from(so)));
        let all = &mut encoder;
        self.gauge(all, ("service_ready", "Whether a service is ready", None), |report| is(report.ready))?;
        self.gauge(all, ("service_healthy", "Whether a service does what it should", None), |report| {
            is(report.health == Health::Ok)
        })?;
        self.counter(all, ("service_restarts", "How often a service was started again", None), |report| {
            Some(report.restarts)
        })?;
        self.gauge(all, ("service_failures", "How often in a row a service failed", None), |report| {
            Some(f64::from(report.failures))
        })?;
        let seconds = Some(&Unit::Seconds);
        self.gauge(all, ("service_uptime", "For how long a service runs", seconds), |report| self.uptime(report))?;
        let bytes = Some(&Unit::Bytes);
        self.gauge(all, ("service_memory", "Memory of all processes of a service", bytes), |report| {
            report.memory_bytes.map(|bytes| bytes as f64)
        })?;
        let ratios = Some(&Unit::Ratios);
        let cpu = "Processor use of all processes of a service over their life; 1 is one processor";
        self.gauge(all, ("service_cpu", cpu, ratios), |report| report.cpu_percent.map(|percent| percent / 100.0))?;
        self.gauge(all, ("service_processes", "How many processes a service has", None), |report| {
            report.processes.map(f64::from)
        })?;
        self.gauge(all, ("service_probe_latency", "How long its last health check took", seconds), |report| {
            report.check_ms.map(|took| took / 1e3)
        })?;
        let sizes: std::collections::HashMap<_, _> =
            self.reports.iter().map(|report| &report.id).zip(&self.logs).collect();
        let log = "Bytes of the files with the output of a service; none of one whose output the journal holds";
        self.gauge(all, ("service_log", log, bytes), |report| sizes[&report.id].map(|bytes| bytes as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::ServiceSpec;

    #[test]
    fn the_text_is_that_of_openmetrics() {
        let spec = ServiceSpec::new("web-1".parse().unwrap(), vec!["x".to_owned()], "/".into());
        let report = ServiceReport {
            state: ServiceState::Running,
            restarts: 3,
            started_at: Some("2026-01-30T10:00:00Z".to_owned()),
            memory_bytes: Some(4096),
            check_ms: Some(2.5),
            ..crate::services::of_spec(&spec)
        };
        let now = humantime::parse_rfc3339("2026-01-30T10:01:00Z").unwrap();
        let text = text(Services { reports: vec![report], logs: vec![Some(12)], now }).unwrap();
        for line in [
            "provost_service_state{service=\"web-1\",state=\"running\"} 1",
            "provost_service_state{service=\"web-1\",state=\"failed\"} 0",
            "provost_service_restarts_total{service=\"web-1\"} 3",
            "provost_service_uptime_seconds{service=\"web-1\"} 60.0",
            "provost_service_memory_bytes{service=\"web-1\"} 4096.0",
            "provost_service_probe_latency_seconds{service=\"web-1\"} 0.0025",
            "provost_service_log_bytes{service=\"web-1\"} 12.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let plain = plain(&text);
        assert!(
            plain.contains("# TYPE provost_service_restarts_total counter\n# ")
                || plain.contains("# TYPE provost_service_restarts_total counter\nprovost"),
            "{plain}"
        );
        assert!(plain.contains("# HELP provost_service_restarts_total ") && !plain.contains("# EOF"), "{plain}");
        assert!(!text.contains("service_cpu_ratios{"), "what is not known is not told: {text}");
    }
}
