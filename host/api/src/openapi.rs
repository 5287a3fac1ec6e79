//! The description of the API, from the handlers; and of the endpoints of trigger kinds, from what these say: this crate does not know them.

mod endpoints;
mod grammar;

use sandmill_model::trigger::Kinds;
use utoipa::{
    OpenApi,
    openapi::{
        Content, Ref, RefOr, ResponseBuilder,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{
    pages,
    problem::ProblemBody,
    routes::{
        audit, folders, grants, groups, handover, instance, keys, letters, members, plans, resource_types, resources, runs, scripts,
        service_accounts, session, sessions, settings, single_sign_on, tokens, triggers, usage, users, variables, workspaces,
    },
    sessions::COOKIE,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Sandmill", description = "Run untrusted scripts, each run in a fresh WebAssembly sandbox.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    paths(
        scripts::list::list,
        scripts::show::show,
        scripts::deploy::deploy,
        grants::show,
        grants::change,
        scripts::versions::versions,
        scripts::download::component,
        scripts::download::program,
        runs::list::list,
        runs::start::start,
        runs::show::show,
        runs::result::result,
        runs::log::log,
        runs::events::events,
        runs::steer::cancel,
        runs::steer::rerun,
        resource_types::list,
        resource_types::show,
        resource_types::put,
        resource_types::delete,
        resources::list,
        resources::show,
        resources::put,
        resources::delete,
        variables::list,
        variables::show,
        variables::put,
        variables::delete,
        triggers::list::list,
        triggers::list::show,
        triggers::put::put,
        triggers::put::delete,
        triggers::put::mode,
        triggers::kinds::list,
        triggers::trying::probe,
        triggers::trying::preview,
        triggers::status::show,
        triggers::events::list,
        triggers::events::act,
        triggers::held::act,
        triggers::description::show,
        settings::show,
        settings::change,
        plans::quotas,
        usage::show,
        runs::bulk::cancel,
        runs::bulk::rerun,
        audit::list::list,
        audit::export::export,
        audit::verify::verify,
        letters::list,
        letters::replay,
        letters::discard,
        letters::replay_many,
        letters::discard_many,
        tokens::workspace::list,
        tokens::workspace::create,
        tokens::workspace::show,
        tokens::workspace::revoke,
        tokens::workspace::rotate,
        tokens::instance::list,
        tokens::instance::create,
        tokens::instance::show,
        tokens::instance::revoke,
        tokens::instance::rotate,
        session::login,
        session::logout,
        session::me,
        session::password,
        session::accept,
        sessions::list,
        sessions::end_others,
        sessions::end,
        single_sign_on::start,
        single_sign_on::callback,
        handover::exchange,
        users::list,
        users::show,
        users::create,
        users::change,
        sessions::of_user,
        sessions::end_of_user,
        members::list,
        members::put,
        members::delete,
        members::invitations,
        members::invite,
        members::withdraw,
        groups::list,
        groups::show,
        groups::put,
        groups::delete,
        folders::list,
        folders::show,
        folders::put,
        folders::delete,
        folders::item,
        folders::put_item,
        folders::items,
        service_accounts::list,
        service_accounts::show,
        service_accounts::put,
        service_accounts::delete,
        instance::version,
        instance::nodes,
        workspaces::list,
        workspaces::create,
        workspaces::show,
        workspaces::change,
        workspaces::archive,
        workspaces::unarchive,
        workspaces::delete,
        plans::list,
        plans::show,
        plans::put,
        plans::delete,
        usage::all,
        keys::rotate,
        audit::instance::list,
        audit::instance::export,
        audit::instance::verify,
        instance::health,
        instance::ready,
        instance::metrics,
        instance::openapi,
        pages::page,
    ),
    components(schemas(ProblemBody)),
    tags((name = "scripts", description = "Named pieces of user code, their versions and deployments"),
        (name = "runs", description = "Accepted requests to execute a version"),
        (name = "dead letters", description = "Runs that failed for good, until they are replayed or discarded"),
        (name = "resources", description = "Typed objects that scripts use, and their types"),
        (name = "variables", description = "Texts that scripts use"),
        (name = "tokens", description = "Who may call, for how long, and for what"),
        (name = "audit", description = "Who changed what, and who was denied what"),
        (name = "people", description = "Who logs in, and who may do what in a workspace"),
        (name = "workspaces", description = "Tenants"),
        (name = "triggers", description = "What starts runs: what is configured, and the URLs of each kind under its own prefix"),
        (name = "instance", description = "The installation itself")),
    security(("token" = []), ("session" = [])),
)]
struct Description;

/// Media types of what is no text.
const BYTES: [&str; 2] = ["application/wasm", "*/*"];
/// In `components`.
const PROBLEM: &str = "Problem";
/// Of whatever changes or starts something.
const CHANGING: [&str; 3] = ["409", "422", "507"];
/// Of whatever reads a body.
const READING: [&str; 2] = ["413", "415"];
/// Of whatever asks who calls.
const GUARDED: [&str; 3] = ["400", "401", "403"];
/// Of everything.
const ALL: [&str; 4] = ["404", "429", "500", "503"];
/// Of what answers with the result of a run: it may be gone, and the run may have taken too long.
const RESULT: [&str; 3] = ["410", "422", "504"];

/// What holds for every operation.
fn complete(openapi: &mut utoipa::openapi::OpenApi) {
    if let Some(components) = &mut openapi.components {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("or `?token=` in the URL"));
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
        let about = "of a person who is logged in; what changes something needs the header `X-Sandmill-CSRF`, too";
        let cookie = ApiKeyValue::with_description(COOKIE, about);
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
    let problem = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
    let failure = ResponseBuilder::new().description("Problem details").content("application/problem+json", problem).build();
    if let Some(components) = &mut openapi.components {
        components.responses.insert(PROBLEM.to_owned(), RefOr::T(failure));
    }
    for (path, item) in &mut openapi.paths.paths {
        for operation in [&mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten() {
            fails(operation, &CHANGING);
        }
        // What starts a run may wait for it.
        let results = [path.ends_with("/result").then_some(&mut item.get), path.ends_with("/runs").then_some(&mut item.post)];
        for operation in results.into_iter().flatten().flatten() {
            fails(operation, &RESULT);
        }
        for operation in [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten() {
            if operation.request_body.is_some() {
                fails(operation, &READING);
            }
            // Whoever logs in is not known yet, and may be refused.
            if operation.security.is_none() || path.starts_with("/api/auth/") {
                fails(operation, &GUARDED);
            }
            fails(operation, &ALL);
            // Whatever a later release may add.
            fails(operation, &["default"]);
            bytes_are_bytes(operation);
        }
    }
    grammar::describe(openapi);
}

/// A component is no array of numbers.
fn bytes_are_bytes(operation: &mut Operation) {
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        without_schema(body.content.iter_mut());
    }
    for answer in operation.responses.responses.values_mut() {
        if let RefOr::T(answer) = answer {
            without_schema(answer.content.iter_mut());
        }
    }
}

fn without_schema<'a>(contents: impl Iterator<Item = (&'a String, &'a mut RefOr<Content>)>) {
    for (_, content) in contents.filter(|(media_type, _)| BYTES.contains(&media_type.as_str())) {
        if let RefOr::T(content) = content {
            content.schema = None;
        }
    }
}

/// Says that the operation may be answered by a problem with each of these statuses.
fn fails(operation: &mut Operation, statuses: &[&str]) {
    for status in statuses {
        operation.responses.responses.entry((*status).to_owned()).or_insert_with(|| RefOr::Ref(Ref::from_response_name(PROBLEM)));
    }
}

/// OpenAPI 3.1 as JSON, as it is checked in and served; with what these kinds of trigger answer.
#[must_use]
pub fn openapi(kinds: &Kinds) -> String {
    let mut description = Description::openapi();
    endpoints::add(&mut description, kinds);
    complete(&mut description);
    let mut text = description.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
