// SPDX-License-Identifier: BSD-3-Clause
//
// One call of one helper, made twice: by a program in the running kernel, and by calling our native
// function as compiled code does. Both start from the same frame and the same memory (to the kernel
// a map value), and hand back result, frame, metadata length and memory, to be compared.
//
// The kernel's program is made for the call: arguments are constants in it, so that its verifier
// knows all sizes. Neither our verifier nor lowering takes part.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/ebpf/helpers/prototypes.h"

namespace crema::test {

/// An argument of a helper.
struct CallArg {
    enum class Kind { number, context, memory, constant, null };
    Kind kind = Kind::number;
    std::uint64_t number = 0;  // memory, constant: offset of its first byte
};

[[nodiscard]] inline CallArg number(std::uint64_t value) {
    return {CallArg::Kind::number, value};
}

[[nodiscard]] inline CallArg signed_number(std::int64_t value) {
    return {CallArg::Kind::number, static_cast<std::uint64_t>(value)};
}

[[nodiscard]] inline CallArg context() {
    return {CallArg::Kind::context, 0};
}

[[nodiscard]] inline CallArg memory(std::uint32_t offset) {
    return {CallArg::Kind::memory, offset};
}

/// Into HelperCall::constants.
[[nodiscard]] inline CallArg constant(std::uint32_t offset) {
    return {CallArg::Kind::constant, offset};
}

/// Before the call, the address of memory + `target` is put into memory + `at`.
struct PointerInMemory {
    std::uint32_t at;
    std::uint32_t target;
};

struct HelperCall {
    std::uint32_t helper;
    std::vector<CallArg> args;
    /// 14 bytes or more; what does not fit the first page, or lies behind the first `linear` bytes,
    /// is fragments of a page each.
    std::vector<std::uint8_t> frame;
    std::uint32_t meta_bytes = 0;             // zeroed metadata in front of the frame
    std::vector<std::uint8_t> memory{};       // what memory() arguments point into
    std::vector<PointerInMemory> pointers{};  // zero in the outcome
    std::string constants{};                  // read-only memory; with the NUL behind it
    std::uint32_t linear = UINT32_MAX;
};

struct CallOutcome {
    int error = 0;    // the kernel refused the program or its run: negative errno
    std::string log;  // its words
    std::uint64_t result = 0;
    std::vector<std::uint8_t> bytes;  // metadata and frame
    std::uint32_t meta_bytes = 0;
    std::vector<std::uint8_t> memory;

    /// Equal where the two sides must agree.
    bool operator==(const CallOutcome& other) const {
        return error == other.error && result == other.result && bytes == other.bytes &&
               meta_bytes == other.meta_bytes && memory == other.memory;
    }
};

/// Needs the right to use bpf(2).
[[nodiscard]] CallOutcome call_in_kernel(const HelperCall& call);

/// wants_context: as in the prototype.
[[nodiscard]] CallOutcome call_native(const HelperCall& call,
                                      ebpf::helpers::Native native,
                                      bool wants_context = false);

/// For messages: "helper 65(ctx, -3), frame of 64 bytes".
[[nodiscard]] std::string describe(const HelperCall& call);

/// For messages: result and what changed.
[[nodiscard]] std::string describe(const CallOutcome& outcome);

}  // namespace crema::test
