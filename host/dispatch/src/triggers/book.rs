//! What takes requests, compiled: for each workspace a table by kind, looked up without a query.
//!
//! A change makes a workspace's tables outdated at once, here and wherever it is heard. Beside that they are made anew now and then by whoever
//! asks for them last, without waiting: a word may be lost.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Method;
use sandmill_model::{
    JsonText, ScriptPath, WorkspaceId,
    code::{Code, Refusal},
    recent::{Moment, Recent},
    trigger::{Access, ConfigError, Configured, DynEndpoint, EndpointKey, Found, Kinds, Mode, Pattern, Table},
};
use sandmill_store::triggers::{Keyed, TRIGGERS_MAX, Trigger, TriggerFilter};

use super::{
    Armed, Routed, TRIGGERS_KEPT_MAX, TRIGGERS_TTL,
    references::{self, Read},
    rights,
};
use crate::{Flights, Inner, refuse};

/// Tables that nothing made outdated are used for so long while they are made anew.
const USED_MAX: Duration = Duration::from_secs(60);
/// After tables could not be made anew.
const AGAIN_PAUSE: Duration = Duration::from_millis(500);
/// Bytes of a config that weigh as much as a trigger.
const WEIGHED_BYTES: usize = 4 * 1024;
/// Tables of more are made anew less often.
const WEIGHT_USUAL: usize = 1_000;
/// Of one workspace. All triggers of usual size that it can have are less; of large ones it has no more, lest one workspace takes a node's memory.
const WEIGHT_MAX: usize = 3 * TRIGGERS_MAX as usize;
/// Triggers that are compiled before others have their turn.
const AT_ONCE: usize = 32;
/// Triggers that are listed at once.
const PAGE: u32 = 500;
/// The same with their configs, each of which may be large.
const ENDPOINTS_PAGE: u32 = 100;

pub(crate) struct Book {
    kept: Recent<WorkspaceId, Arc<Tables>>,
    look_ups: Flights<WorkspaceId, Result<Arc<Tables>, Refusal>>,
}

impl Default for Book {
    fn default() -> Self {
        let kept = Recent::<WorkspaceId, Arc<Tables>>::weighed(TRIGGERS_KEPT_MAX, |tables: &Arc<Tables>| tables.weight, USED_MAX);
        Self { kept: kept.of_workspaces(|workspace: &WorkspaceId| *workspace), look_ups: Flights::default() }
    }
}

/// What takes requests of one workspace.
struct Tables {
    by_kind: HashMap<Arc<str>, OfKind>,
    compiled: HashMap<ScriptPath, Compiled>,
    /// In triggers of usual size.
    weight: usize,
    is_made_anew: AtomicBool,
}

#[derive(Default)]
struct OfKind {
    routes: Table<Slot>,
    scripts: HashMap<ScriptPath, Slot>,
}

/// What is at an address.
#[derive(Clone)]
enum Slot {
    Armed(Arc<Armed>),
    /// Its config cannot be used at present.
    Broken,
    /// Whoever set it up wants nothing to be there.
    Off,
}

/// A trigger as it was compiled.
#[derive(Clone)]
struct Compiled {
    revision: i64,
    /// Then it may be another config without being changed.
    refers: bool,
    /// Of its config with what it refers to.
    weight: usize,
    slot: Slot,
}

impl Default for Tables {
    fn default() -> Self {
        Self { by_kind: HashMap::new(), compiled: HashMap::new(), weight: 1, is_made_anew: AtomicBool::new(false) }
    }
}

fn broken() -> Refusal {
    Refusal::new(Code::Internal, "the trigger cannot be used at present: its config refers to what is not there, or does not fit")
}

