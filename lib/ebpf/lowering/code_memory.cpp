// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/lowering/code_memory.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <sys/mman.h>
#include <unistd.h>

namespace crema::ebpf::lowering {
namespace {

constexpr std::size_t kLine = 64;

/// Another one each time, as far from the ones before as there is room.
std::size_t next_offset(std::size_t room) {
    // Odd, so that it comes by every line of a page before it comes by one again.
    constexpr std::uint32_t kStride = 11;
    static std::atomic<std::uint32_t> placed{0};
    const std::size_t lines = room / kLine + 1;
    return (placed.fetch_add(1, std::memory_order_relaxed) * kStride % lines) * kLine;
}

}  // namespace

Result<CodeMemory> CodeMemory::place(std::span<const std::uint8_t> code) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t bytes = (code.size() + page - 1) / page * page;
    void* const mapped =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return fail(ENOMEM, "no memory for {} bytes of code", code.size());
    }
    auto* const begin = static_cast<std::uint8_t*>(mapped) + next_offset(bytes - code.size());
    std::ranges::copy(code, begin);
    CodeMemory placed(mapped, bytes, reinterpret_cast<std::uintptr_t>(begin));
    if (::mprotect(mapped, bytes, PROT_READ | PROT_EXEC) != 0) {
        return fail(ENOMEM, "{} bytes of code may not be made executable", code.size());
    }
    auto* const text = reinterpret_cast<char*>(begin);
    __builtin___clear_cache(text, text + code.size());
    return placed;
}

CodeMemory::~CodeMemory() {
    if (mapped_ != nullptr) {
        (void)::munmap(mapped_, mapped_bytes_);
    }
}

}  // namespace crema::ebpf::lowering
