// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_get_prandom_u32: fast, not for secrets; one generator per thread, as the kernel has one per
// CPU. And a keyed hash of addresses, for what is printed of them. The generator is the 64-bit
// SplitMix: a Weyl sequence through a bijective mixer, so every thread walks one cycle of 2^64 from
// a place of its own.
#include <atomic>
#include <cstdint>
#include <sys/random.h>

#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/os_clock.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio: steps of the sequence

std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

std::uint64_t first_seed() {
    std::uint64_t seed = 0;
    // Early in boot there may be no entropy yet; the time does for this purpose.
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
        seed = os_clock_ns(CLOCK_REALTIME);
    }
    return seed;
}

// Drawn when the library is loaded: a thread that starts makes no system call.
std::atomic<std::uint64_t> g_next_seed{first_seed()};

const std::uint64_t g_pointer_key = first_seed();

[[gnu::tls_model("initial-exec")]] constinit thread_local std::uint64_t t_state = 0;

}  // namespace

// Thirty-two bits, as the kernel shows of its hash.
std::uint64_t hash_of_pointer(std::uint64_t address) {
    return static_cast<std::uint32_t>(mix(mix(address ^ g_pointer_key) + g_pointer_key));
}

std::uint64_t get_prandom_u32(
    std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    if (t_state == 0) [[unlikely]] {
        t_state = mix(g_next_seed.fetch_add(kGolden, std::memory_order_relaxed)) | 1;
    }
    t_state += kGolden;
    return static_cast<std::uint32_t>(mix(t_state) >> 32);
}

}  // namespace crema::ebpf::helpers
