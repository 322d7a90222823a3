//! The roles as this process's file has them. Several may stand beside one another, or one after the other, with files
//! that differ: each judges by its own rules, and must not by the roles that another one has left in the store.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::mirror::{ConfigRole, join_built_in};
use super::{Graph, Node, RoleOrigin};
use crate::store::error::DbError;

/// The roles of a file. Clones are the same one. Without a file, what is stored counts as it is.
#[derive(Clone, Default)]
pub struct Filed(Arc<ArcSwapOption<Vec<ConfigRole>>>);

impl Filed {
    /// From now on these are the roles of the file.
    pub(super) fn set(&self, roles: Vec<ConfigRole>) {
        self.0.store(Some(Arc::new(roles)));
    }

    /// What is stored, but for the roles of files: those are what this file says. One that is of another file counts for
    /// nothing, as one that has left this one.
    ///
    /// # Errors
    /// When a built-in role is not spelled right.
    pub(in crate::store) fn over(&self, mut stored: Graph) -> Result<Graph, DbError> {
        if let Some(file) = &*self.0.load() {
            put(&mut stored, file)?;
        }
        Ok(stored)
    }
}

/// Puts a file's roles in the place of those of whatever file was there before, and built-in ones where it has none.
pub(super) fn put(graph: &mut Graph, file: &[ConfigRole]) -> Result<(), DbError> {
    for node in graph.nodes.values_mut() {
        if node.origin == RoleOrigin::Config {
            // What it included and gave is forgotten: if it comes back, it comes back from the file.
            *node = Node::empty(RoleOrigin::Retired);
        }
    }
    let roles = file.iter().map(|role| (role.name.clone(), role.node()));
    graph.nodes.extend(roles);
    join_built_in(graph)
}
