// SPDX-License-Identifier: BSD-3-Clause
//
// Loads, stores and atomic adds: which pointer may be dereferenced where, and what a load yields.
// Packet and map value accesses may be unaligned, stack and atomic ones may not. The frame itself
// is in stack.cpp.
#include <cerrno>
#include <cstring>
#include <limits>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

/// Offsets of struct xdp_md.
constexpr std::int32_t kCtxData = 0, kCtxDataEnd = 4, kCtxDataMeta = 8, kCtxEgress = 20,
                       kCtxBytes = 24;

// Offsets of struct bpf_sock: 32-bit fields, but for the 16-bit dst_port.
constexpr std::int32_t kSockDevice = 0, kSockType = 8, kSockMark = 16, kSockPriority = 20,
                       kSockDstPort = 48, kSockBytes = 80;

/// May a program read `size` bytes at `off` of struct bpf_sock or bpf_xdp_sock?
bool is_socket_field(RegType type, std::int32_t off, std::uint32_t size) {
    const auto bytes = static_cast<std::int32_t>(size);
    if (type == RegType::xdp_sock) {
        return off == 0 && bytes == 4;
    }
    if (off < 0 || off >= kSockBytes || bytes > 4 || off % bytes != 0) {
        return false;
    }
    const std::int32_t field = off / 4 * 4;
    if (type == RegType::sock_common && field >= kSockType && field <= kSockPriority) {
        return false;
    }
    if (field == kSockDstPort) {
        return off + bytes <= kSockDstPort + 2 || bytes == 4;
    }
    const bool whole_only = field == kSockDevice || field == kSockMark || field == kSockPriority;
    return bytes == 4 || !whole_only;
}

std::uint8_t region_of(RegType type) {
    switch (type) {
        case RegType::packet:
        case RegType::packet_meta:
            return kPacket;
        case RegType::stack:
            return kStack;
        default:
            return kOtherMemory;
    }
}

bool programs_may_not_write(const maps::MapSpec& spec) {
    // The kernel makes devmaps read-only for programs, whatever the creator asked for.
    return (spec.flags & maps::kRdonlyProg) != 0 || spec.type == maps::MapType::devmap ||
           spec.type == maps::MapType::devmap_hash;
}

}  // namespace

Status Machine::note_access(Access access) {
    Access& known = proof_.insns[insn_].access;
    if (known != Access::none && known != access) {
        return fail(EINVAL, "same insn cannot be used with different pointers");
    }
    known = access;
    return {};
}

Status Machine::check_aligned(const Reg& reg,
                              std::int32_t off,
                              std::uint32_t size,
                              const char* what) const {
    const std::int64_t fixed = std::int64_t{reg.off} + off;
    const Tnum address = tnum_add(reg.s.bits, Tnum::constant(static_cast<std::uint64_t>(fixed)));
    if ((address.possible() & (size - 1)) == 0) {
        return {};
    }
    return fail(EACCES, "misaligned {}access off {}+{}+{} size {}", what, describe_bits(reg.s.bits),
                reg.off, off, size);
}

/// Strict alignment in a packet: the kernel reckons with two bytes in front of the Ethernet header.
Status Machine::check_packet_aligned(const Reg& reg, std::int32_t off, std::uint32_t size) const {
    constexpr std::int64_t kIpAlign = 2;
    const std::int64_t fixed = kIpAlign + reg.off + off;
    const Tnum address = tnum_add(reg.s.bits, Tnum::constant(static_cast<std::uint64_t>(fixed)));
    if ((address.possible() & (size - 1)) == 0) {
        return {};
    }
    return fail(EACCES, "misaligned packet access off {}+{}+{}+{} size {}", kIpAlign,
                describe_bits(reg.s.bits), reg.off, off, size);
}

Status Machine::check_unmodified(std::uint32_t regno) const {
    const Reg& reg = cur_.regs[regno];
    if (reg.off < 0) {
        return fail(EACCES, "negative offset {} ptr R{} off={} disallowed", type_name(reg.type),
                    regno, reg.off);
    }
    if (reg.off != 0) {
        return fail(EACCES, "dereference of modified {} ptr R{} off={} disallowed",
                    type_name(reg.type), regno, reg.off);
    }
    if (!reg.s.is_const(0)) {
        return fail(EACCES, "variable {} access var_off={} disallowed", type_name(reg.type),
                    describe_bits(reg.s.bits));
    }
    return {};
}

