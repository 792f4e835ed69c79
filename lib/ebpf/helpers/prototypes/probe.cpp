// SPDX-License-Identifier: BSD-3-Clause
//
// Copies from any address, which fail instead of faulting.
#include <array>

#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers::prototypes {

namespace {

constexpr std::array kRows = {
    // probe_read_user(to, size, address), probe_read_kernel, and the same for strings
    Prototype{
        .id = 112, .args = {kOut, kSizeOrZero, kAny}, .gpl_only = true, .native = probe_read_user},
    Prototype{.id = 113,
              .args = {kOut, kSizeOrZero, kAny},
              .gpl_only = true,
              .native = probe_read_kernel},
    Prototype{.id = 114,
              .args = {kOut, kSizeOrZero, kAny},
              .gpl_only = true,
              .native = probe_read_user_str},
    Prototype{.id = 115,
              .args = {kOut, kSizeOrZero, kAny},
              .gpl_only = true,
              .native = probe_read_kernel_str},
    // copy_from_user(to, size, address)
    Prototype{.id = 148, .args = {kOut, kSizeOrZero, kAny}, .sleeps = true},
    // copy_from_user_task(to, size, address, task, flags)
    Prototype{.id = 191,
              .args = {kOut, kSizeOrZero, kAny, object(KernelObject::task_struct), kAny},
              .gpl_only = true,
              .sleeps = true},
};

}  // namespace

std::span<const Prototype> probe() {
    return kRows;
}

}  // namespace crema::ebpf::helpers::prototypes
