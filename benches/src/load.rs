//! The load generator: wrk, pinned to the core that the server does not use.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::Context;

/// What one run of the load generator measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) requests_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Answers of any kind.
    pub(crate) requests: u64,
    /// Answers that were not 2xx, and connections that failed.
    pub(crate) errors: u64,
}

pub(crate) struct Load<'a> {
    pub(crate) url: &'a str,
    pub(crate) token: Option<&'a str>,
    pub(crate) connections: u32,
    pub(crate) seconds: u32,
    /// Request paths to send in turn; empty: the URL's own.
    pub(crate) paths: &'a [String],
}

impl Figures {
    /// Answers that were 2xx, at least.
    pub(crate) const fn answered(&self) -> u64 {
        self.requests.saturating_sub(self.errors)
    }
}

impl Load<'_> {
    pub(crate) fn run(&self) -> anyhow::Result<Figures> {
        self.run_by("taskset", &[])
    }

    /// Behind whatever else is at work on the load generator's core: what is measured there at the same time waits for the server and not
    /// for this.
    pub(crate) fn run_meekly(&self) -> anyhow::Result<Figures> {
        self.run_by("nice", &["-n", "19", "taskset"])
    }

    fn run_by(&self, program: &str, arguments: &[&str]) -> anyhow::Result<Figures> {
        let mut script = tempfile::NamedTempFile::with_suffix(".lua")?;
        script.write_all(self.script().as_bytes())?;
        let output = Command::new(program)
            .args(arguments)
            .args(["-c", "1", "wrk", "-t1", &format!("-c{}", self.connections), &format!("-d{}s", self.seconds), "--latency", "-s"])
            .arg(script.path())
            .arg(self.url)
            .stderr(Stdio::inherit())
            .output()
            .context("wrk cannot be started; it is in Debian's package wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("FIGURES ")).with_context(|| format!("wrk said:\n{text}"))?;
        let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [requests_per_s, p50_us, p99_us, requests, errors] = numbers[..] else { anyhow::bail!("wrk said {line}") };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
        let (requests, errors) = (requests as u64, errors as u64);
        Ok(Figures { requests_per_s, p50_ms: p50_us / 1000.0, p99_ms: p99_us / 1000.0, requests, errors })
    }

    fn script(&self) -> String {
        let token = self.token.map(|token| format!("wrk.headers[\"Authorization\"] = \"Bearer {token}\"\n")).unwrap_or_default();
        let turns = if self.paths.is_empty() {
            String::new()
        } else {
            let list = self.paths.iter().map(|path| format!("{path:?}")).collect::<Vec<_>>().join(",");
            format!(
                "local paths = {{{list}}}\nlocal ready = {{}}\nlocal turn = 0\nfunction init() for i, p in ipairs(paths) do ready[i] = wrk.format(nil, p) end end\nfunction request() turn = turn % #ready + 1 return ready[turn] end\n"
            )
        };
        format!(
            "wrk.method = \"POST\"\nwrk.body = {body:?}\nwrk.headers[\"Content-Type\"] = \"application/json\"\n{token}{turns}function done(summary, latency)\n  local e = summary.errors\n  print(string.format(\"FIGURES %f %f %f %d %d\", summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99), summary.requests, e.status + e.connect + e.read + e.write + e.timeout))\nend\n",
            body = crate::scripts::BODY
        )
    }
}

/// Medians over `times` runs.
pub(crate) fn repeated(load: &Load<'_>, times: usize) -> anyhow::Result<Figures> {
    let runs: Vec<Figures> = (0..times).map(|_| load.run()).collect::<Result<_, _>>()?;
    Ok(medians(&runs))
}

/// Of each figure; the sum of requests and of errors.
pub(crate) fn medians(runs: &[Figures]) -> Figures {
    let of = |pick: fn(&Figures) -> f64| crate::report::median(runs.iter().map(pick).collect());
    Figures {
        requests_per_s: of(|run| run.requests_per_s),
        p50_ms: of(|run| run.p50_ms),
        p99_ms: of(|run| run.p99_ms),
        requests: runs.iter().map(|run| run.requests).sum(),
        errors: runs.iter().map(|run| run.errors).sum(),
    }
}