Status Machine::check_ctx(std::uint32_t regno,
                          std::int32_t off,
                          std::uint32_t size,
                          Direction direction) {
    if (auto ok = check_unmodified(regno); !ok) {
        return ok;
    }
    const bool egress_ok = program_.expected_attach_type == kAttachXdpDevmap;
    const bool field = size == 4 && off >= 0 && off < kCtxBytes && off % 4 == 0 &&
                       (off != kCtxEgress || egress_ok);
    if (direction != Direction::read || !field) {
        return fail(EACCES, "invalid bpf_context access off={} size={}", off, size);
    }
    return note_access(Access::ctx);
}

Status Machine::check_packet(std::uint32_t regno,
                             std::int64_t off,
                             std::int64_t size,
                             bool zero_allowed) {
    const Reg& reg = cur_.regs[regno];
    if (reg.s.wide.smin < 0) {
        return fail(EACCES,
                    "R{} min value is negative, either use unsigned index or do a if (index >=0) "
                    "check.",
                    regno);
    }
    if (reg.range < 0) {
        return fail(EINVAL, "R{} offset is outside of the packet", regno);
    }
    const bool size_ok = size > 0 || (size == 0 && zero_allowed);
    if (off < 0 || !size_ok || off + size > reg.range) {
        return fail(EACCES,
                    "invalid access to packet, off={} size={}, R{}(id={},off={},r={}); R{} offset "
                    "is outside of the packet",
                    off, size, regno, reg.id, off, reg.range, regno);
    }
    return {};
}

/// [off, off + size) from where R`regno` points to lies in its `bytes` bytes.
Status Machine::check_region(std::uint32_t regno,
                             std::int64_t off,
                             std::int64_t size,
                             std::uint32_t bytes,
                             bool zero_allowed) const {
    const Reg& reg = cur_.regs[regno];
    const std::int64_t smin = reg.s.wide.smin;
    if (smin < -kMaxVarOff || (smin < 0 && smin + off < 0)) {
        return fail(EACCES,
                    "R{} min value is negative, either use unsigned index or do a if (index >=0) "
                    "check.",
                    regno);
    }
    const auto outside = [&](std::int64_t at, const char* which) -> Status {
        const bool size_ok = size > 0 || (size == 0 && zero_allowed);
        if (at >= 0 && size_ok && at + size <= std::int64_t{bytes}) {
            return {};
        }
        const std::string where =
            reg.type == RegType::map_value
                ? fmt::format("invalid access to map value, value_size={} off={} size={}", bytes,
                              at, size)
            : reg.type == RegType::map_key
                ? fmt::format("invalid access to map key, key_size={} off={} size={}", bytes, at,
                              size)
                : fmt::format("invalid access to memory, mem_size={} off={} size={}", bytes, at,
                              size);
        return fail(EACCES, "{}; R{} {} value is outside of the allowed memory range", where, regno,
                    which);
    };
    if (auto ok = outside(smin + off, "min"); !ok) {
        return ok;
    }
    if (reg.s.wide.umax >= static_cast<std::uint64_t>(kMaxVarOff)) {
        return fail(EACCES,
                    "R{} unbounded memory access, make sure to bounds check any such access",
                    regno);
    }
    return outside(static_cast<std::int64_t>(reg.s.wide.umax) + off, "max");
}

Status Machine::check_map_value(std::uint32_t regno,
                                std::int64_t off,
                                std::int64_t size,
                                Direction direction,
                                bool zero_allowed) {
    const maps::MapSpec& spec = spec_of(cur_.regs[regno]);
    if (direction == Direction::write && programs_may_not_write(spec)) {
        return fail(EACCES, "write into map forbidden, value_size={} off={} size={}",
                    spec.value_size, off, size);
    }
    if (direction != Direction::write && (spec.flags & maps::kWronlyProg) != 0) {
        return fail(EACCES, "read from map forbidden, value_size={} off={} size={}",
                    spec.value_size, off, size);
    }
    return check_region(regno, off, size, spec.value_size, zero_allowed);
}

Status Machine::check_value_access(std::uint32_t regno,
                                   std::int64_t off,
                                   std::uint32_t size,
                                   Direction direction) {
    const Status ok = check_map_value(regno, off, size, direction, false);
    return ok ? check_plain_bytes(regno, off, size, false) : ok;
}

