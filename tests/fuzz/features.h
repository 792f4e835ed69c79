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
    bool functions = false;     // static and global
    bool loop_helper = false;   // bpf_loop: callbacks
    bool each_element = false;  // bpf_for_each_map_elem: callbacks
    bool tail_calls = false;
    bool queues = false;  // queue and stack
    bool ring_buffer = false;
    bool dynptrs = false;
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
inline constexpr std::int32_t kTailCall = 12, kPush = 87, kPop = 88, kPeek = 89, kRingOutput = 130,
                              kRingReserve = 131, kRingSubmit = 132, kRingDiscard = 133,
                              kRingQuery = 134, kEachElement = 164, kLookupPercpu = 195,
                              kDynptrFromMem = 197, kDynptrRead = 201, kDynptrWrite = 202,
                              kDynptrData = 203;
/// Helpers whose results depend on nothing but program, packet and maps.
inline constexpr std::int32_t kHelpers[] = {
    kMapLookup,  kMapUpdate,  kMapDelete, kSmpProcessorId, kRedirect,   kCsumDiff,    kAdjustHead,
    kAdjustMeta, kAdjustTail, kBuffLen,   kLoadBytes,      kStoreBytes, kLookupPercpu};

/// What ours takes today: to be compiled, or at least proved and interpreted.
enum class Way : std::uint8_t { compiled, interpreted };
[[nodiscard]] Features served_features(Way way);

}  // namespace crema::test::fuzz
