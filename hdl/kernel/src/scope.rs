//! Names in a kernel: wires (`let`) and constants (loop indices, const generics, consts).

use proc_macro2::Ident;
use quote::format_ident;
use std::collections::HashMap;

/// What a local name stands for when the block is emitted.
#[derive(Clone)]
pub enum Local {
    /// A wire; the Rust variable of this name holds its expression.
    Wire(Ident),
    /// A plain Rust value.
    Constant,
}

#[derive(Default)]
pub struct Lower {
    scopes: Vec<HashMap<String, Local>>,
    fresh: usize,
    /// Of the source, not yet given to a statement: line and text.
    comments: Vec<(usize, String)>,
}

impl Lower {
    /// For a function with this body.
    pub fn of(body: &syn::Block) -> Self {
        let span = body.brace_token.span.join();
        let text = span.source_text().unwrap_or_default();
        let lines = text.lines().enumerate().filter_map(|(i, line)| {
            let comment = line.trim().strip_prefix("//")?;
            Some((span.start().line + i, comment.trim().to_string()))
        });
        Self { comments: lines.collect(), ..Self::default() }
    }

    /// The comments above a line that no statement has got.
    pub fn comments_above(&mut self, line: usize) -> Vec<String> {
        let here = self.comments.partition_point(|c| c.0 < line);
        self.comments.drain(..here).map(|c| c.1).collect()
    }

    pub fn enter(&mut self) {
        self.scopes.push(HashMap::new());
    }

    pub fn leave(&mut self) {
        self.scopes.pop();
    }

    pub fn bind(&mut self, name: &Ident) -> Ident {
        self.fresh += 1;
        let wire = format_ident!("__{}_{}", name.to_string().trim_start_matches('_'), self.fresh);
        self.insert(name, Local::Wire(wire.clone()));
        wire
    }

    pub fn constant(&mut self, name: &Ident) {
        self.insert(name, Local::Constant);
    }

    fn insert(&mut self, name: &Ident, local: Local) {
        if self.scopes.is_empty() {
            self.enter();
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_string(), local);
        }
    }

    pub fn find(&self, name: &Ident) -> Option<&Local> {
        let name = name.to_string();
        self.scopes.iter().rev().find_map(|s| s.get(&name))
    }
}
