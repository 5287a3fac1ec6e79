//! A route as OpenAPI writes it. Its secrets are not in it.

use sandmill_model::trigger::Reply;
use serde_json::{Map, Value, json};

use super::{auth::Auth, ready::Ready};
use crate::web::body::MEDIA_TYPES;

/// See [`Endpoint::described`](sandmill_model::trigger::Endpoint::described).
pub(super) fn describe(ready: &Ready) -> Value {
    let (scheme, scheme_name) = security(&ready.auth).unzip();
    let parameters: Vec<Value> = ready.pattern.names().map(|name| in_path(name)).collect();
    let mut item = Map::new();
    for method in &ready.methods {
        let mut operation = json!({"parameters": parameters, "responses": responses(ready.reply)});
        // None needs none; what nobody can describe is left open.
        match (&ready.auth, &scheme_name) {
            (_, Some(name)) => operation["security"] = json!([{ name: [] }]),
            (Auth::None, None) => operation["security"] = json!([]),
            (_, None) => {}
        }
        if matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
            let content: Map<String, Value> = MEDIA_TYPES.iter().map(|media_type| ((*media_type).to_owned(), json!({}))).collect();
            operation["requestBody"] = json!({"content": content});
        }
        item.insert(method.as_str().to_ascii_lowercase(), operation);
    }
    let schemes: Map<String, Value> = scheme_name.zip(scheme).into_iter().collect();
    let path = ready.pattern.described();
    json!({"paths": { path: item }, "components": {"securitySchemes": schemes}})
}

/// With the name by which operations refer to it: equal ones have equal names.
fn security(auth: &Auth) -> Option<(Value, String)> {
    Some(match auth {
        Auth::None | Auth::Script(_) => return None,
        Auth::Token => (json!({"type": "http", "scheme": "bearer"}), "token".to_owned()),
        Auth::Basic { .. } => (json!({"type": "http", "scheme": "basic"}), "basic".to_owned()),
        Auth::ApiKey { header, .. } => {
            (json!({"type": "apiKey", "in": "header", "name": header.as_str()}), format!("key.{}", component(header.as_str())))
        }
        Auth::Signature(signature) => {
            let header = signature.header().as_str();
            let scheme = json!({"type": "apiKey", "in": "header", "name": header, "description": "A signature of the request"});
            (scheme, format!("signature.{}", component(header)))
        }
    })
}

/// What names of components may consist of.
fn component(header: &str) -> String {
    header.chars().map(|each| if each.is_ascii_alphanumeric() || matches!(each, '.' | '-' | '_') { each } else { '_' }).collect()
}

fn in_path(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
}

fn responses(reply: Reply) -> Value {
    let problem =
        json!({"description": "Problem details (RFC 9457)", "content": {"application/problem+json": {"schema": {"type": "object"}}}});
    let receipt = json!({
        "description": "The run is durable",
        "content": {"application/json": {"schema": {"type": "object", "properties": {"run_id": {"type": "string", "format": "uuid"}}}}},
    });
    match reply {
        Reply::Result | Reply::Raw => {
            let result = json!({"description": "What the script returned", "content": {"application/json": {"schema": {}}, "*/*": {}}});
            json!({"200": result, "202": receipt, "default": problem})
        }
        Reply::Receipt => json!({"202": receipt, "default": problem}),
        Reply::Events => {
            let events = json!({"description": "What happens in the run", "content": {"text/event-stream": {}}});
            json!({"200": events, "default": problem})
        }
    }
}