impl Book {
    pub(super) async fn of_request(
        &self,
        inner: &Arc<Inner>,
        of: WorkspaceId,
        kind: &str,
        (method, path): (&Method, &str),
    ) -> Result<Routed, Refusal> {
        let tables = self.tables(inner, of).await?;
        let Some(of_kind) = tables.by_kind.get(kind) else { return Ok(Routed::Nothing) };
        match of_kind.routes.find(method, path) {
            // Whoever asks for the head of what can be had is answered as if by GET.
            Found::WrongMethod(methods) if *method == Method::HEAD && methods.contains(&Method::GET) => {
                routed(of_kind.routes.find(&Method::GET, path))
            }
            found => routed(found),
        }
    }

    pub(super) async fn of_script(
        &self,
        inner: &Arc<Inner>,
        of: WorkspaceId,
        kind: &str,
        script: &ScriptPath,
    ) -> Result<Option<Arc<Armed>>, Refusal> {
        let tables = self.tables(inner, of).await?;
        match tables.by_kind.get(kind).and_then(|of_kind| of_kind.scripts.get(script)) {
            None => Ok(None),
            Some(Slot::Armed(armed)) => Ok(Some(Arc::clone(armed))),
            Some(Slot::Broken) => Err(broken()),
            Some(Slot::Off) => Err(Refusal::new(Code::NotFound, format!("nothing is deployed at {script}"))),
        }
    }

    /// What was compiled of these workspaces is not believed any more.
    pub(super) fn outdate(&self, workspaces: &[WorkspaceId]) {
        self.kept.outdate(|workspace, _| workspaces.contains(workspace));
    }

    async fn tables(&self, inner: &Arc<Inner>, of: WorkspaceId) -> Result<Arc<Tables>, Refusal> {
        let now = inner.clock.now();
        let believed = inner.hearing.believed(TRIGGERS_TTL);
        if let Some(tables) = self.kept.get_within(&of, now, believed) {
            return Ok(tables);
        }
        if let Some(tables) = self.kept.get_within(&of, now, inner.hearing.believed(USED_MAX)) {
            if self.kept.get_within(&of, now, inner.hearing.believed(good_for(tables.weight))).is_none() {
                make_anew(inner, of, &tables);
            }
            return Ok(tables);
        }
        Box::pin(self.look_up(inner, of, believed)).await
    }

    /// By a look-up that began within `believed`: one for all who need it at the same time.
    async fn look_up(&self, inner: &Arc<Inner>, of: WorkspaceId, believed: Duration) -> Result<Arc<Tables>, Refusal> {
        let began = self.kept.moment();
        self.look_ups.join((of, began.number()), believed, || self.find(inner, of, began)).await
    }

    async fn find(&self, inner: &Arc<Inner>, of: WorkspaceId, began: Moment) -> Result<Arc<Tables>, Refusal> {
        let now = inner.clock.now();
        let tables = Arc::new(Making::new(inner, of, self.kept.last(&of)).make().await?);
        // Nothing that is still good gives way to what is not believed.
        if self.kept.moment().number() == began.number() {
            self.kept.put_of(began, of, Arc::clone(&tables), now);
        }
        Ok(tables)
    }
}

/// What takes longer to make is made less often: whoever has many triggers, or large ones, must not keep the database at work by a request now and then.
fn good_for(weight: usize) -> Duration {
    let times = u32::try_from(weight.div_ceil(WEIGHT_USUAL)).unwrap_or(u32::MAX);
    TRIGGERS_TTL.saturating_mul(times).clamp(TRIGGERS_TTL, USED_MAX)
}

fn routed(found: Found<'_, Slot>) -> Result<Routed, Refusal> {
    match found {
        Found::Match { value: Slot::Armed(armed), pattern, params } => {
            Ok(Routed::Match { armed: Arc::clone(armed), route: Arc::clone(pattern.as_str()), params })
        }
        Found::Match { value: Slot::Broken, .. } => Err(broken()),
        Found::Match { value: Slot::Off, .. } | Found::Nothing => Ok(Routed::Nothing),
        Found::WrongMethod(methods) => Ok(Routed::WrongMethod(methods)),
    }
}

