// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/state_witness.h"

#include <cstring>
#include <fmt/format.h>

#include "lib/ebpf/maps/map.h"
#include "lib/ebpf/program/disassemble.h"

namespace crema::test {

namespace {

namespace v = ebpf::verifier;
using ebpf::interpreter::Moment;

std::uint64_t address(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer);
}

bool agrees(const v::Reg& reg, std::uint64_t value, const Moment& m, const ebpf::Program& program) {
    const auto from = [&](std::uint64_t base) {
        return reg.s.contains(value - base - static_cast<std::uint64_t>(std::int64_t{reg.off}));
    };
    switch (reg.type) {
        case v::RegType::scalar:
            return reg.s.contains(value);
        case v::RegType::stack:
            return from(address(m.frame.data() + m.frame.size()));
        case v::RegType::packet: {
            const std::uint64_t base = value - static_cast<std::uint64_t>(std::int64_t{reg.off});
            const bool proved = reg.range <= 0 || base + static_cast<std::uint64_t>(reg.range) <=
                                                      address(m.buff.data_end);
            const bool past =
                reg.range >= 0 || (reg.range == v::kAtPacketEnd ? value >= address(m.buff.data_end)
                                                                : value > address(m.buff.data_end));
            return from(address(m.buff.data)) && proved && past;
        }
        case v::RegType::packet_end:
            return value == address(m.buff.data_end);
        case v::RegType::map_value: {
            const auto layout = program.maps[reg.map]->layout();
            return program.maps[reg.map]->spec().max_entries != 1 || from(address(layout.base));
        }
        default:
            return true;
    }
}

bool agrees(const v::State& state, const Moment& m, const ebpf::Program& program) {
    for (std::uint32_t i = 0; i < v::kRegs; ++i) {
        if (!agrees(state.regs[i], m.regs[i], m, program)) {
            return false;
        }
    }
    for (std::size_t i = 0; i < state.stack.size(); ++i) {
        const std::size_t at = 512 - 8 * (i + 1);
        const v::Slot& slot = state.stack[i];
        for (std::uint32_t b = 0; b < v::kSlotBytes; ++b) {
            if (slot.bytes[b] == v::Byte::zero && m.frame[at + b] != 0) {
                return false;
            }
        }
        if (slot.is_spill()) {
            v::Reg reg = slot.spill();
            std::uint64_t value = 0;
            const std::uint32_t bytes = slot.spill_bytes();
            std::memcpy(&value, m.frame.data() + at, bytes);
            if (reg.is_scalar()) {
                reg.s.truncate(bytes);
            }
            if (!agrees(reg, value, m, program)) {
                return false;
            }
        }
    }
    return true;
}

/// A random frame, and a context that points to it.
class RandomInput {
  public:
    explicit RandomInput(std::mt19937_64& engine)
        : bytes_(ebpf::kXdpHeadroom + 60 + engine() % 30) {
        static constexpr std::uint8_t kCorner[] = {0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 254, 255};
        for (auto& byte : bytes_) {
            byte = engine() % 2 == 0 ? kCorner[engine() % std::size(kCorner)]
                                     : static_cast<std::uint8_t>(engine());
        }
        buff_.data_hard_start = bytes_.data();
        buff_.data = buff_.data_meta = bytes_.data() + ebpf::kXdpHeadroom;
        buff_.data_end = bytes_.data() + bytes_.size();
        buff_.frame_sz = static_cast<std::uint32_t>(bytes_.size()) + ebpf::kTailReserve;
        buff_.ingress_ifindex = engine() % 2 == 0 ? 1 : static_cast<std::uint32_t>(engine());
    }

    ebpf::XdpBuff& buff() { return buff_; }

  private:
    std::vector<std::uint8_t> bytes_;
    ebpf::XdpBuff buff_{};
};

}  // namespace

std::string fault_of_run(const ebpf::Program& program,
                         std::mt19937_64& engine,
                         const ebpf::interpreter::Observer& observer) {
    const auto image = ebpf::interpreter::Image::prepare(program, nullptr);
    if (!image) {
        return image.error().message;
    }
    RandomInput input(engine);
    const auto run = ebpf::interpreter::run_checked(**image, input.buff(),
                                                    {.salt = engine(), .observer = observer});
    return run.fault ? fmt::format("instruction {}: {}", run.fault->slot, run.fault->what) : "";
}

StateWitness::StateWitness(const ebpf::Program& program, const v::Options& options)
    : program_(program), seen_(program.insns.size()) {
    v::Machine machine(program_, options, nullptr);
    machine.observe(
        [&](std::uint32_t insn, const v::State& state) { seen_[insn].push_back(state); });
    accepted_ = machine.run().has_value();
}

std::string StateWitness::run(std::mt19937_64& engine) const {
    std::string wrong;
    const std::string fault = fault_of_run(program_, engine, [&](const Moment& now) {
        const std::uint32_t pc = now.slot;
        for (const v::State& state : seen_[pc]) {
            if (agrees(state, now, program_)) {
                return;
            }
        }
        if (wrong.empty()) {
            wrong = fmt::format("insn {} ({}) in no abstract state; R0={:#x} R2={:#x}", pc,
                                ebpf::disassemble(program_.insns[pc]), now.regs[0], now.regs[2]);
        }
    });
    return fault.empty() ? wrong : fault;
}

}  // namespace crema::test
