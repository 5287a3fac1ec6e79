//! What a request would change, by the route that it matched: routes that are added are recorded without a word here.

use http::Method;
use percent_encoding::percent_decode_str;
use sandmill_model::{
    RunId,
    audit::{TARGET_BYTES_MAX, bounded},
};

/// Starts of runs are no changes: the runs themselves tell of them.
pub(crate) const STARTS: [&str; 5] = [
    "/api/w/{workspace}/runs",
    "/api/w/{workspace}/runs/rerun",
    "/api/w/{workspace}/runs/{id}/rerun",
    "/api/w/{workspace}/dead-letters/replay",
    "/api/w/{workspace}/dead-letters/{id}/replay",
];

/// What is sent is only looked at, and nothing changes.
pub(crate) const LOOKS: [&str; 1] = ["/api/w/{workspace}/trigger-previews"];

/// `/api/auth/…` is for those who are not known yet.
const OPEN: &str = "auth";

/// A login that browsers come to by themselves, from another site: it changes something for all that.
const LOGIN: &str = "/api/auth/oidc/callback";

/// Names that say more than method and resource.
const NAMES: [(&str, &str); 10] = [
    ("scripts.put", "scripts.deploy"),
    ("dead-letters.delete", "dead-letters.discard"),
    ("trigger-probes.create", "triggers.probe"),
    ("trigger-mode.create", "triggers.mode"),
    ("trigger-events.create", "triggers.events"),
    ("held-runs.create", "triggers.held"),
    ("auth.callback", "auth.oidc"),
    ("auth.delete", "sessions.end"),
    ("auth.sessions", "sessions.end"),
    ("users.sessions", "sessions.end"),
];

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// `resource.verb`
    pub(super) action: String,
    /// Name of the workspace; none: it is about the installation.
    pub(super) workspace: Option<String>,
    /// What comes after the resource in the URL.
    pub(super) target: String,
    /// Nobody needs to be known for it: it is how one becomes known.
    pub(super) is_open: bool,
}

impl Operation {
    /// None: it changes nothing.
    pub(super) fn of(method: &Method, pattern: &str, path: &str) -> Option<Self> {
        let mut verb = match method.as_str() {
            "PUT" => "put",
            "POST" => "create",
            "PATCH" => "change",
            "DELETE" => "delete",
            "GET" if pattern == LOGIN => "callback",
            _ => return None,
        };
        let rest = pattern.strip_prefix("/api/")?;
        if method == Method::POST && (STARTS.contains(&pattern) || LOOKS.contains(&pattern)) {
            return None;
        }
        let names: Vec<&str> = rest.split('/').collect();
        let values: Vec<&str> = path.strip_prefix("/api/")?.split('/').collect();
        // `w/{workspace}/…`; a workspace as such is the installation's: its own chain goes with it.
        let is_in_workspace = names[0] == "w" && names.len() > 2;
        let (resource_at, resource) = match names[0] {
            "w" if is_in_workspace => (2, names[2]),
            "w" => (0, "workspaces"),
            "instance" => (1, names.get(1).copied()?),
            other => (0, other),
        };
        let mut target = values.get(resource_at + 1..).unwrap_or_default();
        if names.len() > resource_at + 1
            && let Some(last) = names.last().filter(|last| !last.starts_with('{'))
        {
            verb = *last;
            target = target.split_last().map_or(target, |(_, before)| before);
        }
        let action = format!("{resource}.{verb}");
        let action = NAMES.iter().find(|(plain, _)| *plain == action).map_or(action, |(_, name)| (*name).to_owned());
        let workspace = is_in_workspace.then(|| values.get(1).copied().unwrap_or_default().to_owned());
        let target = bounded(&as_read(&target.join("/")), TARGET_BYTES_MAX);
        Some(Self { action, workspace, target, is_open: resource_at == 0 && resource == OPEN })
    }
}