/// Beside whoever uses the tables; once at a time.
fn make_anew(inner: &Arc<Inner>, of: WorkspaceId, tables: &Arc<Tables>) {
    if inner.draining.is_cancelled() || tables.is_made_anew.swap(true, Ordering::AcqRel) {
        return;
    }
    let (own, tables) = (Arc::clone(inner), Arc::clone(tables));
    inner.tasks.spawn(async move {
        if let Err(refusal) = own.armoury.book.look_up(&own, of, TRIGGERS_TTL).await {
            tracing::warn!(%refusal, workspace = %of, "what takes requests could not be looked up; trying again");
            tokio::time::sleep(AGAIN_PAUSE).await;
        }
        tables.is_made_anew.store(false, Ordering::Release);
    });
}

/// Tables of one workspace in the making.
struct Making<'a> {
    inner: &'a Inner,
    of: WorkspaceId,
    before: Option<Arc<Tables>>,
    read: Read,
    tables: Tables,
}

impl<'a> Making<'a> {
    fn new(inner: &'a Inner, of: WorkspaceId, before: Option<Arc<Tables>>) -> Self {
        Self { inner, of, before, read: Read::default(), tables: Tables::default() }
    }

    async fn make(mut self) -> Result<Tables, Refusal> {
        let inner = self.inner;
        // Where nobody has said which kinds there are, there is none.
        let Some(kinds) = inner.armoury.kinds.get() else { return Ok(self.tables) };
        let mut after: Option<ScriptPath> = None;
        loop {
            let page = inner.store.triggers.endpoints(self.of, after.as_ref(), ENDPOINTS_PAGE).await.map_err(|error| refuse(&error))?;
            let is_last = page.len() < ENDPOINTS_PAGE as usize;
            after = page.last().map(|(trigger, _)| trigger.path.clone());
            self.add_all(page, kinds).await?;
            if is_last {
                break;
            }
        }
        for kind in kinds.all().iter().filter(|kind| kind.info.is_of_every_script) {
            self.leave_out(kind.info.name).await?;
        }
        Ok(self.tables)
    }

    async fn add_all(&mut self, stored: Vec<Keyed>, kinds: &Kinds) -> Result<(), Refusal> {
        for (number, (trigger, keys)) in stored.into_iter().enumerate() {
            if number % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            // None: of a kind that this release does not have.
            let Some(endpoint) = kinds.find(&trigger.kind).and_then(|kind| kind.endpoint.clone()) else { continue };
            self.add(trigger, &keys, &*endpoint).await?;
        }
        Ok(())
    }

    async fn add(&mut self, trigger: Trigger, keys: &[String], endpoint: &dyn DynEndpoint) -> Result<(), Refusal> {
        let (kind, path, target, revision) = (Arc::clone(&trigger.kind), trigger.path.clone(), trigger.target.clone(), trigger.revision);
        let compiled = match self.unchanged(&path, revision) {
            Some(compiled) => compiled,
            None => self.compile(trigger, endpoint).await?,
        };
        let compiled = self.fitting(&path, compiled);
        self.tables.weight += compiled.weight;
        let own = match &compiled.slot {
            Slot::Armed(armed) => armed.configured.keys(&target),
            Slot::Broken | Slot::Off => Vec::new(),
        };
        let of_kind = self.tables.by_kind.entry(kind).or_default();
        for (key, is_own) in taken(keys, own) {
            let slot = match &compiled.slot {
                Slot::Armed(_) if !is_own => Slot::Broken,
                slot => slot.clone(),
            };
            match key {
                EndpointKey::Route { method, pattern } => of_kind.routes.insert(method, pattern, slot),
                EndpointKey::Script(script) => {
                    of_kind.scripts.insert(script, slot);
                }
            }
        }
        self.tables.compiled.insert(path, compiled);
        Ok(())
    }

