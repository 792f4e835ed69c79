// SPDX-License-Identifier: BSD-3-Clause
//
// See smi.h.
#include "lib/neta/smi.h"

#include "lib/neta/registers.h"
#include "lib/neta/sequences.h"

namespace crema::neta {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(1);

bool is_idle(const vfio::Registers& registers) {
    return read_until(registers, kSmi, kSmiBusy, 0, kPatience).has_value();
}

}  // namespace

std::optional<std::uint16_t> smi_read(const vfio::Registers& registers,
                                      unsigned phy,
                                      unsigned index) {
    if (!is_idle(registers)) {
        return std::nullopt;
    }
    registers.write(kSmi, kSmiOpRead | kSmiPhy.of(phy) | kSmiReg.of(index));
    const auto answer =
        read_until(registers, kSmi, kSmiBusy | kSmiReadValid, kSmiReadValid, kPatience);
    if (!answer) {
        return std::nullopt;
    }
    return static_cast<std::uint16_t>(kSmiData.get(*answer));
}

bool smi_write(const vfio::Registers& registers,
               unsigned phy,
               unsigned index,
               std::uint16_t value) {
    if (!is_idle(registers)) {
        return false;
    }
    registers.write(kSmi, kSmiPhy.of(phy) | kSmiReg.of(index) | kSmiData.of(value));
    return true;
}

}  // namespace crema::neta
