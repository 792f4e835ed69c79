// SPDX-License-Identifier: BSD-3-Clause
//
// The interpreter of interpreter.h.
#include "tests/support/interpreter.h"

#include <cstring>
#include <fmt/format.h>

#include "lib/ebpf/maps/map.h"

namespace crema::test {

namespace {

namespace op = ebpf::op;
using ebpf::Insn;

constexpr std::uint64_t kContext = 0x1000;  // what r1 holds; nothing lies there

std::uint64_t sext(std::int32_t imm) {
    return static_cast<std::uint64_t>(std::int64_t{imm});
}

std::uint64_t shifted(std::uint8_t operation, bool wide, std::uint64_t a, std::uint64_t b) {
    const auto n = static_cast<unsigned>(b & (wide ? 63 : 31));
    switch (operation) {
        case op::kLsh:
            return a << n;
        case op::kRsh:
            return a >> n;
        default:
            return wide ? static_cast<std::uint64_t>(static_cast<std::int64_t>(a) >> n)
                        : static_cast<std::uint32_t>(static_cast<std::int32_t>(a) >> n);
    }
}

std::uint64_t computed(std::uint8_t operation, bool wide, std::uint64_t a, std::uint64_t b) {
    switch (operation) {
        case op::kAdd:
            return a + b;
        case op::kSub:
            return a - b;
        case op::kMul:
            return a * b;
        case op::kDiv:
            return b == 0 ? 0 : a / b;
        case op::kMod:
            return b == 0 ? a : a % b;
        case op::kOr:
            return a | b;
        case op::kAnd:
            return a & b;
        case op::kXor:
            return a ^ b;
        case op::kNeg:
            return std::uint64_t{0} - a;
        case op::kMov:
            return b;
        default:
            return shifted(operation, wide, a, b);
    }
}

std::uint64_t swapped(const Insn& insn, std::uint64_t v) {
    if (op::is_reg_source(insn.code)) {
        return __builtin_bswap64(v) >> (64 - insn.imm);
    }
    return insn.imm == 64 ? v : v & ((std::uint64_t{1} << insn.imm) - 1);
}

class Interpreter {
  public:
    Interpreter(const ebpf::Program& program, Machine64& machine)
        : program_(program), m_(machine) {}

    Run run(const Watch& watch, std::uint64_t insns_max) {
        m_.regs[1] = kContext;
        m_.regs[10] = m_.frame_top();
        Run result;
        for (std::uint32_t pc = 0; fault_.empty() && !done_;) {
            if (pc >= program_.insns.size() || ++result.insns > insns_max) {
                fault_ = fmt::format("instruction {} after {} steps", pc, result.insns);
                break;
            }
            if (watch) {
                watch(pc, m_);
            }
            pc = step(pc);
        }
        result.fault = fault_;
        result.r0 = m_.regs[0];
        return result;
    }

  private:
    static bool inside(std::uint64_t at,
                       std::uint32_t size,
                       std::uint64_t base,
                       std::uint64_t len) {
        return at >= base && at - base <= len && size <= len - (at - base);
    }

    std::uint8_t* memory(std::uint64_t at, std::uint32_t size) {
        bool ok = inside(at, size, m_.frame_top() - 512, 512) ||
                  inside(at, size, m_.data(), m_.packet.size());
        for (const auto& map : program_.maps) {
            const auto layout = map->layout();
            if (layout.base == nullptr) {
                continue;
            }
            const auto base = reinterpret_cast<std::uintptr_t>(layout.base);
            for (std::uint32_t i = 0; i < map->spec().max_entries; ++i) {
                ok = ok || inside(at, size, base + std::uint64_t{i} * layout.stride,
                                  map->spec().value_size);
            }
        }
        if (!ok) {
            fault_ = fmt::format("access of {} bytes at {:#x} (data {:#x}, frame top {:#x})", size,
                                 at, m_.data(), m_.frame_top());
            return nullptr;
        }
        return reinterpret_cast<std::uint8_t*>(at);
    }

    std::uint64_t load_context(const Insn& insn) {
        switch (insn.off) {
            case 0:
            case 8:
                return m_.data();
            case 4:
                return m_.data_end();
            case 12:
                return m_.ingress_ifindex;
            case 16:
                return m_.rx_queue_index;
            default:
                fault_ = fmt::format("context offset {}", insn.off);
                return 0;
        }
    }

    void load(const Insn& insn) {
        const std::uint64_t at = m_.regs[insn.src] + static_cast<std::uint64_t>(insn.off);
        if (m_.regs[insn.src] == kContext) {
            m_.regs[insn.dst] = load_context(insn);
            return;
        }
        const std::uint32_t size = op::access_bytes(insn.code);
        if (const std::uint8_t* from = memory(at, size)) {
            std::uint64_t v = 0;
            std::memcpy(&v, from, size);
            m_.regs[insn.dst] = v;
        }
    }

    void store(const Insn& insn) {
        const std::uint64_t at = m_.regs[insn.dst] + static_cast<std::uint64_t>(insn.off);
        const std::uint32_t size = op::access_bytes(insn.code);
        std::uint8_t* to = memory(at, size);
        if (to == nullptr) {
            return;
        }
        std::uint64_t v = op::insn_class(insn.code) == op::kSt ? sext(insn.imm) : m_.regs[insn.src];
        if (op::mode(insn.code) == op::kAtomic) {
            std::uint64_t old = 0;
            std::memcpy(&old, to, size);
            v += old;
        }
        std::memcpy(to, &v, size);
    }

