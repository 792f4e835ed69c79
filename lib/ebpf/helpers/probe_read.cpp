// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_probe_read_kernel, bpf_probe_read_user and their forms for strings. r1 memory, r2 its size,
// r3 address. The memory is zeroed when nothing was read. There is no user space here: reads of it
// fail as reads of a task's unmapped memory.
#include <cerrno>
#include <cstring>

#include "lib/ebpf/helpers/checked_read.h"
#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::uint64_t kUserSpaceEnd = 0x7fff'ffff'f000;

std::uint64_t zeroed_unless_read(std::uint64_t r1, std::uint32_t bytes, std::int64_t result) {
    if (result < 0) [[unlikely]] {
        std::memset(memory_at(r1), 0, bytes);
    }
    return static_cast<std::uint64_t>(result);
}

}  // namespace

std::uint64_t probe_read_kernel(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    const auto bytes = static_cast<std::uint32_t>(r2);
    return zeroed_unless_read(r1, bytes, checked_read(memory_at(r1), r3, bytes));
}

std::uint64_t probe_read_kernel_str(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    const auto bytes = static_cast<std::uint32_t>(r2);
    auto* const text = reinterpret_cast<char*>(memory_at(r1));
    return zeroed_unless_read(r1, bytes, checked_read_string(text, r3, bytes));
}

std::uint64_t probe_read_user(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t) {
    const auto bytes = static_cast<std::uint32_t>(r2);
    const bool reads_nothing = bytes == 0 && r3 <= kUserSpaceEnd;
    return zeroed_unless_read(r1, bytes, reads_nothing ? 0 : -EFAULT);
}

std::uint64_t probe_read_user_str(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t) {
    const auto bytes = static_cast<std::uint32_t>(r2);
    return zeroed_unless_read(r1, bytes, bytes == 0 ? 0 : -EFAULT);
}

}  // namespace crema::ebpf::helpers
