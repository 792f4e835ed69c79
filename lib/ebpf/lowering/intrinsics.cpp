// SPDX-License-Identifier: BSD-3-Clause
//
// The functions of intrinsics.h. Ordering is sequential consistency: the kernel's fetching atomics
// are full barriers.
#include "lib/ebpf/lowering/intrinsics.h"

#include <limits>

#include "lib/ebpf/abi/callback_context.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/maps/prog_array.h"
#include "lib/ebpf/program/instruction.h"

namespace crema::ebpf::lowering {

namespace {

template <typename Word>
Word* word_at(std::uint64_t address) {
    return reinterpret_cast<Word*>(address);
}

template <typename Word, std::int32_t kOperation>
std::uint64_t fetch(std::uint64_t r1,
                    std::uint64_t r2,
                    std::uint64_t /*r3*/,
                    std::uint64_t /*r4*/,
                    std::uint64_t /*r5*/) {
    const auto operand = static_cast<Word>(r2);
    Word* const word = word_at<Word>(r1);
    if constexpr (kOperation == op::kAdd) {
        return __atomic_fetch_add(word, operand, __ATOMIC_SEQ_CST);
    } else if constexpr (kOperation == op::kOr) {
        return __atomic_fetch_or(word, operand, __ATOMIC_SEQ_CST);
    } else if constexpr (kOperation == op::kAnd) {
        return __atomic_fetch_and(word, operand, __ATOMIC_SEQ_CST);
    } else if constexpr (kOperation == op::kXor) {
        return __atomic_fetch_xor(word, operand, __ATOMIC_SEQ_CST);
    } else {
        static_assert(kOperation == op::kAtomicXchg);
        return __atomic_exchange_n(word, operand, __ATOMIC_SEQ_CST);
    }
}

template <typename Word>
std::uint64_t compare_exchange(std::uint64_t r1,
                               std::uint64_t r2,
                               std::uint64_t r3,
                               std::uint64_t /*r4*/,
                               std::uint64_t /*r5*/) {
    auto old = static_cast<Word>(r3);
    __atomic_compare_exchange_n(word_at<Word>(r1), &old, static_cast<Word>(r2), false,
                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return old;
}

template <typename Word>
Native atomic_of(std::int32_t operation) {
    if (operation == op::kAtomicXchg) {
        return fetch<Word, op::kAtomicXchg>;
    }
    if (operation == op::kAtomicCmpxchg) {
        return compare_exchange<Word>;
    }
    switch (operation & ~op::kFetch) {
        case op::kAdd:
            return fetch<Word, op::kAdd>;
        case op::kOr:
            return fetch<Word, op::kOr>;
        case op::kAnd:
            return fetch<Word, op::kAnd>;
        case op::kXor:
            return fetch<Word, op::kXor>;
        default:
            return nullptr;
    }
}

template <typename Signed, typename Word, bool kRemainder>
std::uint64_t divide(std::uint64_t r1,
                     std::uint64_t r2,
                     std::uint64_t /*r3*/,
                     std::uint64_t /*r4*/,
                     std::uint64_t /*r5*/) {
    const auto dividend = static_cast<Signed>(r1);
    const auto divisor = static_cast<Signed>(r2);
    if (divisor == 0) {
        return kRemainder ? static_cast<Word>(dividend) : Word{0};
    }
    if (divisor == -1) {
        // The quotient of the smallest number does not fit: negation that wraps.
        return kRemainder ? Word{0} : static_cast<Word>(Word{0} - static_cast<Word>(dividend));
    }
    return static_cast<Word>(kRemainder ? dividend % divisor : dividend / divisor);
}

}  // namespace

std::uint64_t enter_context(std::uint64_t r1,
                            std::uint64_t /*r2*/,
                            std::uint64_t /*r3*/,
                            std::uint64_t /*r4*/,
                            std::uint64_t /*r5*/) {
    t_callback_context = r1;
    return 0;
}

std::uint64_t current_context(std::uint64_t /*r1*/,
                              std::uint64_t /*r2*/,
                              std::uint64_t /*r3*/,
                              std::uint64_t /*r4*/,
                              std::uint64_t /*r5*/) {
    return t_callback_context;
}

std::uint64_t running_context(std::uint64_t /*r1*/,
                              std::uint64_t /*r2*/,
                              std::uint64_t /*r3*/,
                              std::uint64_t /*r4*/,
                              std::uint64_t /*r5*/) {
    // A callback that runs on its own has no scope; who runs it has left a context.
    if (const XdpBuff* const buff = RunScope::current(); buff != nullptr) {
        t_callback_context = reinterpret_cast<std::uintptr_t>(buff);
    }
    return t_callback_context;
}

std::uint64_t find_tail_target(std::uint64_t r1,
                               std::uint64_t r2,
                               std::uint64_t /*r3*/,
                               std::uint64_t /*r4*/,
                               std::uint64_t /*r5*/) {
    const auto& map = *static_cast<const maps::ProgArray*>(reinterpret_cast<const maps::Map*>(r1));
    return reinterpret_cast<std::uintptr_t>(map.target(static_cast<std::uint32_t>(r2)));
}

std::uint64_t run_tail_target(std::uint64_t r1,
                              std::uint64_t r2,
                              std::uint64_t /*r3*/,
                              std::uint64_t /*r4*/,
                              std::uint64_t /*r5*/) {
    const auto& target = *reinterpret_cast<const maps::TailTarget*>(r2);
    return target.entry(reinterpret_cast<XdpBuff*>(r1), target.self);
}

Native atomic_native(std::int32_t operation, bool wide) {
    return wide ? atomic_of<std::uint64_t>(operation) : atomic_of<std::uint32_t>(operation);
}

Native signed_division_native(bool remainder, bool wide) {
    if (wide) {
        return remainder ? divide<std::int64_t, std::uint64_t, true>
                         : divide<std::int64_t, std::uint64_t, false>;
    }
    return remainder ? divide<std::int32_t, std::uint32_t, true>
                     : divide<std::int32_t, std::uint32_t, false>;
}

}  // namespace crema::ebpf::lowering
