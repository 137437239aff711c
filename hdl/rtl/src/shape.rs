//! Shapes of records: where their fields are, so that the emitter can name places in the Verilog.

use rust_hdl_core::prelude::clog2;
use rust_hdl_core::type_descriptor::{TypeDescriptor, TypeField, TypeKind};
use std::rc::Rc;

/// A record with the places of its fields.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    pub name: String,
    pub fields: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub at: usize,
    pub width: usize,
    /// The shape of the field, if it is a record.
    pub shape: Option<Rc<Shape>>,
}

impl Shape {
    /// None if the type is no record.
    pub fn of(descriptor: &TypeDescriptor) -> Option<Rc<Shape>> {
        let TypeKind::Composite(fields) = &descriptor.kind else { return None };
        let mut at = 0;
        let mut part = |field: &TypeField| {
            let (name, width) = (field.fieldname.clone(), width(&field.kind));
            at += width;
            Part { name, at: at - width, width, shape: Shape::of(&field.kind) }
        };
        let fields = fields.iter().map(|field| part(field)).collect();
        Some(Rc::new(Shape { name: descriptor.name.clone(), fields }))
    }
}

fn width(of: &TypeDescriptor) -> usize {
    match &of.kind {
        TypeKind::Bits(width) | TypeKind::Signed(width) => *width,
        TypeKind::Enum(states) => clog2(states.len()),
        TypeKind::Composite(fields) => fields.iter().map(|f| self::width(&f.kind)).sum(),
    }
}
