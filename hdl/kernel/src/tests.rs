//! What kernels refuse: where the error points, and what it says.

use crate::lowered;

/// The source an error points at, and its text.
fn refusal(kernel: &str) -> (String, String) {
    let item = syn::parse_str(kernel).unwrap_or_else(|e| panic!("{e}: {kernel}"));
    match lowered(&item) {
        Ok(_) => panic!("not refused: {kernel}"),
        Err(e) => (e.span().source_text().unwrap_or_default(), e.to_string()),
    }
}

/// Statements, the place that is refused, and a part of the message.
fn refused(cases: &[(&str, &str, &str)]) {
    for (body, place, message) in cases {
        let kernel = format!("fn update(&mut self) {{ let a = self.a.val(); {body} }}");
        let (at, text) = refusal(&kernel);
        assert_eq!(at, *place, "{body}: {text}");
        assert!(text.contains(message), "{body}: {text}");
    }
}

fn accepted(body: &str) -> String {
    let kernel = format!("fn update(&mut self) {{ let a = self.a.val(); {body} }}");
    let item = syn::parse_str(&kernel).unwrap();
    lowered(&item).unwrap_or_else(|e| panic!("{e}: {body}")).to_string()
}

#[test]
fn matches() {
    let arms = |arms: &str| format!("match a {{ {arms} _ => {{}} }}");
    let patterns = "patterns are states, integers, constants, `|` and `_`";
    for (arm, place, message) in [
        ("0 if c => {}", "c", "use `if`"),
        ("0..=3 => {}", "0..=3", patterns),
        ("0..3 => {}", "0..3", patterns),
        ("other => {}", "other", patterns),
        ("n @ 3 => {}", "n @ 3", patterns),
        ("(0, 1) => {}", "(0, 1)", patterns),
        ("Some(x) => {}", "Some(x)", patterns),
        ("\"x\" => {}", "\"x\"", patterns),
        ("1 | 2..=3 => {}", "2..=3", patterns),
        ("1 | _ => {}", "_", "`_` stands alone"),
    ] {
        refused(&[(&arms(arm), place, message)]);
        let value = format!("let x = {};", arms(arm).replace("{}", "a,"));
        refused(&[(&value, place, message)]);
    }
    accepted(&arms("0 | LIMIT | Self::TOP | (4) => {}"));
    accepted("for i in 0..4 { match a { i => {} _ => {} } }");
}

#[test]
fn loops() {
    let ranges = "`for i in a..b`";
    refused(&[
        ("while a.any() { }", "while a.any() { }", ranges),
        ("loop { }", "loop { }", ranges),
        ("for r in self.regs.iter() { }", "self.regs.iter()", ranges),
        ("for i in (0..4).rev() { }", "(0..4).rev()", ranges),
        ("for i in 0.. { }", "0..", ranges),
        ("for i in 0..a { }", "0..a", ranges),
        ("for (i, j) in 0..4 { }", "(i, j)", "a loop index is one name"),
        ("for i in 0..4 { if i == 2 { break; } }", "break", "without `break`"),
        ("for i in 0..4 { if i == 2 { continue; } }", "continue", "use `if`"),
    ]);
    accepted("for i in 0..4 { self.r[i * 2 + 1].next = a; }");
    accepted("for i in 0..=N - 1 { self.r[i].next = a; }");
}

#[test]
fn control_flow() {
    refused(&[
        ("if a.any() { return; }", "return", "no early `return`"),
        ("let f = |x| x + 1;", "|x| x + 1", "write a `#[kernel] fn`"),
        ("let b = a.get_bits::<4>((|| 1)());", "|| 1", "closures"),
        ("if let 0 = a { }", "let 0 = a", "use `match`"),
        ("let b = if a.any() { a };", "if a.any() { a }", "needs an `else`"),
        ("let b = { self.x.next = a; };", "{ self.x.next = a; }", "end in a value"),
        ("#[cfg(test)] { self.x.next = a; }", "#[cfg(test)]", "the simulator alone"),
        ("fn inner() {}", "fn inner() {}", "`const` and `use`"),
    ]);
    let early = "fn f(a: Bits<8>) -> Bits<8> { if a.any() { return a; } a }";
    let (place, text) = refusal(early);
    assert_eq!(place, "return a");
    assert!(text.contains("`if c { a } else { b }`"), "{text}");
}

#[test]
fn bindings_and_assignments() {
    let target = "assign to `self.signal.next` or to a `let mut`";
    refused(&[
        ("let (x, y) = a;", "(x, y)", "binds one name"),
        ("let x: Bits<8>;", "let x: Bits<8>;", "needs a value"),
        ("let mut v = a; v += 1;", "v += 1", "`x = x + y`"),
        ("self.x = a;", "self.x", target),
        ("self.r[0] = a;", "self.r[0]", target),
        ("nowhere = a;", "nowhere", target),
        ("self.r[a].next = a;", "a", "indexed by constants"),
        ("self.0.next = a;", "self.0", "tuple fields"),
        ("self.x.next = b;", "b", "`b` is no local of this kernel"),
    ]);
}

