// SPDX-License-Identifier: BSD-3-Clause
//
// The interpreter with every memory access checked against the objects the program may touch at
// that moment: context, packet, frames of the call chain, map values it looked up or names
// directly, ring buffer records it reserved. The witness for the verifier's claims; slow.
//
// What a program may not read is not zero but poison that depends on `salt`: registers that a call
// destroyed, frames that were not written (salt 0: all of it is zero). A program whose outcome
// changes with the salt reads what it should not, or lets addresses decide.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/interpreter/image.h"

namespace crema::ebpf::interpreter {

/// What an observer sees before each instruction.
struct Moment {
    const Image& image;
    std::uint32_t slot;
    std::span<const std::uint64_t> regs;  // r0..r10
    std::uint32_t depth;                  // frames in use, >= 1; the last is the running one
    std::span<const std::uint8_t> frame;  // of the running function, 512 bytes; r10 is its end
    const XdpBuff& buff;
};

using Observer = std::function<void(const Moment&)>;

struct CheckedOptions {
    std::uint64_t insns_max = 2'000'000;
    std::uint64_t salt = 0;
    Observer observer;  // may be empty
};

struct Fault {
    std::uint32_t slot = 0;
    bool out_of_budget = false;  // insns_max: nothing is wrong with what ran so far
    std::string what;            // "read of 4 bytes at 0x...: no object of the program"
};

struct CheckedRun {
    std::optional<Fault> fault;  // then r0 means nothing
    std::uint64_t r0 = 0;
    std::uint64_t insns = 0;
};

/// The image may have been prepared without a proof.
[[nodiscard]] CheckedRun run_checked(const Image& image,
                                     XdpBuff& buff,
                                     const CheckedOptions& options);

}  // namespace crema::ebpf::interpreter
