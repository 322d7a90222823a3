//! The JSON Schema of `gateway.yaml`: what editors show, and the one list of the keys that are known.
//!
//! The reader asks here which keys an object may have, so that the two cannot drift apart.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

/// The schema, as `portcullis schema` prints it.
pub const TEXT: &str = include_str!("schema.json");

static KEYS: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(|| {
    // That the text is JSON is tested below; were it not, no key would be known and every file refused.
    let schema: Value = serde_json::from_str(TEXT).unwrap_or_default();
    let shapes = schema
        .get("$defs")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    shapes
        .map(|(name, shape)| (name.clone(), keys_of(shape)))
        .collect()
});

/// The keys that an object of this shape may have: a definition of the schema.
pub fn keys(shape: &str) -> Vec<&'static str> {
    KEYS.get(shape)
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect()
}

/// A value of this kind (`string`, `integer`) as an object of this shape, where such objects cannot be without one certain
/// key, and that takes it.
pub fn around(shape: &str, value: &str, kind: &str) -> Option<String> {
    let schema: Value = serde_json::from_str(TEXT).ok()?;
    let shape = schema.get("$defs")?.get(shape)?;
    let [key] = shape.get("required")?.as_array()?.as_slice() else {
        return None;
    };
    let key = key.as_str()?;
    let wanted = shape.get("properties")?.get(key)?.get("type");
    match wanted.and_then(Value::as_str) {
        Some("array") if kind == "string" => Some(format!("write {{ {key}: [{value}] }}")),
        // What is said by a definition of its own is text.
        wanted if wanted.unwrap_or("string") == kind => Some(format!("write {{ {key}: {value} }}")),
        _ => None,
    }
}

fn keys_of(shape: &Value) -> Vec<String> {
    let properties = shape.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(|keys| keys.keys().cloned())
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    thread_local! {
        static ASKED: RefCell<BTreeSet<(String, String)>> = RefCell::default();
    }

    /// Notes that the reader asked for a key.
    pub(in crate::config) fn asked(shape: &str, key: &str) {
        ASKED.with_borrow_mut(|asked| asked.insert((shape.to_owned(), key.to_owned())));
    }

    #[test]
    fn the_reader_asks_for_exactly_the_keys_of_the_schema() {
        ASKED.with_borrow_mut(BTreeSet::clear);
        let text = include_str!("testdata/everything.yaml");
        let env = |name: &str| {
            Some(match name {
                "KEY" => "0".repeat(64),
                "HOOK_SECRET" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
                _ => "correct horse".to_owned(),
            })
        };
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(
            folder.path().join("key.pem"),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
        crate::crypto::client_roots::tests::write(folder.path());
        std::fs::write(folder.path().join("page.html"), "<h1>Back soon</h1>").unwrap();
        let config = crate::config::Config::from_text(text, folder.path(), &env);
        let config = config.unwrap_or_else(|report| panic!("{report}"));
        assert!(
            crate::config::policy_test::run(&config)
                .iter()
                .all(crate::config::policy_test::TestOutcome::passed)
        );
        let asked = ASKED.with_borrow(Clone::clone);
        let objects = KEYS
            .iter()
            .flat_map(|(shape, keys)| keys.iter().map(|key| (shape.clone(), key.clone())));
        assert_eq!(asked, objects.collect());
    }

    #[test]
    fn every_key_is_described_and_every_object_is_closed() {
        let schema: Value = serde_json::from_str(TEXT).unwrap();
        for (name, shape) in schema["$defs"].as_object().unwrap() {
            for (key, value) in shape["properties"].as_object().into_iter().flatten() {
                let target = value["$ref"]
                    .as_str()
                    .map(|path| &schema["$defs"][path.rsplit('/').next().unwrap()]);
                let described = [Some(value), target]
                    .into_iter()
                    .flatten()
                    .any(|v| v["description"].is_string());
                assert!(described, "{name}.{key} has no description");
                assert!(
                    target.is_none_or(|target| !target.is_null()),
                    "{name}.{key} refers to nothing"
                );
            }
            if shape["properties"].is_object() {
                assert_eq!(shape["additionalProperties"], Value::Bool(false), "{name}");
            }
        }
    }

    #[test]
    fn events_in_the_schema_are_those_that_are_told() {
        let schema: Value = serde_json::from_str(TEXT).unwrap();
        let listed = &schema["$defs"]["hook"]["properties"]["events"]["items"]["enum"];
        let told: Vec<&str> = crate::identity::hooks::Topic::offered()
            .map(crate::identity::hooks::Topic::as_str)
            .collect();
        assert_eq!(*listed, serde_json::json!(told));
    }

    #[test]
    fn what_comes_later_is_not_in_the_schema() {
        for (shape, known) in KEYS.iter() {
            let later = super::super::later::keys(shape);
            assert!(
                known.iter().all(|key| !later.contains(&key.as_str())),
                "{shape}"
            );
        }
    }
}
