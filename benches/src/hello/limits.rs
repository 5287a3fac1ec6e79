//! What limits cost hello: the Rust component in a workspace without a plan, beside workspaces whose plan sets quotas, by a token that may
//! do everything and by one that starts one path. Each has its turn in every round, on one server: a slow minute is everybody's.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::Method;
use sandmill_model::Quotas;
use serde_json::{Map, Value, json};

use super::Options;
use crate::{
    database::Database,
    load::{self, Figures, Load},
    report,
    server::Server,
};

const SCRIPT: &str = "f/bench/rust";
/// Of each quota: far more than is used.
const MANY: u64 = 1 << 60;
/// The one quota that all nodes keep to together at every moment: runs take places that their node has leased (ADR 23).
const COUNTED: &str = "running_runs";
/// Fewer rounds say nothing of a few hundredths.
const ROUNDS_MIN: usize = 5;
const CONNECTIONS: u32 = 32;
const WARM_S: u32 = 2;
/// Records are written behind their answers, and counts are added every second.
const COUNTED_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);

/// A workspace, and which quotas its plan sets.
struct Tenant {
    name: &'static str,
    quotas: Option<Vec<&'static str>>,
}

/// Whose script is called, and how.
struct Case {
    name: String,
    workspace: &'static str,
    url: String,
    token: String,
}

/// What one case had in each round.
type Rounds = Vec<(Figures, Figures)>;

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let tenants = [
        Tenant { name: "free", quotas: None },
        Tenant { name: "every-quota", quotas: Some(Quotas::NAMES.to_vec()) },
        Tenant { name: "most-quotas", quotas: Some(Quotas::NAMES.iter().copied().filter(|name| *name != COUNTED).collect()) },
    ];
    let database = Database::new(options.database)?;
    let server = Server::start(database.data(), &database.arguments())?;
    let mut cases = Vec::new();
    for tenant in &tenants {
        make(&server, tenant).await?;
        cases.extend(tenant.cases(&server).await?);
    }
    for case in &cases {
        case.load(CONNECTIONS, WARM_S).run()?;
    }
    let rounds = in_turns(&cases, options)?;
    for tenant in tenants.iter().filter(|tenant| tenant.quotas.is_some()) {
        let of_it = cases.iter().zip(&rounds).filter(|(case, _)| case.workspace == tenant.name);
        let answered = of_it.flat_map(|(_, rounds)| rounds).map(|(busy, single)| busy.answered() + single.answered()).sum();
        must_have_counted(&server, tenant.name, answered).await?;
    }
    print(&cases, &rounds);
    let figures = figures(&database, &cases, &rounds);
    if options.json {
        println!("{figures}");
    }
    report::keep("hello limits", &figures)
}

/// Makes the workspace with its plan and the script, and looks whether the plan holds.
async fn make(server: &Server, Tenant { name, quotas }: &Tenant) -> anyhow::Result<()> {
    if let Some(quotas) = quotas {
        let limits: Map<String, Value> = quotas.iter().map(|quota| ((*quota).to_owned(), MANY.into())).collect();
        server.send(Method::PUT, &format!("/api/instance/plans/{name}"), &json!({ "quotas": limits })).await?;
    }
    let plan = quotas.as_ref().map(|_| name);
    server.send(Method::POST, "/api/instance/workspaces", &json!({ "name": name, "plan": plan })).await?;
    let hold = server.get(&format!("/api/w/{name}/quotas")).await?;
    ensure!(hold["plan"] == json!(plan), "{name}: {hold}");
    for quota in Quotas::NAMES {
        let expected = if quotas.as_ref().is_some_and(|quotas| quotas.contains(quota)) { json!(MANY) } else { Value::Null };
        ensure!(hold["quotas"][*quota] == expected, "{name}: {quota} is not {expected}: {hold}");
    }
    let component = std::fs::read(sandmill_testkit::guests::guest("hello"))?;
    server.deploy_component_in(name, SCRIPT, component).await
}

impl Tenant {
    /// By the installation's token, and where there is a plan by one that starts the script and does nothing else.
    async fn cases(&self, server: &Server) -> anyhow::Result<Vec<Case>> {
        let url = format!("{}/hooks/{}/run/{SCRIPT}", server.url, self.name);
        let words = match &self.quotas {
            None => "no plan".to_owned(),
            Some(quotas) if quotas.len() == Quotas::NAMES.len() => "a plan with every quota".to_owned(),
            Some(_) => format!("every quota but {COUNTED}"),
        };
        let mut cases = vec![Case { name: words.clone(), workspace: self.name, url: url.clone(), token: server.token.clone() }];
        if self.quotas.is_some() {
            let request = json!({ "label": "hello", "start": SCRIPT });
            let made = server.send(Method::POST, &format!("/api/w/{}/tokens", self.name), &request).await?;
            let token = made["secret"].as_str().context("a token has a secret")?.to_owned();
            cases.push(Case { name: format!("{words}, token of one path"), workspace: self.name, url, token });
        }
        Ok(cases)
    }
}

