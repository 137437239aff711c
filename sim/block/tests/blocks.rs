//! Tests of the harness itself, with small hand-written Verilog.

use nitor_block::bitvec::prelude::*;
use nitor_block::stream::{cycle, Sink, Source, Stalls};
use nitor_block::{lint, Block, Error, Model, Port};
use proptest::prelude::*;
use std::sync::LazyLock;

const COUNTER: &str = "
module counter(input clock, input reset, input [7:0] step, output reg [7:0] count, output wrapped);
    wire [8:0] sum = {1'b0, count} + {1'b0, step};
    assign wrapped = sum[8];
    always @(posedge clock)
        if (reset) count <= 0;
        else count <= sum[7:0];
endmodule
";

/// Four entries; `$` in the names as an emitter of flattened interfaces might put it.
const FIFO: &str = "
module fifo #(parameter D = 100) (
    input clock, input reset,
    input input$valid, input [D-1:0] input$data, input input$last, output input$ready,
    output output$valid, output [D-1:0] output$data, output output$last, input output$ready
);
    reg [D:0] store [0:3];
    reg [2:0] head, tail;
    wire [2:0] used = head - tail;
    assign input$ready = used != 3'd4;
    assign output$valid = head != tail;
    assign {output$last, output$data} = store[tail[1:0]];
    always @(posedge clock) begin
        if (input$valid && input$ready) begin
            store[head[1:0]] <= {input$last, input$data};
            head <= head + 3'd1;
        end
        if (output$valid && output$ready) tail <= tail + 3'd1;
        if (reset) begin
            head <= 0;
            tail <= 0;
        end
    end
endmodule
";

fn counter() -> Model {
    let ports = [
        Port::input("clock", 1),
        Port::input("reset", 1),
        Port::input("step", 8),
        Port::output("count", 8),
        Port::output("wrapped", 1),
    ];
    Model::build(COUNTER, "counter", &ports).unwrap()
}

fn fifo() -> &'static Model {
    static FIFO_MODEL: LazyLock<Model> = LazyLock::new(|| {
        let ports = [
            Port::input("clock", 1),
            Port::input("reset", 1),
            Port::input("input$valid", 1),
            Port::input("input$data", 100),
            Port::input("input$last", 1),
            Port::output("input$ready", 1),
            Port::output("output$valid", 1),
            Port::output("output$data", 100),
            Port::output("output$last", 1),
            Port::input("output$ready", 1),
        ];
        Model::build(FIFO, "fifo", &ports).unwrap()
    });
    &FIFO_MODEL
}

/// A model of the one-line module `t` with these ports.
fn build(verilog: &str, ports: &[Port]) -> Result<Model, Error> {
    Model::build(verilog, "t", ports)
}

fn panic_of(run: impl FnOnce() + Send + 'static) -> String {
    let payload = std::thread::spawn(run).join().expect_err("should panic");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| text.to_string())).unwrap()
}

#[test]
fn counts() {
    let mut block = counter().block(1);
    block.reset(2);
    assert_eq!((block.cycles(), block.get("count")), (2, 0));
    let (step, count, wrapped) = (block.port("step"), block.port("count"), block.port("wrapped"));
    let mut expected = 0u8;
    for i in 0..1000u32 {
        let by = (i * 37) as u8;
        block.set(step, by.into());
        block.eval();
        let (sum, overflow) = expected.overflowing_add(by);
        assert_eq!(block.get(wrapped), overflow.into());
        block.tick();
        expected = sum;
        assert_eq!(block.get(count), expected.into());
    }
    assert_eq!(block.cycles(), 1002);
}

#[test]
fn initial_state_follows_the_seed() {
    let model = counter();
    let initial = |seed| {
        let mut block = model.block(seed);
        block.eval();
        block.get("count")
    };
    assert_eq!(initial(7), initial(7));
    let mut seen: Vec<u64> = (0..16).map(initial).collect();
    seen.sort();
    seen.dedup();
    assert!(seen.len() > 8, "{seen:?}");
    // The upper half of a seed counts too.
    assert!((0..8u64).map(|i| initial(i << 40)).any(|value| value != initial(0)));
}

