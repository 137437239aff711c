//! Gives legal, unique Verilog names to signals, locals and modules.

use std::collections::{BTreeMap, BTreeSet};

/// Keywords of SystemVerilog (IEEE 1800-2017), and so of Verilog.
const SYSTEM_VERILOG: &str = "\
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic \
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle \
    checker class clocking cmos config const constraint context continue cover covergroup \
    coverpoint cross deassign default defparam design disable dist do edge else end endcase \
    endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface \
    endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable \
    endtask enum event eventually expect export extends extern final first_match for force \
    foreach forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone \
    ignore_bins illegal_bins implements implies import incdir include initial inout input inside \
    instance int integer interconnect interface intersect join join_any join_none large let \
    liblist library local localparam logic longint macromodule matches medium modport module \
    nand negedge nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null or output \
    package packed parameter pmos posedge primitive priority program property protected pull0 \
    pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase \
    randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos \
    rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared \
    sequence shortint shortreal showcancelled signed small soft solve specify specparam static \
    string strong strong0 strong1 struct super supply0 supply1 sync_accept_on sync_reject_on \
    table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 \
    tri1 triand trior trireg type typedef union unique unique0 unsigned until until_with untyped \
    use uwire var vectored virtual void wait wait_order wand weak weak0 weak1 while wildcard \
    wire with within wor xnor xor";

/// Keywords that Verilog-AMS 2.4 adds.
const VERILOG_AMS: &str = "\
    above abs absdelay absdelta abstol ac_stim access acos acosh aliasparam analog analysis asin \
    asinh atan atan2 atanh branch ceil connect connectmodule connectrules continuous cos cosh \
    ddt ddt_nature ddx discipline discrete domain driver_update endconnectrules enddiscipline \
    endnature endparamset exclude exp final_step flicker_noise floor flow from ground hypot idt \
    idt_nature idtmod inf initial_step laplace_nd laplace_np laplace_zd laplace_zp last_crossing \
    limexp ln log max merged min nature net_resolution noise_table noise_table_log paramset \
    potential pow resolveto sin sinh slew split sqrt tan tanh timer transition units white_noise \
    wreal zi_nd zi_np zi_zd zi_zp";

/// Words that single parsers (Verible, Icarus Verilog) reserve besides.
const PARSERS: &str = "\
    bool infinite option randomize sample timeprecision_check timeunit_check type_option wone";

/// Gives each internal name a Verilog name of its own.
#[derive(Default)]
pub struct Names {
    given: BTreeMap<String, String>,
    taken: BTreeSet<String>,
    /// Of the names taken, those that no scope frees.
    kept: BTreeSet<String>,
}

impl Names {
    /// The Verilog name of an internal name; the same each time.
    pub fn of(&mut self, internal: &str) -> String {
        self.like(internal, internal)
    }

    /// The Verilog name of an internal name, made like `stem` if it has none yet.
    pub fn like(&mut self, internal: &str, stem: &str) -> String {
        if let Some(name) = self.given.get(internal) {
            return name.clone();
        }
        let name = self.unique(stem);
        self.given.insert(internal.to_string(), name.clone());
        name
    }

    /// Gives another internal name the Verilog name `name`.
    pub fn same(&mut self, internal: &str, name: &str) {
        self.given.insert(internal.to_string(), name.to_string());
    }

    pub fn is_taken(&self, name: &str) -> bool {
        self.taken.contains(name)
    }

    /// Begins a scope: names that are taken in it are free again when it ends.
    pub fn scope(&self) -> BTreeSet<String> {
        self.taken.clone()
    }

    pub fn leave(&mut self, scope: BTreeSet<String>) {
        self.taken = scope;
        self.taken.extend(self.kept.iter().cloned());
    }

    /// A fresh name that is unique in the whole module, in whatever scope it is taken.
    pub fn kept(&mut self, stem: &str) -> String {
        let name = self.unique(stem);
        self.kept.insert(name.clone());
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

/// Whether some parser in use reserves the word.
pub fn is_keyword(name: &str) -> bool {
    let lists = [SYSTEM_VERILOG, VERILOG_AMS, PARSERS];
    lists.iter().any(|list| list.split(' ').any(|word| word == name))
}

/// `path::to::Fifo<Bits<8>, 4>` -> `fifo_8_4`.
pub fn module_name(type_name: &str) -> String {
    let (path, generics) = match type_name.split_once('<') {
        Some((path, rest)) => (path, rest),
        None => (type_name, ""),
    };
    let mut name = snake(path.rsplit("::").next().unwrap_or(path));
    for part in generics.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')) {
        let part = part.rsplit("::").next().unwrap_or(part);
        // A width needs no further word.
        if !part.is_empty() && part != "Bits" {
            name = format!("{name}_{}", snake(part));
        }
    }
    if is_keyword(&name) {
        name.push('_');
    }
    name
}

pub fn snake(camel: &str) -> String {
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
    fn what_is_kept_outlives_its_scope() {
        let mut names = Names::default();
        let scope = names.scope();
        assert_eq!((names.kept("PLACE"), names.unique("x")), ("PLACE".into(), "x".into()));
        names.leave(scope);
        assert_eq!((names.unique("PLACE"), names.unique("x")), ("PLACE_2".into(), "x".into()));
    }

    #[test]
    fn modules_are_named_after_their_types() {
        assert_eq!(module_name("a::b::Fifo<8, 4>"), "fifo_8_4");
        assert_eq!(module_name("a::Fifo<rust_hdl::Bits<8>, 4>"), "fifo_8_4");
        assert_eq!(module_name("a::Fifo<b::Beat<128>, 4>"), "fifo_beat_128_4");
        assert_eq!(module_name("TlpRx<128>"), "tlp_rx_128");
        assert_eq!(module_name("Module"), "module_");
    }

    /// Words that any parser reserves are avoided; a word as good as `unit` is not.
    #[test]
    fn words_of_any_parser_are_avoided() {
        for word in ["units", "flow", "log", "endclocking", "bufif0", "s_until", "sample", "wone"] {
            assert_eq!(Names::default().of(word), format!("{word}_"));
            assert_eq!(module_name(&format!("a::{word}")), format!("{word}_"));
        }
        for word in ["unit", "wire wor", "", "flows"] {
            assert!(!is_keyword(word), "{word}");
        }
        let lists = [SYSTEM_VERILOG, VERILOG_AMS, PARSERS].map(|list| list.split(' ').count());
        assert_eq!(lists, [248, 85, 9]);
    }

    #[test]
    fn names_are_legal_and_unique() {
        let mut names = Names::default();
        assert_eq!(names.of("a$b"), "a_b");
        assert_eq!(names.of("a_b"), "a_b_2");
        assert_eq!(names.of("a$b"), "a_b");
        assert_eq!(names.of("reg"), "reg_");
        assert_eq!(names.of("$units"), "units_");
        assert_eq!(names.unique("units"), "units__2");
        assert_eq!(names.like("r$q", "r"), "r");
        assert_eq!(names.of("r$q"), "r");
    }
}