impl Case {
    fn load(&self, connections: u32, seconds: u32) -> Load<'_> {
        Load { url: &self.url, token: Some(&self.token), connections, seconds, paths: &[] }
    }
}

/// One case after the other, and every second time the other way round: who comes first is no advantage.
fn in_turns(cases: &[Case], options: &Options) -> anyhow::Result<Vec<Rounds>> {
    let mut rounds: Vec<Rounds> = cases.iter().map(|_| Vec::new()).collect();
    for round in 0..options.times.max(ROUNDS_MIN) {
        let mut order: Vec<usize> = (0..cases.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let busy = cases[index].load(CONNECTIONS, options.seconds).run()?;
            let single = cases[index].load(1, options.seconds.div_ceil(3)).run()?;
            eprintln!("{}: {:.0}/s", cases[index].name, busy.requests_per_s);
            rounds[index].push((busy, single));
        }
    }
    Ok(rounds)
}

/// The usage of the workspace has all runs that were answered, and its quotas count them: once it may have no more on this day than were
/// answered, the next is refused.
async fn must_have_counted(server: &Server, workspace: &str, answered: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + COUNTED_WITHIN;
    loop {
        let usage = server.get(&format!("/api/w/{workspace}/usage")).await?;
        let runs: u64 = usage["total"]["runs"].as_object().into_iter().flatten().filter_map(|(_, runs)| runs.as_u64()).sum();
        if runs >= answered {
            break;
        }
        ensure!(Instant::now() < deadline, "{workspace}: {answered} runs were answered, and the usage has {runs}");
        tokio::time::sleep(POLL).await;
    }
    let limit = json!({ "quotas": { "runs_per_day": answered } });
    server.send(Method::PATCH, &format!("/api/instance/workspaces/{workspace}"), &limit).await?;
    let refused = server.send(Method::POST, &format!("/hooks/{workspace}/run/{SCRIPT}"), &json!({ "name": "bob" })).await;
    let refused = refused.err().context("a run was accepted that is more than the workspace may have on this day")?;
    // A day that ended meanwhile has its own count.
    ensure!(format!("{refused:#}").contains("quota_exceeded"), "{workspace}: {refused:#}");
    Ok(())
}

/// Of the first case's requests a second in the same round, the median.
fn ratio(rounds: &Rounds, first: &Rounds) -> f64 {
    let of_round = |((own, _), (first, _)): (&(Figures, Figures), &(Figures, Figures))| own.requests_per_s / first.requests_per_s;
    report::median(rounds.iter().zip(first).map(of_round).collect())
}

fn medians(rounds: &Rounds) -> (Figures, Figures) {
    let (busy, single): (Vec<Figures>, Vec<Figures>) = rounds.iter().copied().unzip();
    (load::medians(&busy), load::medians(&single))
}

fn print(cases: &[Case], rounds: &[Rounds]) {
    let columns = ["Rust component", "requests/s", "of that without a plan", "p50 ms", "p99 ms", "one connection p50 ms", "errors"];
    let mut table = vec![columns.map(str::to_owned).to_vec()];
    for (case, of_case) in cases.iter().zip(rounds) {
        let (busy, single) = medians(of_case);
        table.push(vec![
            case.name.clone(),
            format!("{:.0}", busy.requests_per_s),
            format!("{:.3}", ratio(of_case, &rounds[0])),
            format!("{:.2}", busy.p50_ms),
            format!("{:.2}", busy.p99_ms),
            format!("{:.3}", single.p50_ms),
            (busy.errors + single.errors).to_string(),
        ]);
    }
    report::table(&table);
}

fn figures(database: &Database, cases: &[Case], rounds: &[Rounds]) -> Value {
    let row = |(case, of_case): (&Case, &Rounds)| {
        let (busy, single) = medians(of_case);
        json!({
            "name": case.name, "requests_per_s": busy.requests_per_s, "ratio": ratio(of_case, &rounds[0]), "p50_ms": busy.p50_ms,
            "p99_ms": busy.p99_ms, "single_p50_ms": single.p50_ms, "errors": busy.errors + single.errors,
        })
    };
    json!({"database": database.name(), "rounds": rounds[0].len(), "rows": cases.iter().zip(rounds).map(row).collect::<Vec<_>>()})
}
