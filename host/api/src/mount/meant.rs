//! What a request means: the script that it is to start, on which terms, and for whom.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, request::Parts};
use sandmill_dispatch::{Armed, Routed};
use sandmill_model::{
    Code, ScriptPath,
    auth::{Action, Domain},
    trigger::{Address, Configured, Head, Reply, To},
    version::Selector,
};
use sandmill_store::workspaces::Workspace;

use super::Mount;
use crate::{auth::Caller, hosts::Side, problem::Problem};

/// A request, looked up.
pub(super) struct Meant {
    pub(super) who: Who,
    pub(super) aim: Aim,
}

/// Whoever sends it.
pub(super) enum Who {
    /// They may start the target.
    Known(Caller),
    /// Nobody was asked so far; it is for this workspace.
    Anybody(Workspace),
}

/// What it is to start.
pub(super) struct Aim {
    pub(super) target: ScriptPath,
    pub(super) selector: Selector,
    pub(super) reply: Reply,
    pub(super) configured: Arc<dyn Configured>,
    /// None: one that every script has, of which nothing is stored.
    pub(super) armed: Option<Arc<Armed>>,
    pub(super) route: Option<Arc<str>>,
    pub(super) params: Vec<(Arc<str>, String)>,
}

impl Aim {
    pub(super) fn body_bytes_max(&self, server_bytes_max: usize) -> usize {
        let own = self.armed.as_ref().and_then(|armed| armed.trigger.options.payload_bytes_max);
        own.and_then(|own| usize::try_from(own).ok()).map_or(server_bytes_max, |own| own.min(server_bytes_max))
    }
}

/// The same for a workspace that is not there and for one that has nothing at this address.
fn nothing() -> Problem {
    Problem::new(Code::NotFound, "there is nothing here")
}

fn allow(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    HeaderValue::from_maybe_shared(names.join(",")).unwrap_or(HeaderValue::from_static(""))
}

impl Mount {
    pub(super) async fn meant(&self, parts: &Parts) -> Result<Meant, Problem> {
        let app = &self.app;
        if let Some(host) = &app.options.routes_host {
            host.check(Side::Routes, &parts.headers, &parts.uri)?;
        }
        let Address { workspace, to } = self.address(&parts.method, parts.uri.path(), &parts.headers)?;
        let (path, selector, reply) = match to {
            To::Script { path, selector, reply } => (path, selector, reply),
            To::Stored { method, path } => return Box::pin(self.stored(workspace, &method, &path)).await,
        };
        let plain = self.endpoint.plain().ok_or_else(nothing)?;
        // Whatever is stored for a script: its own URL is for those who may start it, and tells nobody else anything.
        let caller = Caller::of(parts, workspace, app).await?;
        caller.must(Domain::Runs, Action::Start, path.as_str())?;
        let armed = app.dispatch.of_script(&caller.workspace, self.endpoint.kind(), &path).await?;
        let configured = armed.as_ref().map_or(plain, |armed| Arc::clone(&armed.configured));
        let aim = Aim { target: path, selector, reply, configured, armed, route: None, params: Vec::new() };
        Ok(Meant { who: Who::Known(caller), aim })
    }

    async fn stored(&self, workspace: &str, method: &Method, path: &str) -> Result<Meant, Problem> {
        let app = &self.app;
        let workspace = app.workspace_called(workspace).await?.ok_or_else(nothing)?;
        match app.dispatch.of_request(&workspace, self.endpoint.kind(), (method, path)).await? {
            Routed::Match { armed, route, params } => {
                let aim = Aim {
                    target: armed.trigger.target.clone(),
                    selector: Selector::Newest,
                    reply: armed.configured.reply(),
                    configured: Arc::clone(&armed.configured),
                    armed: Some(armed),
                    route: Some(route),
                    params,
                };
                Ok(Meant { who: Who::Anybody(workspace), aim })
            }
            Routed::WrongMethod(methods) => {
                let problem = Problem::new(Code::MethodNotAllowed, format!("nothing here takes {method}"));
                Err(problem.allow(allow(&methods)))
            }
            Routed::Nothing => Err(nothing()),
        }
    }

    fn address<'a>(&self, method: &'a Method, path: &'a str, headers: &'a HeaderMap) -> Result<Address<'a>, Problem> {
        // The router has matched `/PREFIX/` and something behind it.
        let rest = path.get(self.endpoint.prefix().len() + 2..).unwrap_or_default();
        self.endpoint.address(Head { method, rest, headers }).map_err(|refusal| {
            let wrong_method = refusal.code == Code::MethodNotAllowed;
            let problem = Problem::from(refusal);
            if wrong_method { problem.allow(self.methods(rest, headers)) } else { problem }
        })
    }

    /// The methods that the kind takes at this URL, found by asking it.
    fn methods(&self, rest: &str, headers: &HeaderMap) -> HeaderValue {
        let all = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
        let taken = |method: &Method| !matches!(self.endpoint.address(Head { method, rest, headers }), Err(refusal) if refusal.code == Code::MethodNotAllowed);
        let taken: Vec<Method> = all.into_iter().filter(taken).collect();
        allow(&taken)
    }
}
