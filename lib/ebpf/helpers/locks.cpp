// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_spin_lock and bpf_spin_unlock: the four bytes in a map value that the verifier has checked.
// What lies between them is short: the verifier allows no call there.
#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/maps/spin_lock.h"

namespace crema::ebpf::helpers {

std::uint64_t spin_lock(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    maps::lock_value(memory_at(r1));
    return 0;
}

std::uint64_t spin_unlock(
    std::uint64_t r1, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t) {
    maps::unlock_value(memory_at(r1));
    return 0;
}

}  // namespace crema::ebpf::helpers
