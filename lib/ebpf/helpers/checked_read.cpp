// SPDX-License-Identifier: BSD-3-Clause
//
// See checked_read.h. The stack: what lies between the helper's frame and that of who opened the
// scope is the programs', and return addresses of their calls.
#include "lib/ebpf/helpers/checked_read.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/ebpf/abi/fragments.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/maps/known_memory.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::uint64_t kKernelHalf = 0xffff'8000'0000'0000;
constexpr std::uint64_t kStackBytesMax = 64 * 1024;  // of nested calls, generously

struct Range {
    std::uint64_t begin;
    std::uint64_t end;

    [[nodiscard]] std::size_t bytes_from(std::uint64_t address) const {
        return address >= begin && address < end ? end - address : 0;
    }
};

std::uint64_t address_of(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer);
}

Range frame_of(const XdpBuff& buff) {
    return {address_of(buff.data_hard_start), address_of(buff.data_hard_start) + buff.frame_sz};
}

/// What of a fragment's buffer lies behind `address`.
std::size_t in_fragments(const XdpBuff& buff, std::uint64_t address) {
    std::size_t known = 0;
    if (Fragments* const fragments = fragments_of(buff); fragments != nullptr) [[unlikely]] {
        for (const Fragment& each : *fragments) {
            const std::uint64_t begin = address_of(each.data);
            known = std::max(known, Range{begin, begin + each.len + each.room}.bytes_from(address));
        }
    }
    return known;
}

Range programs_stack() {
    const std::uint64_t begin = address_of(__builtin_frame_address(0));
    const std::uint64_t end = address_of(RunScope::stack_end());
    return end > begin && end - begin <= kStackBytesMax ? Range{begin, end} : Range{0, 0};
}

std::size_t read_some(void* to, std::uint64_t address, std::size_t bytes, bool until_nul) {
    const XdpBuff* const buff = RunScope::current();
    std::size_t known = 0;
    if (buff != nullptr) {
        known = std::max({frame_of(*buff).bytes_from(address), in_fragments(*buff, address),
                          programs_stack().bytes_from(address)});
    }
    if (known == 0) {
        return maps::copy_known(to, address, bytes, until_nul);
    }
    std::size_t copied = std::min(known, bytes);
    const auto* const from = reinterpret_cast<const char*>(address);
    if (until_nul) {
        copied = std::min(copied, strnlen(from, copied) + 1);
    }
    std::memmove(to, from, copied);
    return copied;
}

std::int64_t error_at(std::uint64_t address) {
    return address < kKernelHalf ? -ERANGE : -EFAULT;
}

}  // namespace

std::int64_t checked_read(void* to, std::uint64_t address, std::size_t bytes) {
    if (bytes == 0) {
        // As in the kernel: nothing to fault on, but the address must be one of its own.
        char none = 0;
        const bool is_known = read_some(&none, address, 1, false) != 0;
        return is_known || address >= kKernelHalf ? 0 : -ERANGE;
    }
    return read_some(to, address, bytes, false) == bytes ? 0 : error_at(address);
}

std::int64_t checked_read_string(char* to, std::uint64_t address, std::size_t bytes) {
    if (bytes == 0) {
        return 0;
    }
    const std::size_t copied = read_some(to, address, bytes, true);
    if (copied == 0 || (copied < bytes && to[copied - 1] != '\0')) {
        return error_at(address);
    }
    to[copied - 1] = '\0';
    return static_cast<std::int64_t>(copied);
}

}  // namespace crema::ebpf::helpers