/// As handlers read it: else a letter that is encoded, or an id in another form, would hide what was changed.
fn as_read(target: &str) -> String {
    let decoded = percent_decode_str(target).decode_utf8_lossy();
    decoded.parse::<RunId>().map_or_else(|_| decoded.into_owned(), |id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_say_what_they_change() {
        let check = |method: &str, pattern: &str, path: &str, expected: Option<(&str, Option<&str>, &str)>| {
            let found = Operation::of(&method.parse().unwrap(), pattern, path);
            let expected = expected.map(|(action, workspace, target)| Operation {
                action: action.to_owned(),
                workspace: workspace.map(str::to_owned),
                target: target.to_owned(),
                is_open: pattern.starts_with("/api/auth/"),
            });
            assert_eq!(found, expected, "{method} {pattern}");
        };
        let w = "/api/w/{workspace}";
        let own = Some("w");
        check("PUT", &format!("{w}/scripts/{{*path}}"), "/api/w/w/scripts/f/a/b", Some(("scripts.deploy", own, "f/a/b")));
        check("PUT", &format!("{w}/scripts/{{*path}}"), "/api/w/w/scripts/f/%61/%62", Some(("scripts.deploy", own, "f/a/b")));
        let id = "01999999-9999-7999-8999-99999999999a";
        let braced = format!("/api/w/w/tokens/%7B{}%7D", id.to_uppercase());
        check("DELETE", &format!("{w}/tokens/{{id}}"), &braced, Some(("tokens.delete", own, id)));
        check("GET", &format!("{w}/scripts/{{*path}}"), "/api/w/w/scripts/f/a/b", None);
        check("PATCH", &format!("{w}/grants/{{*path}}"), "/api/w/w/grants/f/a/b", Some(("grants.change", own, "f/a/b")));
        check("PATCH", &format!("{w}/settings"), "/api/w/w/settings", Some(("settings.change", own, "")));
        check("DELETE", &format!("{w}/resource-types/{{name}}"), "/api/w/w/resource-types/x", Some(("resource-types.delete", own, "x")));
        check("POST", &format!("{w}/runs"), "/api/w/w/runs", None);
        check("POST", &format!("{w}/runs/{{id}}/rerun"), "/api/w/w/runs/7/rerun", None);
        check("POST", &format!("{w}/runs/{{id}}/cancel"), "/api/w/w/runs/7/cancel", Some(("runs.cancel", own, "7")));
        check("POST", &format!("{w}/runs/cancel"), "/api/w/w/runs/cancel", Some(("runs.cancel", own, "")));
        check("DELETE", &format!("{w}/dead-letters/{{id}}"), "/api/w/w/dead-letters/7", Some(("dead-letters.discard", own, "7")));
        check("POST", &format!("{w}/tokens"), "/api/w/w/tokens", Some(("tokens.create", own, "")));
        check("PUT", &format!("{w}/triggers/{{*path}}"), "/api/w/w/triggers/f/a/b", Some(("triggers.put", own, "f/a/b")));
        check("POST", &format!("{w}/trigger-mode/{{*path}}"), "/api/w/w/trigger-mode/f/a/b", Some(("triggers.mode", own, "f/a/b")));
        check("POST", &format!("{w}/trigger-events/{{*path}}"), "/api/w/w/trigger-events/f/a/b", Some(("triggers.events", own, "f/a/b")));
        check("POST", &format!("{w}/held-runs/{{*path}}"), "/api/w/w/held-runs/f/a/b", Some(("triggers.held", own, "f/a/b")));
        check("POST", &format!("{w}/trigger-probes"), "/api/w/w/trigger-probes", Some(("triggers.probe", own, "")));
        check("POST", &format!("{w}/trigger-previews"), "/api/w/w/trigger-previews", None);
        check("POST", "/api/instance/keys/rotate", "/api/instance/keys/rotate", Some(("keys.rotate", None, "")));
        check("PUT", "/api/instance/workspaces/{name}", "/api/instance/workspaces/x", Some(("workspaces.put", None, "x")));
        check("DELETE", w, "/api/w/x", Some(("workspaces.delete", None, "x")));
        check("POST", "/api/w", "/api/w", Some(("workspaces.create", None, "")));
        check("POST", "/api/auth/login", "/api/auth/login", Some(("auth.login", None, "")));
        check("DELETE", "/api/auth/sessions", "/api/auth/sessions", Some(("sessions.end", None, "")));
        check("DELETE", "/api/auth/sessions/{id}", "/api/auth/sessions/7", Some(("sessions.end", None, "sessions/7")));
        check("DELETE", "/api/instance/users/{name}/sessions", "/api/instance/users/ann/sessions", Some(("sessions.end", None, "ann")));
        check("POST", "/api/auth/oidc/exchange", "/api/auth/oidc/exchange", Some(("auth.exchange", None, "oidc")));
        check("GET", "/api/auth/oidc/callback", "/api/auth/oidc/callback", Some(("auth.oidc", None, "oidc")));
        check("GET", "/api/auth/oidc/start", "/api/auth/oidc/start", None);
        check("POST", "/p/{*rest}", "/p/w/run/f/a/b", None);
        let long = format!("/api/w/w/scripts/{}", "x".repeat(9_000));
        let found = Operation::of(&Method::PUT, "/api/w/{workspace}/scripts/{*path}", &long).unwrap();
        assert_eq!(found.target.len(), TARGET_BYTES_MAX);
    }
}