    /// The same, if there is room for it beside those before it.
    fn fitting(&self, path: &ScriptPath, compiled: Compiled) -> Compiled {
        if fits(self.tables.weight, compiled.weight) {
            return compiled;
        }
        tracing::warn!(workspace = %self.of, %path, "a trigger that takes requests cannot be used: those of its workspace have too large configs");
        // Looked at again each time: others may be gone by then.
        Compiled { refers: true, weight: 1, slot: Slot::Broken, ..compiled }
    }

    fn unchanged(&self, path: &ScriptPath, revision: i64) -> Option<Compiled> {
        let before = self.before.as_ref()?.compiled.get(path)?;
        (before.revision == revision && !before.refers).then(|| before.clone())
    }

    async fn compile(&mut self, trigger: Trigger, endpoint: &dyn DynEndpoint) -> Result<Compiled, Refusal> {
        let (revision, config_bytes) = (trigger.revision, trigger.config.as_str().len());
        let refers = !references::of(&trigger.config).is_ok_and(|references| references.is_empty());
        // Whoever may not read any more what they lent does not lend it any longer.
        let (configured, weight) = match rights::owned(self.inner, &trigger, &mut self.read).await? {
            Ok(whole) => {
                let configured = configured(&trigger, &whole, endpoint).map_err(|error| if refers { unquoted(error) } else { error });
                (configured, 1 + config_bytes.max(whole.as_str().len()) / WEIGHED_BYTES)
            }
            Err(error) => (Err(error), 1),
        };
        let slot = match configured {
            Ok(configured) => Slot::Armed(Arc::new(Armed { trigger: Arc::new(trigger), configured })),
            Err(error) => self.tell(&trigger, &error),
        };
        Ok(Compiled { revision, refers, weight, slot })
    }

    /// Once for each change.
    fn tell(&self, trigger: &Trigger, error: &ConfigError) -> Slot {
        let before = self.before.as_ref().and_then(|before| before.compiled.get(&trigger.path));
        let is_told = before.is_some_and(|before| before.revision == trigger.revision && matches!(before.slot, Slot::Broken));
        if !is_told {
            let (workspace, path, pointer) = (self.of, &trigger.path, &error.pointer);
            tracing::error!(%workspace, %path, pointer, %error, "a trigger that takes requests cannot be used");
        }
        Slot::Broken
    }

