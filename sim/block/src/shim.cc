// The C interface of a Verilated block, which model.rs loads. Ports are plain memory: Rust asks for
// their addresses once, and from then on only eval() is a call.

#include "Vblock.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif
#if VM_COVERAGE
#include "Vblock___024root.h"
#include "Vblock__Syms.h"
#include "coverage.h"
#endif

#include <memory>
#include <string>

#include "ports.h"  // PORTS(X): X(member) for every port, in order

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {
struct Failure {
    std::string what;
};

struct Instance {
    VerilatedContext context;
    std::unique_ptr<Vblock> model;
#if VM_TRACE
    std::unique_ptr<VerilatedFstC> trace;  // made late: it takes over the model's time unit
#endif
    std::string failure;

    // A failed model is not evaluated again, so the state that an exception leaves does not matter.
    template <typename F>
    const char* guarded(F f) {
        Verilated::threadContextp(&context);
        try {
            f();
            return nullptr;
        } catch (const Failure& e) {
            failure = e.what;
            return failure.c_str();
        }
    }
};
}  // namespace

// Replaces Verilator's own vl_fatal, which ends the process, and with it every other test.
void vl_fatal(const char* file, int line, const char*, const char* message) {
    throw Failure{std::string{file} + ":" + std::to_string(line) + ": " + message};
}

EXPORT Instance* block_new(int seed) {
    auto* block = new Instance;
    block->context.randReset(2);
    block->context.randSeed(seed);
#if VM_TRACE
    block->context.traceEverOn(true);
#endif
    block->guarded([&] { block->model = std::make_unique<Vblock>(&block->context, ""); });
    return block;
}

EXPORT void block_delete(Instance* block) {
    block->guarded([&] {
        if (block->failure.empty()) block->model->final();
#if VM_COVERAGE
        nitor::Coverage<Vblock>::add(*block->model);
#endif
#if VM_TRACE
        block->trace.reset();
#endif
    });
    Verilated::threadContextp(nullptr);
    delete block;
}

EXPORT void block_ports(Instance* block, void** ports) {
#define PORT(name) *ports++ = &block->model->name;
    PORTS(PORT)
#undef PORT
}

EXPORT const char* block_eval(Instance* block, uint64_t time) {
    return block->guarded([&] {
        block->context.time(time);
        block->model->eval();
    });
}

#if VM_TRACE
EXPORT const char* block_trace(Instance* block, const char* path) {
    return block->guarded([&] {
        block->trace = std::make_unique<VerilatedFstC>();
        block->model->trace(block->trace.get(), 99);
        block->trace->open(path);
    });
}

EXPORT void block_dump(Instance* block, uint64_t time) {
    block->trace->dump(time);
}
#endif
