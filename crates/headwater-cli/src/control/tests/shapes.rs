//! Whether a value is what the OpenAPI file says: as much of JSON schema as that file uses.

use serde_json::Value;

/// What is wrong with `value`, if anything, as `schema` of `document` has it. Members that the schema does not name are wrong.
pub(super) fn wrong(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(path) = schema["$ref"].as_str() {
        let pointer = path.strip_prefix('#').unwrap();
        return wrong(document, document.pointer(pointer).unwrap(), value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let fits = choices
            .iter()
            .any(|choice| wrong(document, choice, value, at).is_none());
        return (!fits).then(|| format!("{at}: {value} is none of {choices:?}"));
    }
    if let Some(only) = schema.get("const") {
        return (only != value).then(|| format!("{at}: {value} is not {only}"));
    }
    if let Some(listed) = schema["enum"].as_array() {
        return (!listed.contains(value)).then(|| format!("{at}: {value} is not listed"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => return Some(format!("{at}: the schema has no type")),
    };
    if !types.iter().any(|kind| is(kind, value)) {
        return Some(format!("{at}: {value} is no {types:?}"));
    }
    match value {
        Value::Object(members) => {
            let mut required = schema["required"].as_array().into_iter().flatten();
            if let Some(name) = required.find(|name| !members.contains_key(name.as_str().unwrap()))
            {
                return Some(format!("{at}: {name} is missing"));
            }
            members.iter().find_map(|(name, member)| {
                let at = format!("{at}.{name}");
                let listed = schema["properties"].get(name);
                let Some(schema) = listed.or_else(|| {
                    schema["additionalProperties"]
                        .as_object()
                        .map(|_| &schema["additionalProperties"])
                }) else {
                    return Some(format!("{at}: it is not in the schema"));
                };
                wrong(document, schema, member, &at)
            })
        }
        Value::Array(items) => (items.iter())
            .find_map(|item| wrong(document, &schema["items"], item, &format!("{at}[]"))),
        _ => None,
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    }
}
