// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel functions (kfuncs) that programs may call here, as data: name, prototype, rules and
// native function. The verifier checks calls against the rows, lowering and interpreter bind the
// natives. What a parameter is for follows from its type and the ending of its name, as in a
// kernel. A call names a function by its type number in kernel_btf() (kernel_btf.h).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "lib/ebpf/helpers/prototypes.h"

namespace crema::ebpf::kfuncs {

enum class Base : std::uint8_t {
    nothing,
    boolean,
    i32,
    u8,
    u16,
    u32,
    u64,
    rss_hash_type,  // enum xdp_rss_hash_type
    xdp_md,
    dynptr,
    iter_num,
    iter_bits,
};

inline constexpr std::size_t kBases = 12;

struct Type {
    Base base = Base::nothing;
    bool is_pointer = false;
    bool is_const = false;  // what is pointed to

    friend bool operator==(const Type&, const Type&) = default;
};

/// Bytes of an object of that type; 0 for nothing.
[[nodiscard]] std::uint32_t size_of(Base base);

struct Parameter {
    const char* name = nullptr;  // null: no more parameters
    Type type{};

    [[nodiscard]] bool ends_with(std::string_view ending) const {
        return std::string_view(name).ends_with(ending);
    }
};

/// What is special about a call, beside its arguments.
enum class Role : std::uint8_t {
    plain,
    iterator_new,
    iterator_next,
    iterator_destroy,
    dynptr_from_xdp,
    dynptr_clone,
    dynptr_slice,       // gives memory that may not be written
    dynptr_slice_rdwr,  // gives memory
    rcu_lock,
    rcu_unlock,
    preempt_disable,
    preempt_enable,
    device_metadata,  // only for programs that are bound to a device
};

struct Function {
    const char* name = nullptr;
    Type returns{};
    std::array<Parameter, 5> params{};
    Role role = Role::plain;
    bool may_return_null = false;
    bool trusted_args = false;  // no argument may be null
    bool moves_packet = false;  // packet pointers and slices of frames are stale afterwards
    bool under_lock = false;    // may be called while a lock is held
    helpers::Native native = nullptr;

    [[nodiscard]] std::uint32_t param_count() const;

    /// r1..r5 that a call reads, one bit each.
    [[nodiscard]] std::uint16_t registers_read() const {
        return static_cast<std::uint16_t>((2U << param_count()) - 2U);
    }
};

/// What an argument is for.
enum class ParamKind : std::uint8_t {
    ignored,
    number,
    constant,
    context,
    dynptr,
    new_dynptr,
    iterator,
    memory,           // of a type's size, or null
    memory_and_size,  // with the next argument, its size
};

[[nodiscard]] ParamKind kind_of(const Function& function, std::uint32_t index);

/// Every function that is served.
[[nodiscard]] std::span<const Function> all();
[[nodiscard]] const Function* find(std::string_view name);
/// By its type number in kernel_btf(); null: no function of ours.
[[nodiscard]] const Function* find(std::int32_t btf_id);

/// Null for no function of ours.
[[nodiscard]] const char* name_of(std::int32_t btf_id);

/// "iter_num": how the kernel's messages call the state of an iterator.
[[nodiscard]] const char* iterator_name(Base base);

}  // namespace crema::ebpf::kfuncs