Status Machine::check_access(
    std::uint32_t regno, std::int32_t off, std::uint32_t size, Direction direction, bool aligned) {
    const Reg& reg = cur_.regs[regno];
    aligned = aligned || program_.strict_alignment;
    Status ok;
    switch (reg.or_null ? RegType::not_init : reg.type) {
        case RegType::ctx:
            if (aligned) {
                ok = check_aligned(reg, off, size, "context ");
            }
            return !ok ? ok : check_ctx(regno, off, size, direction);
        case RegType::map_value:
            if (aligned) {
                ok = check_aligned(reg, off, size, "value ");
            }
            if (ok) {
                ok = check_value_access(regno, std::int64_t{reg.off} + off, size, direction);
            }
            break;
        case RegType::stack:
            ok = check_aligned(reg, off, size, "stack ");
            if (ok) {
                ok = check_stack(regno, std::int64_t{reg.off} + off, size, direction);
            }
            if (ok) {
                ok = check_objects(regno, off, size, direction);
            }
            break;
        case RegType::packet:
        case RegType::packet_meta:
            if (aligned) {
                ok = check_packet_aligned(reg, off, size);
            }
            if (!ok) {
                break;
            }
            ok = check_packet(regno, std::int64_t{reg.off} + off, size, false);
            break;
        case RegType::map_key:
        case RegType::memory:
        case RegType::sock_common:
        case RegType::socket:
        case RegType::xdp_sock:
            if (aligned) {
                ok = check_aligned(reg, off, size, "");
            }
            if (ok) {
                ok = check_object(regno, off, size, direction);
            }
            break;
        case RegType::kernel_object:
            return fail(ENOTSUP, "R{} reads a structure of the kernel, not served yet", regno);
        case RegType::map_ptr:
            return fail(ENOTSUP, "R{} reads the map itself (struct bpf_map), not served yet",
                        regno);
        default:
            if (aligned) {
                ok = check_aligned(reg, off, size, "");
            }
            return ok ? fail(EACCES, "R{} invalid mem access '{}'", regno, type_name(reg)) : ok;
    }
    if (!ok) {
        return ok;
    }
    proof_.insns[insn_].regions |= region_of(reg.type);
    return note_access(Access::memory);
}

/// Keys, memory that calls gave, and sockets.
Status Machine::check_object(std::uint32_t regno,
                             std::int32_t off,
                             std::uint32_t size,
                             Direction direction) {
    const Reg& reg = cur_.regs[regno];
    const std::int64_t at = std::int64_t{reg.off} + off;
    if (reg.type == RegType::map_key) {
        return direction == Direction::write
                   ? fail(EACCES, "write to change key R{} not allowed", regno)
                   : check_region(regno, at, size, spec_of(reg).key_size, false);
    }
    if (direction == Direction::write && (reg.type != RegType::memory || reg.read_only)) {
        return fail(EACCES, "R{} cannot write into {}", regno, type_name(reg));
    }
    if (reg.type == RegType::memory) {
        return check_region(regno, at, size, reg.size, false);
    }
    if (auto ok = check_unmodified(regno); !ok) {
        return ok;
    }
    return is_socket_field(reg.type, off, size)
               ? Status{}
               : fail(EACCES, "R{} invalid {} access off={} size={}", regno, type_name(reg), off,
                      size);
}

Reg Machine::loaded_from_ctx(std::int32_t off) const {
    switch (off) {
        case kCtxData:
            return Reg::pointer(RegType::packet);
        case kCtxDataEnd:
            return Reg::pointer(RegType::packet_end);
        case kCtxDataMeta:
            return Reg::pointer(RegType::packet_meta);
        default:
            return Reg::scalar(Scalar::unknown_bytes(4));
    }
}

Reg Machine::loaded_from_map(const Reg& ptr, std::int32_t off, std::uint32_t size) const {
    const maps::Map& map = map_of(ptr);
    const maps::ValueLayout layout = map.layout();
    const bool constants = !ptr.inner && map.frozen() &&
                           (map.spec().flags & maps::kRdonlyProg) != 0 &&
                           map.spec().type == maps::MapType::array && map.spec().max_entries == 1 &&
                           layout.base != nullptr;
    if (!constants || !ptr.s.is_const()) {
        return Reg::scalar(Scalar::unknown_bytes(size));
    }
    const std::int64_t at =
        std::int64_t{ptr.off} + off + static_cast<std::int64_t>(ptr.s.bits.value);
    std::uint64_t value = 0;
    std::memcpy(&value, layout.base + at, size);
    return Reg::scalar(Scalar::constant(value));
}

Result<Reg> Machine::loaded_value(std::uint32_t regno,
                                  std::int32_t off,
                                  std::uint32_t size,
                                  bool is_signed) {
    const Reg ptr = cur_.regs[regno];
    Reg value = Reg::scalar(Scalar::unknown_bytes(size));
    if (ptr.type == RegType::ctx) {
        value = loaded_from_ctx(off);
    } else if (ptr.type == RegType::map_value) {
        value = loaded_from_map(ptr, off, size);
    } else if (ptr.type == RegType::stack) {
        auto stored = read_stack(ptr, off, size);
        if (!stored) {
            return stored;
        }
        value = *stored;
    }
    if (is_signed && value.is_scalar()) {
        if (!value.s.fits_positive(size)) {
            // No longer the number whose copies carry this id.
            value.id = 0;
            value.linked_sum = false;
            value.narrow_sum = false;
            value.off = 0;
        }
        value.s.sign_extend(size);
    }
    return value;
}

