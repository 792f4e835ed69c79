// SPDX-License-Identifier: BSD-3-Clause
//
// The families of prototypes, and short names for the arguments that they share. Only this folder
// and the table that joins the families include it.
#pragma once

#include <cstdint>
#include <span>

#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/helpers/natives.h"
#include "lib/ebpf/helpers/prototypes.h"

namespace crema::ebpf::helpers::prototypes {

[[nodiscard]] std::span<const Prototype> packet();
[[nodiscard]] std::span<const Prototype> map();
[[nodiscard]] std::span<const Prototype> ringbuf();
[[nodiscard]] std::span<const Prototype> dynptr();
[[nodiscard]] std::span<const Prototype> control();
[[nodiscard]] std::span<const Prototype> environment();
[[nodiscard]] std::span<const Prototype> text();
[[nodiscard]] std::span<const Prototype> probe();
[[nodiscard]] std::span<const Prototype> socket();
[[nodiscard]] std::span<const Prototype> task();

inline constexpr Arg kCtx{.kind = ArgKind::ctx}, kAny{.kind = ArgKind::anything},
    kUnchecked{.kind = ArgKind::unchecked}, kMap{.kind = ArgKind::map},
    kKey{.kind = ArgKind::map_key}, kValue{.kind = ArgKind::map_value},
    kValueOut{.kind = ArgKind::map_value, .use = Use::write}, kSize{.kind = ArgKind::size},
    kSizeOrZero{.kind = ArgKind::size_or_zero}, kAllocSize{.kind = ArgKind::alloc_size},
    kIn{.kind = ArgKind::memory}, kInOrNull{.kind = ArgKind::memory, .nullable = true},
    kOut{.kind = ArgKind::memory, .use = Use::write},
    kInOut{.kind = ArgKind::memory, .use = Use::update},
    kConstString{.kind = ArgKind::const_string}, kCallback{.kind = ArgKind::callback},
    kFrameOrNull{.kind = ArgKind::frame_or_null}, kSock{.kind = ArgKind::sock_common};

[[nodiscard]] constexpr Arg fixed_in(std::uint16_t bytes) {
    return {.kind = ArgKind::memory, .bytes = bytes};
}

[[nodiscard]] constexpr Arg object(KernelObject of, bool nullable = false) {
    return {.kind = ArgKind::kernel_object, .nullable = nullable, .object = of};
}

}  // namespace crema::ebpf::helpers::prototypes
