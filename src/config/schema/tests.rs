use super::*;

/// As much of JSON Schema as ours uses. What it does not know is a failure.
fn valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let Value::Object(rules) = schema else { panic!("{schema}") };
    rules.iter().all(|(rule, arg)| match rule.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" => true,
        "$ref" => valid(root, root.pointer(&arg.as_str().unwrap()[1..]).unwrap(), value),
        "type" => match arg {
            Value::String(name) => is(name, value),
            names => names.as_array().unwrap().iter().any(|name| is(name.as_str().unwrap(), value)),
        },
        "enum" => arg.as_array().unwrap().contains(value),
        "const" => arg == value,
        "minimum" => value.as_f64().is_none_or(|n| n >= arg.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|n| n <= arg.as_f64().unwrap()),
        "minLength" => value.as_str().is_none_or(|s| s.len() as u64 >= arg.as_u64().unwrap()),
        "minItems" => value.as_array().is_none_or(|s| s.len() as u64 >= arg.as_u64().unwrap()),
        "pattern" => value.as_str().is_none_or(|s| regex_lite::Regex::new(arg.as_str().unwrap()).unwrap().is_match(s)),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| valid(root, arg, item))),
        "not" => !valid(root, arg, value),
        "anyOf" => arg.as_array().unwrap().iter().any(|one| valid(root, one, value)),
        "required" => arg.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
        "dependentSchemas" => arg
            .as_object()
            .unwrap()
            .iter()
            .all(|(name, schema)| value.get(name).is_none() || valid(root, schema, value)),
        "properties" => {
            arg.as_object().unwrap().iter().all(|(name, schema)| value.get(name).is_none_or(|v| valid(root, schema, v)))
        }
        "propertyNames" => {
            value.as_object().is_none_or(|o| o.keys().all(|name| valid(root, arg, &Value::from(name.as_str()))))
        }
        "additionalProperties" => {
            let named = rules.get("properties").and_then(Value::as_object);
            let others = value
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| named.is_none_or(|n| !n.contains_key(*name)));
            let mut others = others.map(|(_, value)| value);
            if *arg == Value::Bool(false) {
                others.next().is_none()
            } else {
                others.all(|value| valid(root, arg, value))
            }
        }
        other => panic!("the test does not know {other}"),
    })
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("{other}"),
    }
}

fn of_toml(text: &str) -> Value {
    let (tree, faults) = crate::config::read::read(crate::config::read::Format::Toml, text);
    assert!(faults.is_empty());
    tree.unwrap().data.to_json().unwrap()
}

#[test]
fn examples_fit_the_schema_and_wrong_ones_do_not() {
    let schema = schema();
    assert!(valid(&schema, &schema, &of_toml(include_str!("../../../examples/ocg/provost.toml"))));
    for line in [
        "command = 'x'\nport = '1-9'\nrestart = { base = '1h 30min', max = 7, tries = -1 }",
        "script = 'x'\nready = { http = 'http://x', timeout = '1.5' }\nenv = { A = 1 }",
        "command = ['x', 1]\nlimits = { memory = '2GiB', cpu = '150%' }\nsystemd = { PrivateTmp = true, AllowedCPUs = ['0-3', 8] }\nuser = 1000",
        "command = 'x'\nmeta = { a = { b = [] } }\ngpus = [0]\nstop = { signals = 'TERM' }\nafter = ['a.b']",
    ] {
        assert!(valid(&schema, &schema, &of_toml(&format!("[service.a]\n{line}"))), "{line}");
    }
    for line in [
        "prot = 1",
        "port = 0",
        "port = 'x'",
        "command = 'x'\nscript = 'y'",
        "ready = { tcp = 'x:1', notify = true }",
        "restart = { policy = 'x' }",
        "restart = { base = 'x' }",
        "enabled = 1",
        "env = { 'a-b' = '' }",
        "instances = 0",
        "command = []",
        "after = ['../x']",
        "systemd = { PrivateTmp = {} }",
        "systemd = { PrivatTmp = true }",
        "systemd = { ProtectSystem = 'all' }",
    ] {
        assert!(!valid(&schema, &schema, &of_toml(&format!("[service.a]\n{line}"))), "{line}");
    }
    assert!(!valid(&schema, &schema, &of_toml("[service.'../x']\ncommand = 'x'")));
    assert!(!valid(&schema, &schema, &of_toml("[services.x]\ncommand = 'x'")));
}
