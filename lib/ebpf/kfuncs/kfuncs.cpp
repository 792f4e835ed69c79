// SPDX-License-Identifier: BSD-3-Clause
//
// The rows. Prototypes and parameter names are the kernel's (6.18): they are the interface that
// programs are compiled against, and the names' endings carry rules.
#include "lib/ebpf/kfuncs/kfuncs.h"

#include <algorithm>

#include "lib/ebpf/kfuncs/kernel_btf.h"
#include "lib/ebpf/kfuncs/natives.h"

namespace crema::ebpf::kfuncs {

namespace {

constexpr Type kVoid{}, kBoolean{.base = Base::boolean}, kInt{.base = Base::i32},
    kU8{.base = Base::u8}, kU32{.base = Base::u32}, kU64{.base = Base::u64};

constexpr Type to(Base base) {
    return {.base = base, .is_pointer = true};
}

constexpr Type to_const(Base base) {
    return {.base = base, .is_pointer = true, .is_const = true};
}

constexpr Type kContext = to(Base::xdp_md), kConstContext = to_const(Base::xdp_md),
               kDynptr = to(Base::dynptr), kConstDynptr = to_const(Base::dynptr),
               kIterNum = to(Base::iter_num), kMemory = to(Base::nothing);

constexpr Parameter kSlicedDynptr{"p", kConstDynptr}, kOffset{"offset", kU32},
    kOptionalBuffer{"buffer__opt", kMemory}, kBufferSize{"buffer__szk", kU32};

constexpr std::array kRows = {
    Function{.name = "bpf_dynptr_from_xdp",
             .returns = kInt,
             .params = {{{"x", kContext}, {"flags", kU64}, {"ptr__uninit", kDynptr}}},
             .role = Role::dynptr_from_xdp,
             .native = dynptr_from_xdp},
    Function{.name = "bpf_dynptr_slice",
             .returns = kMemory,
             .params = {{kSlicedDynptr, kOffset, kOptionalBuffer, kBufferSize}},
             .role = Role::dynptr_slice,
             .may_return_null = true,
             .native = dynptr_slice},
    Function{.name = "bpf_dynptr_slice_rdwr",
             .returns = kMemory,
             .params = {{kSlicedDynptr, kOffset, kOptionalBuffer, kBufferSize}},
             .role = Role::dynptr_slice_rdwr,
             .may_return_null = true,
             .native = dynptr_slice_rdwr},
    Function{.name = "bpf_dynptr_adjust",
             .returns = kInt,
             .params = {{{"p", kConstDynptr}, {"start", kU32}, {"end", kU32}}},
             .native = dynptr_adjust},
    Function{.name = "bpf_dynptr_clone",
             .returns = kInt,
             .params = {{{"p", kConstDynptr}, {"clone__uninit", kDynptr}}},
             .role = Role::dynptr_clone,
             .native = dynptr_clone},
    Function{.name = "bpf_dynptr_copy",
             .returns = kInt,
             .params = {{{"dst_ptr", kDynptr},
                         {"dst_off", kU32},
                         {"src_ptr", kDynptr},
                         {"src_off", kU32},
                         {"size", kU32}}},
             .native = dynptr_copy},
    Function{.name = "bpf_dynptr_memset",
             .returns = kInt,
             .params = {{{"p", kDynptr}, {"offset", kU32}, {"size", kU32}, {"val", kU8}}},
             .native = dynptr_memset},
    Function{.name = "bpf_dynptr_is_null",
             .returns = kBoolean,
             .params = {{{"p", kConstDynptr}}},
             .native = dynptr_is_null},
    Function{.name = "bpf_dynptr_is_rdonly",
             .returns = kBoolean,
             .params = {{{"p", kConstDynptr}}},
             .native = dynptr_is_rdonly},
    Function{.name = "bpf_dynptr_size",
             .returns = kU32,
             .params = {{{"p", kConstDynptr}}},
             .native = dynptr_size},
    Function{.name = "bpf_iter_num_new",
             .returns = kInt,
             .params = {{{"it", kIterNum}, {"start", kInt}, {"end", kInt}}},
             .role = Role::iterator_new,
             .under_lock = true,
             .native = iter_num_new},
    Function{.name = "bpf_iter_num_next",
             .returns = to(Base::i32),
             .params = {{{"it", kIterNum}}},
             .role = Role::iterator_next,
             .may_return_null = true,
             .under_lock = true,
             .native = iter_num_next},
    Function{.name = "bpf_iter_num_destroy",
             .returns = kVoid,
             .params = {{{"it", kIterNum}}},
             .role = Role::iterator_destroy,
             .under_lock = true,
             .native = iter_num_destroy},
    Function{.name = "bpf_xdp_pull_data",
             .returns = kInt,
             .params = {{{"x", kContext}, {"len", kU32}}},
             .moves_packet = true,
             .native = xdp_pull_data},
    Function{.name = "bpf_xdp_metadata_rx_timestamp",
             .returns = kInt,
             .params = {{{"ctx", kConstContext}, {"timestamp", to(Base::u64)}}},
             .role = Role::device_metadata,
             .trusted_args = true,
             .native = no_device_metadata},
    Function{.name = "bpf_xdp_metadata_rx_hash",
             .returns = kInt,
             .params = {{{"ctx", kConstContext},
                         {"hash", to(Base::u32)},
                         {"rss_type", to(Base::rss_hash_type)}}},
             .role = Role::device_metadata,
             .trusted_args = true,
             .native = no_device_metadata},
    Function{.name = "bpf_xdp_metadata_rx_vlan_tag",
             .returns = kInt,
             .params = {{{"ctx", kConstContext},
                         {"vlan_proto", to(Base::u16)},
                         {"vlan_tci", to(Base::u16)}}},
             .role = Role::device_metadata,
             .trusted_args = true,
             .native = no_device_metadata},
    Function{.name = "bpf_rcu_read_lock", .role = Role::rcu_lock, .native = region_marker},
    Function{.name = "bpf_rcu_read_unlock", .role = Role::rcu_unlock, .native = region_marker},
    Function{.name = "bpf_preempt_disable", .role = Role::preempt_disable, .native = region_marker},
    Function{.name = "bpf_preempt_enable", .role = Role::preempt_enable, .native = region_marker},
};

bool is_size(const Parameter& param) {
    return param.name != nullptr && (param.ends_with("__sz") || param.ends_with("__szk"));
}

}  // namespace

std::uint32_t size_of(Base base) {
    switch (base) {
        case Base::nothing:
            return 0;
        case Base::boolean:
        case Base::u8:
            return 1;
        case Base::u16:
            return 2;
        case Base::i32:
        case Base::u32:
        case Base::rss_hash_type:
            return 4;
        case Base::u64:
        case Base::iter_num:
            return 8;
        case Base::dynptr:
        case Base::iter_bits:
            return 16;
        case Base::xdp_md:
            return 24;
    }
    return 0;
}

std::uint32_t Function::param_count() const {
    const auto end = std::find_if(params.begin(), params.end(),
                                  [](const Parameter& param) { return param.name == nullptr; });
    return static_cast<std::uint32_t>(end - params.begin());
}

ParamKind kind_of(const Function& function, std::uint32_t index) {
    const Parameter& param = function.params[index];
    if (param.ends_with("__ign")) {
        return ParamKind::ignored;
    }
    if (!param.type.is_pointer) {
        return param.ends_with("__k") ? ParamKind::constant : ParamKind::number;
    }
    switch (param.type.base) {
        case Base::xdp_md:
            return ParamKind::context;
        case Base::dynptr:
            return param.ends_with("__uninit") ? ParamKind::new_dynptr : ParamKind::dynptr;
        case Base::iter_num:
        case Base::iter_bits:
            return ParamKind::iterator;
        default:
            break;
    }
    const bool has_size = index + 1 < function.params.size() && is_size(function.params[index + 1]);
    return has_size ? ParamKind::memory_and_size : ParamKind::memory;
}

std::span<const Function> all() {
    return kRows;
}

const Function* find(std::string_view name) {
    const auto* const found =
        std::find_if(kRows.begin(), kRows.end(),
                     [&](const Function& function) { return function.name == name; });
    return found != kRows.end() ? found : nullptr;
}

const char* name_of(std::int32_t btf_id) {
    const Function* const function = find(btf_id);
    return function != nullptr ? function->name : nullptr;
}

const char* iterator_name(Base base) {
    return base == Base::iter_bits ? "iter_bits" : "iter_num";
}

}  // namespace crema::ebpf::kfuncs
