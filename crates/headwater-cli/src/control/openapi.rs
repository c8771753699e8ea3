//! `docs/openapi.json`: the HTTP interface as OpenAPI describes one, from the table of routes and the types of the JSON.

use hyper::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::routes::{Holds, ROUTES, Route, Who};

/// As `headwater schema openapi` prints it.
pub(crate) fn text() -> String {
    // A value of strings, numbers, lists and maps always prints.
    let mut text = serde_json::to_string_pretty(&generate()).unwrap_or_default();
    text.push('\n');
    text
}

pub(super) fn generate() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in &ROUTES {
        let operation = operation(route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Headwater",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The controls of a running headwater. Over TCP it wants a token; over the Unix socket beside the \
                checkpoint (NAME.sock) it wants none. Requests with unknown members are refused.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:8642", "description": "The default of --http." }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "HEADWATER_HTTP_TOKEN of the running process." },
            },
            "schemas": schemas,
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut out = json!({
        "operationId": format!("{:?}", route.asked).to_lowercase(),
        "summary": route.summary,
    });
    if route.who == Who::Anybody {
        out["security"] = json!([]);
    }
    if route.path.contains("{id}") {
        out["parameters"] = json!([{
            "name": "id",
            "in": "path",
            "required": true,
            "description": "The bootstrap's number.",
            "schema": { "type": "integer", "minimum": 1 },
        }]);
    }
    if route.path.contains("{fold}") {
        out["parameters"] = fold_parameters(route);
    }
    if let Some(body) = route.body {
        let schema = body(generator);
        out["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": schema } },
        });
    }
    let mut responses = Map::new();
    for (status, description, holds) in route.answers {
        responses.insert(
            status.as_str().to_owned(),
            response(*status, description, *holds, generator),
        );
    }
    out["responses"] = Value::Object(responses);
    out
}

fn fold_parameters(route: &Route) -> Value {
    let path = |name: &str, description: &str| json!({ "name": name, "in": "path", "required": true, "description": description, "schema": { "type": "string" } });
    let query = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "query", "required": false, "description": description, "schema": schema });
    let text = json!({ "type": "string" });
    let mut all = vec![path("fold", "The fold's name.")];
    if route.path.contains("{key}") {
        all.push(path("key", "The key; its parts are separated by `/`."));
    } else {
        all.push(query(
            "key",
            "A key.",
            json!({ "type": "array", "items": { "type": "string" } }),
        ));
        all.push(query(
            "top",
            "So many keys with the greatest values.",
            json!({ "type": "integer", "minimum": 1 }),
        ));
    }
    all.push(query(
        "from",
        "From when, inclusive: a day, a time of the fold's zone, or an instant.",
        text.clone(),
    ));
    all.push(query(
        "to",
        "To when: a day, inclusive; a time or an instant, exclusive.",
        text,
    ));
    all.push(query(
        "windows",
        "Whether each bucket is answered, too.",
        json!({ "type": "boolean" }),
    ));
    Value::Array(all)
}

fn response(
    status: StatusCode,
    description: &str,
    holds: Holds,
    generator: &mut SchemaGenerator,
) -> Value {
    let content = match holds {
        Holds::Json(shape) => json!({ "application/json": { "schema": shape(generator) } }),
        Holds::Text => json!({ "text/plain": { "schema": { "type": "string" } } }),
    };
    let mut out = json!({ "description": description, "content": content });
    if status == StatusCode::CREATED {
        out["headers"] = json!({
            "Location": { "description": "Its path.", "schema": { "type": "string" } },
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openapi_file_in_the_docs_is_the_one_of_this_version() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let is_the_same = committed == text();
        assert!(
            is_the_same,
            "run `headwater schema openapi > docs/openapi.json`"
        );
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = generate();
        let text = document.to_string();
        for (at, _) in text.match_indices("\"$ref\":\"") {
            let path = text.get(at + 8..).unwrap().split('"').next().unwrap();
            let pointer = path.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{path}");
        }
    }
}
