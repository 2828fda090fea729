//! `[defaults]` under a service.

use serde_json::{Map, Value};

use super::keys::READY_CHECKS;

/// Of the keys of such a group one is chosen: a service's own replaces another of the defaults.
const GROUPS: [(&str, &[&str]); 3] =
    [("", &["command", "script"]), ("ready", &READY_CHECKS), ("reload", &["signal", "exec", "restart"])];

/// The keys of a service above those of the defaults: tables are merged, all else is replaced.
pub(super) fn merged(defaults: &Map<String, Value>, own: &Map<String, Value>) -> Map<String, Value> {
    let mut result = defaults.clone();
    drop_others(&mut result, own, "");
    // What runs a script of the defaults is nothing to a command.
    if own.contains_key("command") {
        result.remove("interpreter");
    }
    for (key, value) in own {
        if let (Some(Value::Object(below)), Value::Object(above)) = (result.get_mut(key), value) {
            drop_others(below, above, key);
            deep(below, above);
        } else {
            result.insert(key.clone(), value.clone());
        }
    }
    result
}

fn drop_others(below: &mut Map<String, Value>, above: &Map<String, Value>, table: &str) {
    for (_, group) in GROUPS.iter().filter(|(name, _)| *name == table) {
        if group.iter().any(|key| above.contains_key(*key)) {
            below.retain(|key, _| !group.contains(&key.as_str()));
        }
    }
}

fn deep(below: &mut Map<String, Value>, above: &Map<String, Value>) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => deep(below, above),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_merge_and_the_chosen_one_is_replaced() {
        for (defaults, own, result) in [
            (
                r#"{"restart":{"base":"1s","max":"9s"}}"#,
                r#"{"restart":{"max":"5s"}}"#,
                r#"{"restart":{"base":"1s","max":"5s"}}"#,
            ),
            (
                r#"{"args":["a"],"env":{"A":"1"}}"#,
                r#"{"args":[],"env":{"B":"2"}}"#,
                r#"{"args":[],"env":{"A":"1","B":"2"}}"#,
            ),
            (r#"{"meta":{"a":{"x":1}}}"#, r#"{"meta":{"a":{"y":2}}}"#, r#"{"meta":{"a":{"x":1,"y":2}}}"#),
            (
                r#"{"ready":{"tcp":"x:1","timeout":"1s"}}"#,
                r#"{"ready":{"http":"u"}}"#,
                r#"{"ready":{"http":"u","timeout":"1s"}}"#,
            ),
            (r#"{"script":"a.py","interpreter":"p"}"#, r#"{"command":["b"]}"#, r#"{"command":["b"]}"#),
            (r#"{"interpreter":"p"}"#, r#"{"script":"a"}"#, r#"{"interpreter":"p","script":"a"}"#),
            (r#"{"reload":{"signal":"HUP"}}"#, r#"{"reload":{"exec":["x"]}}"#, r#"{"reload":{"exec":["x"]}}"#),
        ] {
            let [defaults, own, result] = [defaults, own, result].map(|text| serde_json::from_str(text).unwrap());
            assert_eq!(merged(&defaults, &own), result);
        }
    }
}
