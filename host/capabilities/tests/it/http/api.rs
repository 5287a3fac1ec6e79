//! Requests to the platform's own API.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use sandmill_capabilities::{
    RunFacts,
    http::{AddressPolicy, ApiAccess, ApiPort, NoCredentials, OutboundOptions},
};
use sandmill_model::{
    BoxFuture, Grants, Input, JsonText, RunId,
    auth::{Scope, SharedScopes},
};
use serde_json::{Value, json};

use super::{Names, options, server::Server};
use crate::testing::{Testbed, attempt, json, testbed_with};

/// Every run has a token.
struct Api {
    address: SocketAddr,
    asked: Mutex<Vec<(RunId, Vec<String>)>>,
}

impl ApiPort for Api {
    fn access(&self, run: RunId, scopes: SharedScopes) -> BoxFuture<'_, Result<ApiAccess, String>> {
        self.asked.lock().unwrap().push((run, scopes.iter().map(Scope::to_string).collect()));
        let access = ApiAccess { address: self.address, token: "sr_secret_of_the_run".to_owned() };
        Box::pin(async move { Ok(access) })
    }
}

/// Nothing on this machine may be connected to.
fn bed() -> Testbed {
    let options = OutboundOptions { policy: AddressPolicy::default(), ..options(&Names::here()) };
    testbed_with("http", options, Arc::new(NoCredentials))
}

fn facts(api: &[&str], http: &[&str]) -> Arc<RunFacts> {
    let api = api.iter().map(|grant| grant.parse().unwrap()).collect();
    let http = http.iter().map(|grant| grant.parse().unwrap()).collect();
    Arc::new(RunFacts::of(attempt(Input::Arguments(JsonText::empty_object())), Arc::new(Grants { api, http, ..Grants::default() })))
}

#[tokio::test]
async fn a_request_goes_to_the_node_with_the_runs_token() {
    let (server, bed) = (Server::start().await, bed());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    let api = Arc::new(Api { address, asked: Mutex::default() });
    bed.outbound.reach_api(api.clone());
    let own = facts(&["runs:read:f/test/*"], &[]);
    let asked = json!([{
        "authority": "sandmill.internal", "path": "/api/w/default/runs?x", "alone": true,
        "headers": [["authorization", "Bearer mine"], ["cookie", "a=b"], ["x-forwarded-for", "192.0.2.7"], ["x-own", "1"]]
    }]);
    let outcome = bed.http(Arc::clone(&own), &asked).await;
    let results: Value = json(&outcome);
    assert_eq!(results[0]["status"], 200, "{results} {:?}", outcome.log);
    assert!(!results.to_string().contains("sr_secret_of_the_run"), "whoever is asked may repeat it: {results}");
    let seen = &server.seen()[0];
    assert_eq!(seen["uri"], "/api/w/default/runs?x");
    let mut headers: Vec<Vec<String>> = serde_json::from_value(seen["headers"].clone()).unwrap();
    headers.sort();
    let expected = [["authorization", "Bearer sr_secret_of_the_run"], ["host", &address.to_string()], ["x-own", "1"]];
    assert_eq!(headers, expected);
    assert_eq!(*api.asked.lock().unwrap(), [(own.attempt.run, vec!["runs:read:f/test/*".to_owned()])]);
}

#[tokio::test]
async fn nothing_else_leads_there() {
    let (server, bed) = (Server::start().await, bed());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    bed.outbound.reach_api(Arc::new(Api { address, asked: Mutex::default() }));
    let here = format!("http://*:{}", server.port());
    let everything = [here.as_str(), "http://*", "https://*"];
    for (api, authority, path, error) in [
        // Without a grant of it, whatever else is granted.
        (&[][..], "sandmill.internal", "/api/w/default/runs", "HttpRequestDenied"),
        (&["runs:read:*"], "sandmill.internal", "/api/w/other/runs", "HttpRequestDenied"),
        (&["runs:read:*"], "sandmill.internal", "/api/w/default2/runs", "HttpRequestDenied"),
        (&["runs:read:*"], "sandmill.internal", "/api/w/default/%2e%2e/other/runs", "HttpRequestDenied"),
        (&["runs:read:*"], "sandmill.internal", "/api/instance/nodes", "HttpRequestDenied"),
        (&["runs:read:*"], "sandmill.internal", "/metrics", "HttpRequestDenied"),
        // A grant of requests does not lead to this machine.
        (&["runs:read:*"], &address.to_string(), "/api/w/default/runs", "DestinationIpProhibited"),
    ] {
        let outcome = bed.http(facts(api, &everything), &json!([{ "authority": authority, "path": path }])).await;
        let results: Value = json(&outcome);
        assert_eq!(results[0]["error"], error, "{authority}{path}: {results}");
    }
    assert!(server.seen().is_empty());
}
