// SPDX-License-Identifier: BSD-3-Clause
//
// What lies in the 16 bytes of a program's dynptr. The verifier keeps programs from reading or
// writing them, so the form is ours; helpers check all the same what a program chose (ranges).
// Offsets and lengths are 32 bits wide, as in 6.18.
#pragma once

#include <cstdint>
#include <cstring>

#include "lib/ebpf/helpers/natives.h"

namespace crema::ebpf::helpers {

inline constexpr std::uint32_t kDynptrBytesMax = (1U << 24) - 1;

struct Dynptr {
    enum class Kind : std::uint32_t { memory, frame };  // frame: `data` is the XdpBuff

    std::uint64_t data;  // 0: null
    std::uint32_t size : 24;
    std::uint32_t kind : 7;
    std::uint32_t is_read_only : 1;
    std::uint32_t offset;

    [[nodiscard]] bool holds(std::uint32_t at, std::uint32_t bytes) const {
        return bytes <= size && at <= size - bytes;
    }
};

static_assert(sizeof(Dynptr) == 16);

[[nodiscard]] inline Dynptr& dynptr_at(std::uint64_t address) {
    return *reinterpret_cast<Dynptr*>(address);
}

inline void set_null(Dynptr& dynptr) {
    std::memset(&dynptr, 0, sizeof dynptr);
}

/// size: at most kDynptrBytesMax.
inline void set_memory(Dynptr& dynptr, std::uint64_t data, std::uint32_t size) {
    set_null(dynptr);
    dynptr.data = data;
    dynptr.size = size & kDynptrBytesMax;
}

}  // namespace crema::ebpf::helpers
