// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_iter_num_*: the numbers from start to end - 1. The eight bytes on the program's stack hold
// the number handed out last and the end; a finished or refused iterator is all zero.
#include <cerrno>

#include "lib/ebpf/kfuncs/natives.h"

namespace crema::ebpf::kfuncs {

namespace {

struct NumberIterator {
    std::int32_t current;
    std::int32_t end;
};

static_assert(sizeof(NumberIterator) == 8);

NumberIterator& iterator_at(std::uint64_t address) {
    return *reinterpret_cast<NumberIterator*>(address);
}

}  // namespace

// r1 iterator, r2 start, r3 end.
std::uint64_t iter_num_new(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    constexpr std::int64_t kTurnsMax = 8 * 1024 * 1024;
    const auto start = static_cast<std::int32_t>(r2);
    const auto end = static_cast<std::int32_t>(r3);
    NumberIterator& iterator = iterator_at(r1);
    iterator = {.current = 0, .end = 0};
    if (start > end) {
        return int_error(EINVAL);
    }
    if (std::int64_t{end} - start > kTurnsMax) {
        return int_error(E2BIG);
    }
    // Unsigned: the number before the smallest one is the largest, and comes round again.
    iterator = {.current = static_cast<std::int32_t>(static_cast<std::uint32_t>(start) - 1),
                .end = end};
    return 0;
}

// r1 iterator. Result: address of the number, or 0.
std::uint64_t iter_num_next(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    NumberIterator& iterator = iterator_at(r1);
    const auto next = static_cast<std::int32_t>(static_cast<std::uint32_t>(iterator.current) + 1);
    if (next >= iterator.end) {
        iterator = {.current = 0, .end = 0};
        return 0;
    }
    iterator.current = next;
    return reinterpret_cast<std::uintptr_t>(&iterator.current);
}

std::uint64_t iter_num_destroy(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    iterator_at(r1) = {.current = 0, .end = 0};
    return 0;
}

}  // namespace crema::ebpf::kfuncs
