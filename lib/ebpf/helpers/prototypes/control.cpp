// SPDX-License-Identifier: BSD-3-Clause
//
// Control flow and objects inside map values: callbacks, locks, timers, kept pointers.
#include <array>

#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers::prototypes {

namespace {

constexpr Arg kLock{.kind = ArgKind::spin_lock};
constexpr Arg kTimer{.kind = ArgKind::timer};

constexpr std::array kRows = {
    // spin_lock(lock), spin_unlock(lock)
    Prototype{.id = 93, .returns = {ReturnKind::nothing}, .args = {kLock}, .native = spin_lock},
    Prototype{.id = 94, .returns = {ReturnKind::nothing}, .args = {kLock}, .native = spin_unlock},
    // for_each_map_elem(map, callback, context, flags)
    Prototype{.id = 164,
              .args = {kMap, kCallback, kFrameOrNull, kAny},
              .callback = CallbackRule::each_element,
              .wants_context = true,
              .native = for_each_map_elem},
    // timer_init(timer, map, flags)
    Prototype{.id = 169, .args = {kTimer, kMap, kAny}, .gpl_only = true, .native = timer_init},
    // timer_set_callback(timer, callback)
    Prototype{.id = 170,
              .args = {kTimer, kCallback},
              .callback = CallbackRule::timer,
              .gpl_only = true,
              .native = timer_set_callback},
    // timer_start(timer, ns, flags)
    Prototype{.id = 171,
              .args = {kTimer, kAny, kAny},
              .gpl_only = true,
              .wants_context = true,
              .native = timer_start},
    // timer_cancel(timer)
    Prototype{.id = 172, .args = {kTimer}, .gpl_only = true, .native = timer_cancel},
    // loop(count, callback, context, flags)
    Prototype{.id = 181,
              .args = {kAny, kCallback, kFrameOrNull, kAny},
              .callback = CallbackRule::loop,
              .native = loop},
    // kptr_xchg(field, object)
    Prototype{.id = 194,
              .returns = {.kind = ReturnKind::kptr_or_null, .acquires = true},
              .args = {Arg{.kind = ArgKind::kptr_field},
                       Arg{.kind = ArgKind::owned_object, .nullable = true, .releases = true}}},
};

}  // namespace

std::span<const Prototype> control() {
    return kRows;
}

}  // namespace crema::ebpf::helpers::prototypes
