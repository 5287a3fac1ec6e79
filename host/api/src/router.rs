//! The table of contents.

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{delete, get, post, put},
};
use sandmill_model::{Code, audit::Record};
use sandmill_store::signals::Signal;

use crate::{
    ApiState,
    app::App,
    mount,
    observe::{self, Observer, Surface},
    pages,
    problem::Problem,
    routes::{
        audit, folders, grants, groups, handover, instance, keys, letters, members, plans, resource_types, resources, runs, scripts,
        service_accounts, session, sessions, settings, single_sign_on, tokens, triggers, usage, users, variables, workspaces,
    },
};

/// The name under which everything but the kinds' endpoints is counted.
const SURFACE: &str = "api";

/// All of HTTP.
pub fn router(state: ApiState) -> Router {
    let kinds = state.kinds.clone();
    let app = Arc::new(App::new(state));
    app.dispatch.on_outdated({
        // Weakly: dispatch would hold what holds it.
        let app = Arc::downgrade(&app);
        move |signal: &Signal| {
            if let Some(app) = app.upgrade() {
                app.hear(signal);
            }
        }
    });
    app.dispatch.on_denied({
        let denials = Arc::clone(&app.denials);
        move |record: &Record, now| denials.admits_of_run(record, now)
    });

    let routes = Router::new()
        .merge(of_workspaces())
        .merge(of_triggers())
        .merge(of_instance())
        .merge(people())
        .route("/health", get(instance::health))
        .route("/ready", get(instance::ready))
        .route("/metrics", get(instance::metrics))
        .route("/openapi.json", get(instance::openapi))
        .route("/errors/{code}", get(pages::page))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method);

    let observer = Observer { app: Arc::clone(&app), surface: Arc::new(Surface::new(SURFACE)) };
    let routes = routes.layer(middleware::from_fn_with_state(observer, observe::layer)).with_state(Arc::clone(&app));
    kinds.endpoints().fold(routes, |routes, endpoint| routes.merge(mount::router(&app, Arc::clone(endpoint))))
}

/// Of one workspace each.
fn of_workspaces() -> Router<Arc<App>> {
    Router::new()
        .route("/api/w/{workspace}/scripts", get(scripts::list))
        .route("/api/w/{workspace}/scripts/{*path}", get(scripts::show).put(scripts::deploy))
        .route("/api/w/{workspace}/grants/{*path}", get(grants::show).patch(grants::change))
        .route("/api/w/{workspace}/versions/{*path}", get(scripts::versions))
        .route("/api/w/{workspace}/components/{digest}", get(scripts::component))
        .route("/api/w/{workspace}/programs/{*path}", get(scripts::program))
        .route("/api/w/{workspace}/runs", get(runs::list).post(runs::start))
        .route("/api/w/{workspace}/runs/cancel", post(runs::bulk::cancel))
        .route("/api/w/{workspace}/runs/rerun", post(runs::bulk::rerun))
        .route("/api/w/{workspace}/runs/{id}", get(runs::show))
        .route("/api/w/{workspace}/runs/{id}/result", get(runs::result))
        .route("/api/w/{workspace}/runs/{id}/log", get(runs::log))
        .route("/api/w/{workspace}/runs/{id}/events", get(runs::events))
        .route("/api/w/{workspace}/runs/{id}/cancel", post(runs::cancel))
        .route("/api/w/{workspace}/runs/{id}/rerun", post(runs::rerun))
        .route("/api/w/{workspace}/resource-types", get(resource_types::list))
        .route(
            "/api/w/{workspace}/resource-types/{name}",
            get(resource_types::show).put(resource_types::put).delete(resource_types::delete),
        )
        .route("/api/w/{workspace}/resources", get(resources::list))
        .route("/api/w/{workspace}/resources/{*path}", get(resources::show).put(resources::put).delete(resources::delete))
        .route("/api/w/{workspace}/variables", get(variables::list))
        .route("/api/w/{workspace}/variables/{*path}", get(variables::show).put(variables::put).delete(variables::delete))
        .route("/api/w/{workspace}/settings", get(settings::show).patch(settings::change))
        .route("/api/w/{workspace}/audit", get(audit::list))
        .route("/api/w/{workspace}/audit/export", get(audit::export))
        .route("/api/w/{workspace}/audit/verify", get(audit::verify))
        .route("/api/w/{workspace}/quotas", get(plans::quotas))
        .route("/api/w/{workspace}/usage", get(usage::show))
        .route("/api/w/{workspace}/dead-letters", get(letters::list))
        .route("/api/w/{workspace}/dead-letters/replay", post(letters::replay_many))
        .route("/api/w/{workspace}/dead-letters/discard", post(letters::discard_many))
        .route("/api/w/{workspace}/dead-letters/{id}", delete(letters::discard))
        .route("/api/w/{workspace}/dead-letters/{id}/replay", post(letters::replay))
        .route("/api/w/{workspace}/tokens", get(tokens::workspace::list).post(tokens::workspace::create))
        .route("/api/w/{workspace}/tokens/{id}", get(tokens::workspace::show).delete(tokens::workspace::revoke))
        .route("/api/w/{workspace}/tokens/{id}/rotate", post(tokens::workspace::rotate))
}

