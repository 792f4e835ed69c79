// SPDX-License-Identifier: BSD-3-Clause
//
// A plug-in of QEMU that counts what an arm64 program does between its marks (marks.h):
// instructions, loads and stores, distinct 64-byte lines of data and of code, cache maintenance by
// line, barriers, and accesses to a block of registers. Everything is counted as the architecture
// defines it: nothing here knows what any of it costs on a processor.
//
//   -plugin libbudget_counter.so,registers=BYTES,out=FILE      one line of JSON per kReportMark
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "tests/budget/marks.h"
#include "tests/budget/qemu_plugin.h"

namespace {

constexpr unsigned kLineShift = 6;

struct Counts {
    std::uint64_t regions = 0;  // from a kBeginMark to its kEndMark
    std::uint64_t instructions = 0;
    std::uint64_t loads = 0;
    std::uint64_t stores = 0;
    std::uint64_t data_lines = 0;  // distinct in a region, summed up
    std::uint64_t code_lines = 0;
    std::uint64_t cleaned = 0;  // dc cvac
    std::uint64_t dropped = 0;  // dc civac
    std::uint64_t barriers = 0;
    std::uint64_t atomics = 0;
    std::uint64_t register_reads = 0;
    std::uint64_t register_writes = 0;
};

/// What an instruction is beside an instruction.
enum class Kind : std::uint8_t { other, clean, drop, barrier, atomic };

struct Insn {
    std::uint64_t line = 0;
    Kind kind = Kind::other;
};

// One region at a time, of one thread; others run on uncounted.
std::mutex g_lock;
bool g_is_counting = false;
unsigned g_vcpu = 0;
bool g_registers_follow = false;
std::vector<std::uint64_t> g_registers;  // where each block begins
std::uint64_t g_register_bytes = 0;
Counts g_counts;
std::unordered_set<std::uint64_t> g_data_lines;
std::unordered_set<std::uint64_t> g_code_lines;
std::FILE* g_out = nullptr;

bool is_ours(unsigned vcpu) {
    return g_is_counting && vcpu == g_vcpu;
}

Kind kind_of(std::uint32_t word) {
    constexpr std::uint32_t kAnyRegister = 0xffffffe0;
    if ((word & kAnyRegister) == 0xd50b7a20) {
        return Kind::clean;
    }
    if ((word & kAnyRegister) == 0xd50b7e20) {
        return Kind::drop;
    }
    // dsb, dmb and isb of any kind
    if ((word & 0xfffff01fU) == 0xd503301f && (word >> 5U & 7U) >= 4) {
        return Kind::barrier;
    }
    // Exclusive loads and stores, and the atomic instructions of later processors.
    if ((word & 0x3f800000U) == 0x08000000 || (word & 0x3b200c00U) == 0x38200000) {
        return Kind::atomic;
    }
    return Kind::other;
}

void begin(unsigned vcpu, void* /*own*/) {
    const std::lock_guard hold(g_lock);
    g_is_counting = true;
    g_vcpu = vcpu;
}

void end(unsigned vcpu, void* /*own*/) {
    const std::lock_guard hold(g_lock);
    if (!is_ours(vcpu)) {
        return;
    }
    g_is_counting = false;
    ++g_counts.regions;
    g_counts.data_lines += g_data_lines.size();
    g_counts.code_lines += g_code_lines.size();
    g_data_lines.clear();
    g_code_lines.clear();
}

void report(unsigned /*vcpu*/, void* /*own*/) {
    const std::lock_guard hold(g_lock);
    const Counts& c = g_counts;
    const auto number = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
    (void)std::fprintf(
        g_out,
        "{\"regions\":%llu,\"instructions\":%llu,\"loads\":%llu,\"stores\":%llu,\"data_lines\":%"
        "llu,"
        "\"code_lines\":%llu,\"cleaned\":%llu,\"dropped\":%llu,\"barriers\":%llu,\"atomics\":%llu,"
        "\"register_reads\":%llu,\"register_writes\":%llu}\n",
        number(c.regions), number(c.instructions), number(c.loads), number(c.stores),
        number(c.data_lines), number(c.code_lines), number(c.cleaned), number(c.dropped),
        number(c.barriers), number(c.atomics), number(c.register_reads), number(c.register_writes));
    (void)std::fflush(g_out);
    g_counts = {};
}

void registers_follow(unsigned /*vcpu*/, void* /*own*/) {
    g_registers_follow = true;
}

void executed(unsigned vcpu, void* own) {
    if (!is_ours(vcpu)) {
        return;
    }
    const auto& insn = *static_cast<const Insn*>(own);
    ++g_counts.instructions;
    g_code_lines.insert(insn.line);
    switch (insn.kind) {
        case Kind::clean:
            ++g_counts.cleaned;
            break;
        case Kind::drop:
            ++g_counts.dropped;
            break;
        case Kind::barrier:
            ++g_counts.barriers;
            break;
        case Kind::atomic:
            ++g_counts.atomics;
            break;
        case Kind::other:
            break;
    }
}

void accessed(unsigned vcpu, MemoryInfo info, std::uint64_t address, void* /*own*/) {
    if (g_registers_follow) {
        g_registers_follow = false;
        g_registers.push_back(address);
        return;
    }
    if (!is_ours(vcpu)) {
        return;
    }
    const bool is_store = qemu_plugin_mem_is_store(info);
    if (std::any_of(g_registers.begin(), g_registers.end(), [address](std::uint64_t first) {
            return address - first < g_register_bytes;
        })) {
        ++(is_store ? g_counts.register_writes : g_counts.register_reads);
        return;
    }
    ++(is_store ? g_counts.stores : g_counts.loads);
    const std::uint64_t last = address + (std::uint64_t{1} << qemu_plugin_mem_size_shift(info)) - 1;
    for (std::uint64_t line = address >> kLineShift; line <= last >> kLineShift; ++line) {
        g_data_lines.insert(line);
    }
}

ExecutionCallback callback_of(std::uint32_t word) {
    using namespace crema::budget;
    switch (word) {
        case hint(kRegistersMark):
            return registers_follow;
        case hint(kBeginMark):
            return begin;
        case hint(kEndMark):
            return end;
        case hint(kReportMark):
            return report;
        default:
            return nullptr;
    }
}

void translated(PluginId /*id*/, TranslationBlock* block) {
    const std::size_t n = qemu_plugin_tb_n_insns(block);
    for (std::size_t i = 0; i < n; ++i) {
        TranslatedInsn* const insn = qemu_plugin_tb_get_insn(block, i);
        std::uint32_t word = 0;
        std::memcpy(&word, qemu_plugin_insn_data(insn), sizeof word);
        if (const ExecutionCallback callback = callback_of(word); callback != nullptr) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, callback, CallbackFlags::no_registers,
                                                   nullptr);
            continue;
        }
        // QEMU keeps the pointer as long as it keeps the translation, which is to the end.
        auto* const own =
            new Insn{.line = qemu_plugin_insn_vaddr(insn) >> kLineShift, .kind = kind_of(word)};
        qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, CallbackFlags::no_registers, own);
        qemu_plugin_register_vcpu_mem_cb(insn, accessed, CallbackFlags::no_registers,
                                         Accesses::both, nullptr);
    }
}

}  // namespace

int qemu_plugin_version = 1;

int qemu_plugin_install(PluginId id, const void* /*about*/, int argc, char** argv) {
    for (int i = 0; i < argc; ++i) {
        const std::string_view option = argv[i];
        if (option.starts_with("registers=")) {
            g_register_bytes = std::strtoull(argv[i] + std::strlen("registers="), nullptr, 0);
        } else if (option.starts_with("out=")) {
            g_out = std::fopen(argv[i] + std::strlen("out="), "we");
        }
    }
    if (g_out == nullptr || g_register_bytes == 0) {
        (void)std::fputs("budget_counter: registers=BYTES and out=FILE are needed\n", stderr);
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