    std::uint32_t load_imm64(std::uint32_t pc) {
        const Insn& insn = program_.insns[pc];
        const Insn& second = program_.insns[pc + 1];
        std::uint64_t& dst = m_.regs[insn.dst];
        if (insn.src == 0) {
            dst = (std::uint64_t{static_cast<std::uint32_t>(second.imm)} << 32) |
                  static_cast<std::uint32_t>(insn.imm);
        } else {
            const auto& map = program_.maps[static_cast<std::size_t>(insn.imm)];
            dst = insn.src == op::kPseudoMap
                      ? reinterpret_cast<std::uintptr_t>(map.get())
                      : reinterpret_cast<std::uintptr_t>(map->layout().base) +
                            static_cast<std::uint32_t>(second.imm);
        }
        return pc + 2;
    }

    void call(const Insn& insn) {
        if (insn.imm == 1) {
            const auto* map = reinterpret_cast<const ebpf::maps::Map*>(m_.regs[1]);
            const std::uint8_t* key = memory(m_.regs[2], 4);
            if (key == nullptr) {
                return;
            }
            std::uint32_t index = 0;
            std::memcpy(&index, key, 4);
            m_.regs[0] = index < map->spec().max_entries
                             ? reinterpret_cast<std::uintptr_t>(map->layout().base) +
                                   std::uint64_t{index} * map->layout().stride
                             : 0;
        } else if (insn.imm == 23) {
            m_.regs[0] = 4;
        } else {
            fault_ = fmt::format("helper {}", insn.imm);
        }
        for (int i = 1; i <= 5; ++i) {
            m_.regs[static_cast<std::size_t>(i)] = 0xdead'dead'dead'dead;
        }
    }

    std::uint32_t jump(std::uint32_t pc) {
        const Insn& insn = program_.insns[pc];
        switch (op::operation(insn.code)) {
            case op::kExit:
                done_ = true;
                return pc;
            case op::kCall:
                call(insn);
                return pc + 1;
            case op::kJa:
                return static_cast<std::uint32_t>(std::int64_t{pc} + 1 + insn.off);
            default:
                break;
        }
        const std::uint64_t b = op::is_reg_source(insn.code) ? m_.regs[insn.src] : sext(insn.imm);
        return jump_taken(insn, m_.regs[insn.dst], b)
                   ? static_cast<std::uint32_t>(std::int64_t{pc} + 1 + insn.off)
                   : pc + 1;
    }

    std::uint32_t step(std::uint32_t pc) {
        const Insn& insn = program_.insns[pc];
        switch (op::insn_class(insn.code)) {
            case op::kAlu:
            case op::kAlu64:
                m_.regs[insn.dst] =
                    alu_result(insn, m_.regs[insn.dst],
                               op::is_reg_source(insn.code) ? m_.regs[insn.src] : sext(insn.imm));
                return pc + 1;
            case op::kJmp:
            case op::kJmp32:
                return jump(pc);
            case op::kLd:
                return load_imm64(pc);
            case op::kLdx:
                load(insn);
                return pc + 1;
            default:
                store(insn);
                return pc + 1;
        }
    }

    const ebpf::Program& program_;
    Machine64& m_;
    std::string fault_;
    bool done_ = false;
};

}  // namespace

std::uint64_t alu_result(const Insn& insn, std::uint64_t dst, std::uint64_t src) {
    const std::uint8_t operation = op::operation(insn.code);
    if (operation == op::kEnd) {
        return swapped(insn, dst);
    }
    const bool wide = op::insn_class(insn.code) == op::kAlu64;
    if (wide) {
        return computed(operation, true, dst, src);
    }
    return static_cast<std::uint32_t>(computed(operation, false, static_cast<std::uint32_t>(dst),
                                               static_cast<std::uint32_t>(src)));
}

bool jump_taken(const Insn& insn, std::uint64_t dst, std::uint64_t src) {
    std::uint64_t a = dst;
    std::uint64_t b = src;
    auto sa = static_cast<std::int64_t>(a);
    auto sb = static_cast<std::int64_t>(b);
    if (op::insn_class(insn.code) == op::kJmp32) {
        a = static_cast<std::uint32_t>(a);
        b = static_cast<std::uint32_t>(b);
        sa = static_cast<std::int32_t>(a);
        sb = static_cast<std::int32_t>(b);
    }
    switch (op::operation(insn.code)) {
        case op::kJeq:
            return a == b;
        case op::kJne:
            return a != b;
        case op::kJset:
            return (a & b) != 0;
        case op::kJgt:
            return a > b;
        case op::kJge:
            return a >= b;
        case op::kJlt:
            return a < b;
        case op::kJle:
            return a <= b;
        case op::kJsgt:
            return sa > sb;
        case op::kJsge:
            return sa >= sb;
        case op::kJslt:
            return sa < sb;
        default:
            return sa <= sb;
    }
}

Run interpret(const ebpf::Program& program,
              Machine64& machine,
              const Watch& watch,
              std::uint64_t insns_max) {
    return Interpreter(program, machine).run(watch, insns_max);
}

}  // namespace crema::test