/// What is configured, and what becomes of its events.
fn of_triggers() -> Router<Arc<App>> {
    Router::new()
        .route("/api/w/{workspace}/triggers", get(triggers::list::list))
        .route("/api/w/{workspace}/triggers/{*path}", get(triggers::list::show).put(triggers::put::put).delete(triggers::put::delete))
        .route("/api/w/{workspace}/trigger-kinds", get(triggers::kinds::list))
        .route("/api/w/{workspace}/trigger-probes", post(triggers::trying::probe))
        .route("/api/w/{workspace}/trigger-previews", post(triggers::trying::preview))
        .route("/api/w/{workspace}/trigger-status/{*path}", get(triggers::status::show))
        .route("/api/w/{workspace}/trigger-mode/{*path}", post(triggers::put::mode))
        .route("/api/w/{workspace}/trigger-events/{*path}", get(triggers::events::list).post(triggers::events::act))
        .route("/api/w/{workspace}/held-runs/{*path}", post(triggers::held::act))
        .route("/api/w/{workspace}/route-description", get(triggers::description::show))
}

/// Of the installation.
fn of_instance() -> Router<Arc<App>> {
    Router::new()
        .route("/api/instance/tokens", get(tokens::instance::list).post(tokens::instance::create))
        .route("/api/instance/tokens/{id}", get(tokens::instance::show).delete(tokens::instance::revoke))
        .route("/api/instance/tokens/{id}/rotate", post(tokens::instance::rotate))
        .route("/api/instance/version", get(instance::version))
        .route("/api/instance/nodes", get(instance::nodes))
        .route("/api/instance/workspaces", get(workspaces::list).post(workspaces::create))
        .route("/api/instance/workspaces/{workspace}", get(workspaces::show).patch(workspaces::change).delete(workspaces::delete))
        .route("/api/instance/workspaces/{workspace}/archive", post(workspaces::archive))
        .route("/api/instance/workspaces/{workspace}/unarchive", post(workspaces::unarchive))
        .route("/api/instance/plans", get(plans::list))
        .route("/api/instance/plans/{plan}", get(plans::show).put(plans::put).delete(plans::delete))
        .route("/api/instance/usage", get(usage::all))
        .route("/api/instance/keys/rotate", post(keys::rotate))
        .route("/api/instance/audit", get(audit::instance::list))
        .route("/api/instance/audit/export", get(audit::instance::export))
        .route("/api/instance/audit/verify", get(audit::instance::verify))
}

/// Who logs in, and who may do what.
fn people() -> Router<Arc<App>> {
    Router::new()
        .route("/api/auth/login", post(session::login))
        .route("/api/auth/logout", post(session::logout))
        .route("/api/auth/me", get(session::me))
        .route("/api/auth/password", put(session::password))
        .route("/api/auth/sessions", get(sessions::list).delete(sessions::end_others))
        .route("/api/auth/sessions/{id}", delete(sessions::end))
        .route("/api/auth/invitation", post(session::accept))
        .route("/api/auth/oidc/start", get(single_sign_on::start))
        .route("/api/auth/oidc/callback", get(single_sign_on::callback))
        .route("/api/auth/oidc/exchange", post(handover::exchange))
        .route("/api/instance/users", get(users::list).post(users::create))
        .route("/api/instance/users/{name}", get(users::show).patch(users::change))
        .route("/api/instance/users/{name}/sessions", get(sessions::of_user).delete(sessions::end_of_user))
        .route("/api/w/{workspace}/members", get(members::list))
        .route("/api/w/{workspace}/members/{name}", put(members::put).delete(members::delete))
        .route("/api/w/{workspace}/invitations", get(members::invitations).post(members::invite))
        .route("/api/w/{workspace}/invitations/{id}", delete(members::withdraw))
        .route("/api/w/{workspace}/groups", get(groups::list))
        .route("/api/w/{workspace}/groups/{name}", get(groups::show).put(groups::put).delete(groups::delete))
        .route("/api/w/{workspace}/folders", get(folders::list))
        .route("/api/w/{workspace}/folders/{name}", get(folders::show).put(folders::put).delete(folders::delete))
        .route("/api/w/{workspace}/access", get(folders::items))
        .route("/api/w/{workspace}/access/{*path}", get(folders::item).put(folders::put_item))
        .route("/api/w/{workspace}/service-accounts", get(service_accounts::list))
        .route(
            "/api/w/{workspace}/service-accounts/{name}",
            get(service_accounts::show).put(service_accounts::put).delete(service_accounts::delete),
        )
}

async fn nothing_here() -> Problem {
    Problem::new(Code::NotFound, "there is nothing at this URL; /openapi.json lists what there is")
}

async fn wrong_method() -> Problem {
    Problem::new(Code::MethodNotAllowed, "`Allow` lists the methods that this URL takes")
}