Status Machine::do_load(const Insn& insn) {
    const std::uint32_t size = op::access_bytes(insn.code);
    const bool is_signed = op::mode(insn.code) == op::kMemSx;
    if (auto ok = check_access(insn.src, insn.off, size, Direction::read, false); !ok) {
        return ok;
    }
    if (is_signed && cur_.regs[insn.src].type == RegType::ctx &&
        loaded_from_ctx(insn.off).is_pointer()) {
        return fail(EACCES, "invalid bpf_context access off={} size={}", insn.off, size);
    }
    const auto value = loaded_value(insn.src, insn.off, size, is_signed);
    if (!value) {
        return forward_error(value);
    }
    cur_.regs[insn.dst] = *value;
    return {};
}

Status Machine::do_store(const Insn& insn) {
    const std::uint32_t size = op::access_bytes(insn.code);
    if (auto ok = check_access(insn.dst, insn.off, size, Direction::write, false); !ok) {
        return ok;
    }
    const Reg ptr = cur_.regs[insn.dst];
    if (ptr.type != RegType::stack) {
        return {};
    }
    if (op::insn_class(insn.code) == op::kSt) {
        Reg value =
            Reg::scalar(Scalar::constant(static_cast<std::uint64_t>(std::int64_t{insn.imm})));
        return write_stack(ptr, insn.off, size, &value, -1);
    }
    return write_stack(ptr, insn.off, size, &cur_.regs[insn.src], insn.src);
}

Status Machine::check_atomic_pointer(std::uint32_t regno, const char* what) const {
    const Reg& ptr = cur_.regs[regno];
    if (ptr.type == RegType::ctx || ptr.is_packet()) {
        return fail(EACCES, "BPF_ATOMIC {} R{} {} is not allowed", what, regno,
                    type_name(ptr.type));
    }
    return {};
}

Status Machine::do_load_acquire(const Insn& insn) {
    const std::uint32_t size = op::access_bytes(insn.code);
    if (auto ok = check_access(insn.src, insn.off, size, Direction::read, true); !ok) {
        return ok;
    }
    if (auto ok = check_atomic_pointer(insn.src, "loads from"); !ok) {
        return ok;
    }
    const auto value = loaded_value(insn.src, insn.off, size, false);
    if (!value) {
        return forward_error(value);
    }
    cur_.regs[insn.dst] = *value;
    return {};
}

Status Machine::do_store_release(const Insn& insn) {
    const std::uint32_t size = op::access_bytes(insn.code);
    if (auto ok = check_access(insn.dst, insn.off, size, Direction::write, true); !ok) {
        return ok;
    }
    if (auto ok = check_atomic_pointer(insn.dst, "stores into"); !ok) {
        return ok;
    }
    const Reg ptr = cur_.regs[insn.dst];
    return ptr.type == RegType::stack
               ? write_stack(ptr, insn.off, size, &cur_.regs[insn.src], insn.src)
               : Status{};
}

Status Machine::do_atomic(const Insn& insn) {
    if (is_load_acquire(insn)) {
        return do_load_acquire(insn);
    }
    if (is_store_release(insn)) {
        return do_store_release(insn);
    }
    const std::uint32_t size = op::access_bytes(insn.code);
    const Reg ptr = cur_.regs[insn.dst];
    if (auto ok = check_atomic_pointer(insn.dst, "stores into"); !ok) {
        return ok;
    }
    const int result = atomic_result(insn);
    if (result == insn.dst) {
        // As in the kernel, the result's register is any number before the access is judged.
        cur_.regs[insn.dst] = Reg::scalar(Scalar::unknown());
    }
    for (const Direction direction : {Direction::read, Direction::write}) {
        if (auto ok = check_access(insn.dst, insn.off, size, direction, true); !ok) {
            return ok;
        }
    }
    const auto fetched = loaded_value(insn.dst, insn.off, size, false);
    if (!fetched) {
        return forward_error(fetched);
    }
    if (ptr.type == RegType::stack) {
        if (ptr.s.is_const()) {
            const std::int64_t at =
                std::int64_t{ptr.off} + insn.off + static_cast<std::int64_t>(ptr.s.bits.value);
            write_slot(ptr.frame, at, size, Byte::misc);
        } else {
            write_stack_anywhere(ptr, insn.off, size, false);
        }
    }
    if (result >= 0) {
        cur_.regs[static_cast<std::size_t>(result)] = *fetched;
    } else {
        step_slot_ = -1;
    }
    return {};
}

}  // namespace crema::ebpf::verifier