#[test]
fn every_width_round_trips() {
    for width in [1, 7, 8, 9, 16, 17, 32, 33, 63, 64, 65, 96, 100, 128, 512, 517] {
        let verilog = format!(
            "module t(input [{0}:0] a, output [{0}:0] same, output [{0}:0] inverted);
             assign same = a; assign inverted = ~a; endmodule",
            width - 1
        );
        let ports =
            [Port::input("a", width), Port::output("same", width), Port::output("inverted", width)];
        let mut block = build(&verilog, &ports).unwrap().block(0);
        let pattern: BitVec = (0..width).map(|i| i % 3 == 0 || i % 7 == 2).collect();
        block.set_bits("a", &pattern);
        block.eval();
        assert_eq!(block.get_bits("same"), pattern);
        assert_eq!(block.get_bits("inverted"), !pattern.clone());
        if width <= 64 {
            assert_eq!(block.get("same"), pattern.load_le::<u64>());
        }
        if width % 8 == 0 {
            let bytes: Vec<u8> = (0..width / 8).map(|i| i as u8 ^ 0xa5).collect();
            block.set_bytes("a", &bytes);
            block.eval();
            assert_eq!(block.get_bytes("same"), bytes);
        }
    }
}

#[test]
fn any_name_will_do() {
    let verilog = r"module \a$b-c (input \in[0] , input class, output \x__y ); assign \x__y = \in[0] & class; endmodule";
    let ports = [Port::input("in[0]", 1), Port::input("class", 1), Port::output("x__y", 1)];
    let mut block = Model::build(verilog, "a$b-c", &ports).unwrap().block(0);
    block.set("in[0]", 1);
    block.set("class", 1);
    block.eval();
    assert_eq!(block.get("x__y"), 1);
}

#[test]
fn modules_may_come_one_by_one() {
    let modules = vec![
        ("inner", "module inner(input a, output b); assign b = !a; endmodule"),
        ("t", "module t(input a, output b); inner i(.a(a), .b(b)); endmodule"),
    ];
    let ports = [Port::input("a", 1), Port::output("b", 1)];
    let mut block = Model::build(modules, "t", &ports).unwrap().block(0);
    block.eval();
    assert_eq!(block.get("b"), 1);
}

#[test]
fn blocks_run_in_parallel_and_move_between_threads() {
    let model = counter();
    let threads: Vec<_> = (0..4u64)
        .map(|step| {
            let mut block = model.block(step);
            block.reset(1);
            std::thread::spawn(move || {
                block.set("step", step);
                (0..10_000).for_each(|_| block.tick());
                block
            })
        })
        .collect();
    for (step, thread) in threads.into_iter().enumerate() {
        let mut block = thread.join().unwrap();
        block.tick();
        assert_eq!(block.get("count"), step as u64 * 10_001 % 256);
    }
}

#[test]
fn ports_must_be_what_they_are_said_to_be() {
    let verilog = "module t(input [3:0] a, output b); assign b = ^a; endmodule";
    let error = |ports: &[Port]| match build(verilog, ports) {
        Err(Error::Tool { output, .. }) => output,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("{ports:?} accepted"),
    };
    let b = Port::output("b", 1);
    assert!(error(&[Port::input("a", 3), b.clone()]).contains("WIDTH"));
    assert!(error(&[Port::input("a", 5), b.clone()]).contains("WIDTH"));
    assert!(error(std::slice::from_ref(&b)).contains("PINMISSING"));
    assert!(error(&[Port::input("a", 4), b.clone(), Port::input("c", 1)]).contains("PINNOTFOUND"));
    assert!(error(&[Port::output("a", 4), b.clone()]).contains("UNDRIVEN"));
    assert!(error(&[Port::input("a", 4), Port::input("b", 1)]).contains("ASSIGNIN"));
}

#[test]
fn mistakes_are_told_clearly() {
    let told = |run: fn(&mut Block), what: &str| {
        let mut block = counter().block(0);
        let message = panic_of(move || run(&mut block));
        assert!(message.contains(what), "{message}");
    };
    told(|block| block.set("stop", 1), "no port `stop`; it has clock, reset, step");
    told(|block| block.set("step", 256), "0x100 does not fit into the 8 bits of `step`");
    told(|block| block.set("count", 1), "`count` is an output");
    told(|block| block.set_bits("step", bits![0; 9]), "bits for `step`");
}

#[test]
fn a_failing_model_panics_and_leaves_the_others_alone() {
    let ports = [Port::input("clock", 1), Port::input("a", 1)];
    let verilog = "module t(input clock, input a);
        always @(posedge clock) if (a) $stop; endmodule";
    let model = build(verilog, &ports).unwrap();
    let mut other = model.block(0);
    let mut block = model.block(0);
    block.set("a", 0);
    block.tick();
    block.set("a", 1);
    let message = panic_of(move || block.tick());
    assert!(message.contains("`t` in cycle 1") && message.contains("block.v:2"), "{message}");
    other.set("a", 0);
    other.tick();

    let verilog = "module t(input a, output b); assign b = a & !b; endmodule";
    let mut block = build(verilog, &[Port::input("a", 1), Port::output("b", 1)]).unwrap().block(0);
    block.set("a", 1);
    let message = panic_of(move || block.eval());
    assert!(message.contains("converge"), "{message}");
}

