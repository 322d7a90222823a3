//! Keys that stand twice under one name, which YAML does not take for the same: `1` and `"1"`.

use std::collections::HashSet;

use super::report::Fault;
use super::tree::{Node, Value};

/// A fault for every key that another of its object has the text of.
pub fn find(node: &Node, faults: &mut Vec<Fault>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| find(item, faults)),
        Value::Object(entries) => {
            let mut known = HashSet::new();
            for (key, inner) in entries {
                if !known.insert(&key.text) {
                    faults.push(Fault {
                        seen: Some(key.text.clone()),
                        ..Fault::of_file("the same key twice").at_line(key.line)
                    });
                }
                find(inner, faults);
            }
        }
        _ => {}
    }
}
