// SPDX-License-Identifier: BSD-3-Clause
//
// One mapping: pages of code, then pages of slots of 8 bytes. A gate loads its slot and jumps
// there, in 16 bytes, so that no two lie in one fetch.
#include "lib/ebpf/lowering/gates.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace crema::ebpf::lowering {
namespace {

constexpr std::size_t kGateBytes = 16, kSlotBytes = 8;
/// More than a program may have functions; keeps a slot near its gate.
constexpr std::size_t kCountMax = 32'768;

std::size_t whole_pages(std::size_t bytes) {
    const auto page = static_cast<std::size_t>(getpagesize());
    return (bytes + page - 1) / page * page;
}

std::size_t slot_bytes(std::size_t count) {
    return whole_pages(count * kSlotBytes);
}

/// A gate whose slot begins `distance` bytes behind its own first byte.
std::array<std::uint8_t, kGateBytes> gate_to(std::uint32_t distance) {
    std::array<std::uint8_t, kGateBytes> code{};
#if defined(__aarch64__)
    // ldr x16, slot; br x16. x16 is nobody's across a call. The slot may be 1 MiB away, which the
    // caller sees to; brk behind.
    constexpr std::uint32_t kLoad = 0x58000010;
    constexpr std::uint32_t kJump = 0xd61f0200;
    constexpr std::uint32_t kBreak = 0xd4200000;
    const std::array<std::uint32_t, kGateBytes / 4> words = {kLoad | (distance / 4) << 5U, kJump,
                                                             kBreak, kBreak};
    std::memcpy(code.data(), words.data(), code.size());
#else
    // jmp [rip + distance], int3 behind.
    constexpr std::uint32_t kJumpBytes = 6;
    distance -= kJumpBytes;
    code.fill(0xcc);
    code[0] = 0xff;
    code[1] = 0x25;
    std::memcpy(&code[2], &distance, sizeof distance);
#endif
    return code;
}

}  // namespace

Result<Gates> Gates::make(std::size_t count) {
    Gates gates;
    if (count == 0) {
        return gates;
    }
    if (count > kCountMax) {
        return fail(E2BIG, "{} functions that may be replaced, at most {}", count, kCountMax);
    }
    const std::size_t code_bytes = whole_pages(count * kGateBytes);
    void* const mapped = ::mmap(nullptr, code_bytes + slot_bytes(count), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return fail(ENOMEM, "no memory for the ways to {} functions", count);
    }
    gates.code_ = static_cast<std::uint8_t*>(mapped);
    gates.code_bytes_ = code_bytes;
    gates.count_ = count;
    for (std::size_t i = 0; i < count; ++i) {
        const auto code =
            gate_to(static_cast<std::uint32_t>(code_bytes + i * kSlotBytes - i * kGateBytes));
        std::memcpy(gates.code_ + i * kGateBytes, code.data(), code.size());
    }
    // Nothing on x86-64, whose cores see what is written.
    __builtin___clear_cache(static_cast<char*>(mapped), static_cast<char*>(mapped) + code_bytes);
    if (::mprotect(mapped, code_bytes, PROT_READ | PROT_EXEC) != 0) {
        return fail(ENOMEM, "no executable memory, or a policy forbids it (errno {})", errno);
    }
    return gates;
}

Gates::Gates(Gates&& other) noexcept
    : code_(std::exchange(other.code_, nullptr)),
      code_bytes_(std::exchange(other.code_bytes_, 0)),
      count_(std::exchange(other.count_, 0)) {}

Gates& Gates::operator=(Gates&& other) noexcept {
    std::swap(code_, other.code_);
    std::swap(code_bytes_, other.code_bytes_);
    std::swap(count_, other.count_);
    return *this;
}

Gates::~Gates() {
    if (code_ != nullptr) {
        (void)::munmap(code_, code_bytes_ + slot_bytes(count_));
    }
}

std::uint64_t Gates::address(std::size_t gate) const {
    return reinterpret_cast<std::uintptr_t>(code_ + gate * kGateBytes);
}

void Gates::lead(std::size_t gate, std::uint64_t to) const {
    auto* const slot = reinterpret_cast<std::uint64_t*>(code_ + code_bytes_ + gate * kSlotBytes);
    std::atomic_ref<std::uint64_t>(*slot).store(to, std::memory_order_release);
}

}  // namespace crema::ebpf::lowering
