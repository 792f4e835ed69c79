// SPDX-License-Identifier: BSD-3-Clause
//
// Ring buffers: records to user space, samples from it.
#include <array>

#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers::prototypes {

namespace {

constexpr Arg kRecord{.kind = ArgKind::ringbuf_record, .releases = true};
constexpr Arg kNewDynptr{.kind = ArgKind::dynptr, .use = Use::write, .dynptr = DynptrKind::ringbuf};
constexpr Arg kReleasedDynptr{
    .kind = ArgKind::dynptr, .releases = true, .dynptr = DynptrKind::ringbuf};

constexpr std::array kRows = {
    // ringbuf_output(map, data, size, flags)
    Prototype{.id = 130, .args = {kMap, kIn, kSizeOrZero, kAny}, .native = ringbuf_output},
    // ringbuf_reserve(map, size, flags)
    Prototype{.id = 131,
              .returns = {.kind = ReturnKind::ringbuf_record_or_null, .acquires = true},
              .args = {kMap, kAllocSize, kAny},
              .native = ringbuf_reserve},
    // ringbuf_submit(record, flags)
    Prototype{.id = 132,
              .returns = {ReturnKind::nothing},
              .args = {kRecord, kAny},
              .native = ringbuf_submit},
    // ringbuf_discard(record, flags)
    Prototype{.id = 133,
              .returns = {ReturnKind::nothing},
              .args = {kRecord, kAny},
              .native = ringbuf_discard},
    // ringbuf_query(map, what)
    Prototype{.id = 134, .args = {kMap, kAny}, .native = ringbuf_query},
    // ringbuf_reserve_dynptr(map, size, flags, dynptr)
    Prototype{.id = 198, .args = {kMap, kAny, kAny, kNewDynptr}},
    // ringbuf_submit_dynptr(dynptr, flags)
    Prototype{.id = 199, .returns = {ReturnKind::nothing}, .args = {kReleasedDynptr, kAny}},
    // ringbuf_discard_dynptr(dynptr, flags)
    Prototype{.id = 200, .returns = {ReturnKind::nothing}, .args = {kReleasedDynptr, kAny}},
    // user_ringbuf_drain(map, callback, context, flags)
    Prototype{.id = 209,
              .args = {kMap, kCallback, kFrameOrNull, kAny},
              .callback = CallbackRule::user_ringbuf,
              .native = user_ringbuf_drain},
};

}  // namespace

std::span<const Prototype> ringbuf() {
    return kRows;
}

}  // namespace crema::ebpf::helpers::prototypes
