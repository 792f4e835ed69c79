// SPDX-License-Identifier: BSD-3-Clause
//
// Dynamic pointers: memory whose size the verifier does not know.
#include <array>

#include "lib/ebpf/helpers/prototypes/families.h"

namespace crema::ebpf::helpers::prototypes {

namespace {

constexpr Arg kDynptr{.kind = ArgKind::dynptr};

constexpr std::array kRows = {
    // dynptr_from_mem(data, size, flags, dynptr)
    Prototype{
        .id = 197,
        .args = {kOut, kSizeOrZero, kAny,
                 Arg{.kind = ArgKind::dynptr, .use = Use::write, .dynptr = DynptrKind::local}},
        .native = dynptr_from_mem},
    // dynptr_read(to, size, dynptr, offset, flags)
    Prototype{.id = 201, .args = {kOut, kSizeOrZero, kDynptr, kAny, kAny}, .native = dynptr_read},
    // dynptr_write(dynptr, offset, from, size, flags)
    Prototype{.id = 202, .args = {kDynptr, kAny, kIn, kSizeOrZero, kAny}, .native = dynptr_write},
    // dynptr_data(dynptr, offset, size)
    Prototype{.id = 203,
              .returns = {ReturnKind::dynptr_slice_or_null},
              .args = {kDynptr, kAny, kAllocSize},
              .native = dynptr_data},
};

}  // namespace

std::span<const Prototype> dynptr() {
    return kRows;
}

}  // namespace crema::ebpf::helpers::prototypes
