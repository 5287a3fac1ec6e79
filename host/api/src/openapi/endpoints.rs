//! Endpoints of trigger kinds. A kind says which URLs it has and which bodies it takes; all else is the same for all, for the host does it.

use sandmill_model::trigger::{Kinds, Operation as Said, Reply};
use utoipa::{
    ToSchema,
    openapi::{
        Content, HttpMethod, KnownFormat, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder, SchemaFormat,
        SecurityRequirement, Type,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::{RequestBody, RequestBodyBuilder},
        schema::SchemaType,
    },
};

use super::{CHANGING, GUARDED, RESULT, fails};
use crate::{answers::RunReceipt, events::EventData};

/// Groups them.
const TAG: &str = "triggers";

/// Adds what all of them say.
pub(super) fn add(openapi: &mut OpenApi, kinds: &Kinds) {
    for endpoint in kinds.endpoints() {
        // Where only what is stored takes requests, that says who is let in: it may be anybody.
        let is_open = endpoint.plain().is_none();
        for said in endpoint.operations() {
            // No kind has another method; one that had would be missed by the test of its operations.
            let Some(method) = method(said.method) else { continue };
            openapi.paths.add_path_operation(format!("/{}/{}", endpoint.prefix(), said.path), vec![method], operation(said, is_open));
        }
    }
}

fn method(name: &str) -> Option<HttpMethod> {
    Some(match name {
        "GET" => HttpMethod::Get,
        "PUT" => HttpMethod::Put,
        "POST" => HttpMethod::Post,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => return None,
    })
}

fn operation(said: &Said, is_open: bool) -> Operation {
    let names = said.path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let mut parameters: Vec<Parameter> = names.map(|(name, _)| in_path(name)).collect();
    parameters.push(in_header("Idempotency-Key", Type::String, "1 to 255 characters: the same request again starts nothing twice"));
    if said.reply == Reply::Events {
        let about = "With the key of a run that was started: id of the last event that was seen";
        parameters.push(in_header("Last-Event-ID", Type::Integer, about));
    }
    let operation = OperationBuilder::new().tag(TAG).summary(Some(said.summary)).parameters(Some(parameters)).request_body(body(said.body));
    // No endpoint looks at a cookie.
    let operation = operation.security(SecurityRequirement::new("token", Vec::<String>::new()));
    let operation = if is_open { operation.security(SecurityRequirement::default()) } else { operation };
    let mut operation = match said.reply {
        Reply::Result | Reply::Raw => operation.response("200", result()).response("202", receipt("Still running at the wait limit")),
        Reply::Receipt => operation.response("202", receipt("The run is durable")),
        Reply::Events => operation.response("200", events()).response("204", empty("The end was the last event that was seen")),
    }
    .build();
    fails(&mut operation, &CHANGING);
    fails(&mut operation, &GUARDED);
    if matches!(said.reply, Reply::Result | Reply::Raw) {
        fails(&mut operation, &RESULT);
    }
    operation
}

fn in_path(name: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True).schema(Some(schema)).build()
}

fn in_header(name: &str, kind: Type, about: &str) -> Parameter {
    let format = (kind == Type::Integer).then_some(SchemaFormat::KnownFormat(KnownFormat::Int64));
    let schema = ObjectBuilder::new().schema_type(kind).format(format);
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
    parameter.description(Some(about)).schema(Some(schema)).build()
}

/// Whatever is JSON.
fn any() -> Content {
    Content::new(Some(ObjectBuilder::new().schema_type(SchemaType::AnyValue)))
}

fn body(media_types: &[&str]) -> Option<RequestBody> {
    let first = RequestBodyBuilder::new().description(Some("What the script is started with; nothing is as good as an empty object"));
    let all = media_types.iter().fold(first, |body, media_type| body.content(*media_type, any()));
    (!media_types.is_empty()).then(|| all.required(Some(Required::False)).build())
}

fn result() -> RefOr<Response> {
    let about = "The result: JSON, or bytes with their own content type. A script may answer with a status and headers of its own, too";
    // The bytes lose their schema where all are described.
    RefOr::T(ResponseBuilder::new().description(about).content("application/json", any()).content("*/*", any()).build())
}

fn receipt(about: &str) -> RefOr<Response> {
    let receipt = Content::new(Some(Ref::from_schema_name(RunReceipt::name())));
    RefOr::T(ResponseBuilder::new().description(about).content("application/json", receipt).build())
}

fn events() -> RefOr<Response> {
    let data = Content::new(Some(Ref::from_schema_name(EventData::name())));
    RefOr::T(ResponseBuilder::new().description("The data of each event is JSON").content("text/event-stream", data).build())
}

fn empty(about: &str) -> RefOr<Response> {
    RefOr::T(ResponseBuilder::new().description(about).build())
}