#[test]
fn traces() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counter.fst");
    let mut block = counter().block(3);
    block.set("step", 5);
    block.trace(&path).unwrap();
    block.reset(1);
    (0..100).for_each(|_| block.tick());
    assert_eq!(block.get("count"), 500 % 256);
    assert!(matches!(block.trace(&path), Err(Error::Trace(_))));
    drop(block);
    assert!(path.metadata().unwrap().len() > 200);

    let nowhere = folder.path().join("no/such/folder.fst");
    assert!(matches!(counter().block(0).trace(nowhere), Err(Error::Io(..))));
}

#[test]
fn linters_have_their_say() {
    lint(COUNTER, "counter").unwrap();
    lint(FIFO, "fifo").unwrap();
    let width = "module t(input [3:0] a, output b); assign b = a; endmodule";
    assert!(lint(width, "t").unwrap_err().contains("WIDTH"));
    let syntax = "module t(input a, output b) assign b = a; endmodule";
    assert!(lint(syntax, "t").unwrap_err().contains("syntax error"));
}

proptest! {
    #[test]
    fn a_fifo_keeps_order_under_any_stalls(
        beats in prop::collection::vec((any::<[u64; 2]>(), any::<bool>()), 0..200),
        seeds in any::<[u64; 3]>(),
    ) {
        let beat = |(words, last): &([u64; 2], bool)| -> (BitVec, bool) {
            let mut data = words.view_bits::<Lsb0>().iter().by_vals().collect::<BitVec>();
            data.truncate(100);
            (data, *last)
        };
        let beats: Vec<(BitVec, bool)> = beats.iter().map(beat).collect();
        let mut block = fifo().block(seeds[0]);
        let mut source = Source::new(&block, "input", Stalls::seeded(seeds[1]));
        let mut sink = Sink::<(BitVec, bool)>::new(&block, "output", Stalls::seeded(seeds[2]));
        block.reset(1);
        source.extend(beats.iter().cloned());
        while sink.received().len() < beats.len() {
            cycle(&mut block, &mut [&mut source, &mut sink]);
            prop_assert!(block.cycles() < 100_000);
        }
        for _ in 0..20 {
            cycle(&mut block, &mut [&mut source, &mut sink]);
        }
        prop_assert_eq!(sink.received(), beats.as_slice());
        prop_assert_eq!(source.sent(), beats.len());
    }
}

/// Runs a block that breaks a rule of streams with a sink, which must detect it. Returns the
/// message.
fn rule_broken(body: &str) -> String {
    let verilog = format!(
        "module t(input clock, input o_ready, output o_valid, output [7:0] o_data);
         reg [7:0] n; initial n = 0; always @(posedge clock) n <= n + 1; {body} endmodule"
    );
    let ports = [
        Port::input("clock", 1),
        Port::input("o_ready", 1),
        Port::output("o_valid", 1),
        Port::output("o_data", 8),
    ];
    let mut block = build(&verilog, &ports).unwrap().block(0);
    panic_of(move || {
        let mut sink = Sink::<u64>::new(&block, "o", Stalls::new(1, 50));
        (0..1000).for_each(|_| cycle(&mut block, &mut [&mut sink]));
    })
}

#[test]
fn sinks_see_broken_rules() {
    let fell = rule_broken("assign o_valid = n[0]; assign o_data = 0;");
    assert!(fell.contains("valid fell before ready"), "{fell}");
    let changed = rule_broken("assign o_valid = 1; assign o_data = n;");
    assert!(changed.contains("payload changed before ready"), "{changed}");
}

/// Two memories that nothing writes.
#[test]
fn unwritten_memories_hold_another_random_word_everywhere() {
    const MEMORIES: &str = "
module memory(input [3:0] at, output [69:0] word);
    (* ram_style = \"block\" *) reg [69:0] mem [0:15];
    assign word = mem[at];
endmodule
module t(input [3:0] at, output [69:0] even, output [69:0] odd);
    memory a(.at(at), .word(even));
    memory b(.at(at), .word(odd));
endmodule
";
    let ports = [Port::input("at", 4), Port::output("even", 70), Port::output("odd", 70)];
    let model = build(MEMORIES, &ports).unwrap();
    let words = |seed| {
        let mut block = model.block(seed);
        let mut all = Vec::new();
        for at in 0..16 {
            block.set("at", at);
            block.eval();
            for port in ["even", "odd"] {
                all.push(block.get_bits(port).to_bitvec());
            }
        }
        all
    };
    let first = words(1);
    assert!(first.iter().all(|word| word[..32].any() && word[32..64].any()));
    let different: std::collections::HashSet<_> = first.iter().chain(&words(2)).cloned().collect();
    assert_eq!(different.len(), 64);
    assert_eq!(words(1), first);
}