    /// Scripts whose own trigger of this kind is off: they have no keys, and yet are not as if nobody had said anything.
    async fn leave_out(&mut self, kind: &str) -> Result<(), Refusal> {
        let filter = TriggerFilter { kind: Some(kind.into()), ..TriggerFilter::default() };
        let mut after: Option<ScriptPath> = None;
        loop {
            let page = self.inner.store.triggers.list(self.of, &filter, after.as_ref(), PAGE).await.map_err(|error| refuse(&error))?;
            let is_last = page.len() < PAGE as usize;
            after = page.last().map(|trigger| trigger.path.clone());
            for trigger in page.into_iter().filter(|trigger| trigger.mode == Mode::Off) {
                self.tables.weight += 1;
                let scripts = &mut self.tables.by_kind.entry(trigger.kind).or_default().scripts;
                // One that is on goes before one that is off.
                if let Entry::Vacant(place) = scripts.entry(trigger.target) {
                    place.insert(Slot::Off);
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

/// Small ones always do.
fn fits(taken: usize, weight: usize) -> bool {
    weight == 1 || taken + weight <= WEIGHT_MAX
}

fn configured(trigger: &Trigger, whole: &JsonText, endpoint: &dyn DynEndpoint) -> Result<Arc<dyn Configured>, ConfigError> {
    let configured = endpoint.configure(whole)?;
    if let Access::Script(script) = configured.access() {
        rights::must_name(&trigger.config, whole, &[script])?;
    }
    Ok(configured)
}

/// What a trigger takes is what it was given when it was put, where conflicts are refused: not what its config says since because that to which it
/// refers is another. Whether the config still says so is beside each.
fn taken(stored: &[String], mut own: Vec<EndpointKey>) -> Vec<(EndpointKey, bool)> {
    let one = |text: &String| match own.iter().position(|key| key.text() == *text) {
        // With the names of its parameters.
        Some(place) => Some((own.swap_remove(place), true)),
        // What it takes is taken, whether it can be used or not.
        None => key_of(text).map(|key| (key, false)),
    };
    stored.iter().filter_map(one).collect()
}

/// For the log: what is wrong may be said with a value, and that may be a secret.
fn unquoted(error: ConfigError) -> ConfigError {
    ConfigError { message: "with what it refers to, it does not fit".to_owned(), ..error }
}

/// A key as it is kept, for one whose config is not to be had: parameters have lost their names.
fn key_of(text: &str) -> Option<EndpointKey> {
    let Some((method, shape)) = text.split_once(' ') else { return text.parse().ok().map(EndpointKey::Script) };
    let named = shape.split('/').enumerate().map(|(number, segment)| match segment {
        ":" | "*" => format!("{segment}p{number}"),
        literal => literal.to_owned(),
    });
    let pattern: Pattern = named.collect::<Vec<_>>().join("/").parse().ok()?;
    Some(EndpointKey::Route { method: method.parse().ok()?, pattern })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(pattern: &str) -> EndpointKey {
        EndpointKey::Route { method: Method::GET, pattern: pattern.parse().unwrap() }
    }

    /// Whoever may write a variable must not move a route over another by it.
    #[test]
    fn what_a_config_says_later_takes_nothing() {
        let stored = [route("/mine/:id").text()];
        assert_eq!(taken(&stored, vec![route("/mine/:name")]), [(route("/mine/:name"), true)]);
        let moved = taken(&stored, vec![route("/orders/:id")]);
        let told: Vec<(String, bool)> = moved.iter().map(|(key, is_own)| (key.text(), *is_own)).collect();
        assert_eq!(told, [("GET /mine/:".to_owned(), false)]);
        let wider = taken(&stored, vec![route("/orders"), route("/mine/:id")]);
        assert_eq!(wider, [(route("/mine/:id"), true)]);
        assert!(taken(&[], vec![route("/orders")]).is_empty());
    }

    /// The largest configs that may be kept would be gigabytes.
    #[test]
    fn one_workspace_takes_neither_memory_nor_the_database() {
        let largest = 1 + sandmill_store::triggers::CONFIG_BYTES_MAX / WEIGHED_BYTES;
        let mut weight = 1;
        for _ in 0..TRIGGERS_MAX {
            weight += if fits(weight, largest) { largest } else { 1 };
        }
        assert!(weight <= WEIGHT_MAX + TRIGGERS_MAX as usize && weight < TRIGGERS_KEPT_MAX, "{weight}");
        assert!(fits(WEIGHT_MAX, 1), "what is small always finds room");
        assert_eq!((good_for(1), good_for(WEIGHT_USUAL)), (TRIGGERS_TTL, TRIGGERS_TTL));
        assert!(good_for(10 * WEIGHT_USUAL) == 10 * TRIGGERS_TTL && good_for(usize::MAX) == USED_MAX);
    }

    #[test]
    fn keys_are_read_back() {
        for pattern in ["/", "/a/b", "/a/:x/:y", "/a/:x/*rest"] {
            let key = EndpointKey::Route { method: Method::POST, pattern: pattern.parse().unwrap() };
            assert_eq!(key_of(&key.text()).unwrap().text(), key.text(), "{pattern}");
        }
        let script = EndpointKey::Script("f/a/b".parse().unwrap());
        assert_eq!(key_of(&script.text()), Some(script));
        assert_eq!(key_of("f/a"), None);
    }
}
