// SPDX-License-Identifier: BSD-3-Clause
//
// What random programs may be made of: forms of the instruction set, helpers, map types. A campaign
// puts one small program per feature to our side and leaves out, by name, what that does not serve.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace crema::test::fuzz {

struct Features {
    bool sign_extending_moves = false;
    bool sign_extending_loads = false;
    bool signed_division = false;
    bool byte_swaps = false;
    bool long_jumps = false;
    bool fetching_atomics = false;  // also and, or, xor, xchg, cmpxchg
    bool ordered_accesses = false;  // load_acquire, store_release
    bool may_goto = false;
    bool functions = false;
    bool loop_helper = false;  // bpf_loop: callbacks
    bool hash_maps = false;
    std::vector<std::int32_t> helpers;  // of kHelpers below

    std::vector<std::string> left_out;  // names of the others

    [[nodiscard]] bool has_helper(std::int32_t id) const {
        for (const std::int32_t known : helpers) {
            if (known == id) {
                return true;
            }
        }
        return false;
    }
};

inline constexpr std::int32_t kMapLookup = 1, kMapUpdate = 2, kMapDelete = 3, kSmpProcessorId = 8,
                              kRedirect = 23, kCsumDiff = 28, kAdjustHead = 44, kAdjustMeta = 54,
                              kAdjustTail = 65, kLoop = 181, kBuffLen = 188, kLoadBytes = 189,
                              kStoreBytes = 190;
/// Helpers whose results depend on nothing but program, packet and maps.
inline constexpr std::int32_t kHelpers[] = {kMapLookup,  kMapUpdate, kMapDelete,  kSmpProcessorId,
                                            kRedirect,   kCsumDiff,  kAdjustHead, kAdjustMeta,
                                            kAdjustTail, kBuffLen,   kLoadBytes,  kStoreBytes};

/// What ours takes today: to be compiled, or at least proved and interpreted.
enum class Way : std::uint8_t { compiled, interpreted };
[[nodiscard]] Features served_features(Way way);

}  // namespace crema::test::fuzz