#[test]
fn shadowing_binds_anew() {
    // An inner variable is none of the outer one's; a loop index hides a wire only in the loop.
    let text =
        accepted("let a = a + 1; for a in 0..2 { self.r[a].next = lit::<4>(a); } self.x.next = a;");
    assert!(text.contains("__a_2 . clone ()"), "{text}");
    refused(&[("{ let b = a; } self.x.next = b;", "b", "`b` is no local")]);
}

#[test]
fn variables_are_assigned_in_statements() {
    let message = "assign variables and signals in statements";
    let conditional = "if a.any() { v = a; a } else { a }";
    let chosen = "match a { 0 => { v = a; a } _ => a }";
    let nested = "match a { 0 => { if a.any() { v = a; } a } _ => a }";
    for value in [conditional, chosen, nested] {
        let body = format!("let mut v = a; self.x.next = {value};");
        refused(&[(&body, value, message)]);
    }
    accepted("self.x.next = match a { 0 => { let mut w = a; w = w + 1; w } _ => a };");
}

#[test]
fn expressions() {
    refused(&[
        ("self.x.next = a * a;", "*", "unsupported operator"),
        ("self.x.next = a / a;", "/", "unsupported operator"),
        ("self.x.next = -a;", "-a", "unsupported operator"),
        ("self.x.next = &a;", "&a", "does not lower"),
        ("self.x.next = (a, a);", "(a, a)", "does not lower"),
        ("self.x.next = vec![a];", "vec![a]", "does not lower"),
        ("self.x.next = a.count_ones();", "count_ones", "`count_ones` does not lower"),
        ("self.x.next = a.get_bits(3);", "a.get_bits(3)", "`get_bits::<N>(..)`"),
        ("self.x.next = a.get_bit();", "a.get_bit()", "`get_bit` takes 1 arguments"),
        ("self.x.next = a.replace_bit(1);", "a.replace_bit(1)", "takes 2"),
        ("self.x.next = a.set_slice(1, a);", "a.set_slice(1, a)", "`set_slice::<N>(..)`"),
        ("self.x.next = a.val();", "a", "not a signal of this block"),
    ]);
}

#[test]
fn literals_and_calls() {
    refused(&[
        ("self.x.next = lit(3);", "lit(3)", "`lit::<N>(..)`"),
        ("self.x.next = lit::<8>(a);", "a", "`lit` takes a constant"),
        ("self.x.next = lit::<8>(3, 4);", "lit::<8>(3, 4)", "arguments to `lit`"),
        ("self.x.next = bit_cast(a);", "bit_cast(a)", "`bit_cast::<M, _>(..)`"),
        ("self.x.next = cat(a, a);", "cat(a, a)", "`cat::<A, B, C>(hi, lo)`"),
        ("self.x.next = u64::from(a);", "u64::from(a)", "`Bits::<1>::from(bit)`"),
        ("self.x.next = Bits::<8>::default();", "Bits::<8>::default()", "`lit::<N>(0)`"),
        ("self.x.next = (self.f)(a);", "(self.f)(a)", "by its path"),
        ("print(a);", "print(a)", "only `join` and `link`"),
        ("join(&mut self.a);", "join(&mut self.a)", "only `join` and `link`"),
        ("join(self.a, self.b);", "self.a", "give `&mut self.x`"),
        ("println!(\"x\");", "println!(\"x\")", "`registers!` and `clocked!`"),
        ("assert!(a.any());", "assert!(a.any())", "`registers!` and `clocked!`"),
    ]);
    // Whether a helper exists only rustc can say: it looks for its companion, at the name of the call.
    let text = accepted("self.x.next = common::helper::<8>(a);");
    assert!(text.contains("common :: helper__hdl :: < 8 >"), "{text}");
}

#[test]
fn signatures() {
    for (kernel, place, message) in [
        ("fn step(&mut self) {}", "fn step(&mut self)", "`fn update(&mut self)`"),
        ("fn update(&mut self, n: usize) {}", "fn update(&mut self, n: usize)", "`fn update"),
        ("fn f((a, b): (Bit, Bit)) -> Bit { a }", "(a, b)", "plain arguments"),
        ("fn f(a: Bit) -> Bit { let b = a; }", "{ let b = a; }", "end in a value"),
    ] {
        let (at, text) = refusal(kernel);
        assert_eq!(at, place, "{kernel}: {text}");
        assert!(text.contains(message), "{kernel}: {text}");
    }
}
