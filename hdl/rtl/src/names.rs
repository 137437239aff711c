//! Legal, unique Verilog names.

use std::collections::{BTreeMap, BTreeSet};

const KEYWORDS: &str = " alias always and assert assign automatic before begin bind bins bit break buf byte case casex casez cell \
 chandle checker class clocking cmos config const constraint context continue cover cross deassign default defparam design disable \
 dist do edge else end endcase endclass endfunction endgenerate endmodule endtask enum event expect export extends extern final \
 first_match for force foreach forever fork function generate genvar global highz0 highz1 if iff ifnone implements import include \
 initial inout input inside instance int integer interface join large let liblist library local localparam logic longint macromodule \
 matches medium modport module nand negedge nettype new nexttime nmos nor not null or output package packed parameter pmos posedge \
 primitive priority program property protected pull0 pull1 pulldown pullup pure rand randc randcase rcmos real realtime ref reg \
 reject_on release repeat restrict return rnmos rpmos rtran scalared sequence shortint shortreal signed small soft solve specify \
 specparam static string strong strong0 strong1 struct super supply0 supply1 table tagged task this throughout time timeprecision \
 timeunit tran tri tri0 tri1 triand trior trireg type typedef union unique unsigned until untyped use uwire var vectored virtual \
 void wait wand weak weak0 weak1 while wildcard wire with within wor xnor xor ";

/// Gives each internal name a Verilog name of its own.
#[derive(Default)]
pub struct Names {
    given: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Names {
    /// The Verilog name of an internal name; the same each time.
    pub fn of(&mut self, internal: &str) -> String {
        if let Some(name) = self.given.get(internal) {
            return name.clone();
        }
        let stem = match internal.strip_prefix('%') {
            Some(local) => local.split('%').next().unwrap_or("local"),
            None => internal,
        };
        let name = self.unique(stem);
        self.given.insert(internal.to_string(), name.clone());
        name
    }

    /// A fresh name like `stem`.
    pub fn unique(&mut self, stem: &str) -> String {
        let mut stem: String = stem
            .replace("::", "_")
            .replace('.', "$")
            .trim_start_matches('$')
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        if stem.is_empty() || stem.starts_with(|c: char| c.is_ascii_digit()) {
            stem.insert(0, 'n');
        }
        if is_keyword(&stem) {
            stem.push('_');
        }
        let mut name = stem.clone();
        let mut n = 1;
        while !self.taken.insert(name.clone()) {
            n += 1;
            name = format!("{stem}_{n}");
        }
        name
    }
}

pub fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&format!(" {name} "))
}

/// `path::to::Fifo<8, 4>` -> `fifo_8_4`.
pub fn module_name(type_name: &str) -> String {
    let (path, generics) = match type_name.split_once('<') {
        Some((path, rest)) => (path, rest),
        None => (type_name, ""),
    };
    let mut name = snake(path.rsplit("::").next().unwrap_or(path));
    for part in generics.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')) {
        let part = part.rsplit("::").next().unwrap_or(part);
        if !part.is_empty() {
            name = format!("{name}_{}", snake(part));
        }
    }
    if is_keyword(&name) {
        name.push('_');
    }
    name
}

fn snake(camel: &str) -> String {
    let mut out = String::new();
    let chars: Vec<char> = camel.chars().collect();
    for (i, &c) in chars.iter().enumerate() {
        let after_lower =
            i > 0 && (chars[i - 1].is_ascii_lowercase() || chars[i - 1].is_ascii_digit());
        if c.is_ascii_uppercase() && after_lower {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_after_their_types() {
        assert_eq!(module_name("a::b::Fifo<8, 4>"), "fifo_8_4");
        assert_eq!(module_name("TlpRx<128>"), "tlp_rx_128");
        assert_eq!(module_name("Module"), "module_");
    }

    #[test]
    fn names_are_legal_and_unique() {
        let mut names = Names::default();
        assert_eq!(names.of("a$b"), "a_b");
        assert_eq!(names.of("a_b"), "a_b_2");
        assert_eq!(names.of("a$b"), "a_b");
        assert_eq!(names.of("reg"), "reg_");
        assert_eq!(names.of("%sum%3"), "sum");
    }
}
