// SPDX-License-Identifier: BSD-3-Clause
//
// Is everything a program can do from here covered by what was proved from an earlier state at the
// same instruction? Compared are live registers and stack slots that some continuation reads;
// scalars only where they decided something. Equal unknowns must stay equal (IdMap).
#include <algorithm>
#include <utility>
#include <vector>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

/// One-to-one correspondence between the ids of two states.
class IdMap {
  public:
    [[nodiscard]] bool match(std::uint32_t old_id, std::uint32_t cur_id) {
        if ((old_id == 0) != (cur_id == 0)) {
            return false;
        }
        return old_id == 0 || pair(old_id, cur_id);
    }

    /// For scalars: an id of the old state asks for the same link in the new one; a new scalar
    /// without id is linked to nothing.
    [[nodiscard]] bool match_scalar(std::uint32_t old_id, std::uint32_t cur_id) {
        if (old_id == 0) {
            return true;
        }
        return pair(old_id, cur_id != 0 ? cur_id : --unlinked_);
    }

  private:
    bool pair(std::uint32_t old_id, std::uint32_t cur_id) {
        for (const auto& [o, c] : pairs_) {
            if (o == old_id || c == cur_id) {
                return o == old_id && c == cur_id;
            }
        }
        pairs_.emplace_back(old_id, cur_id);
        return true;
    }

    std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs_;
    std::uint32_t unlinked_ = ~std::uint32_t{0};
};

/// Both point to the same kind of thing, and what holds references and ids does so alike.
bool same_base(const Reg& a, const Reg& b, IdMap& ids) {
    return a.map == b.map && a.inner == b.inner && a.frame == b.frame && a.size == b.size &&
           a.read_only == b.read_only && a.record == b.record && a.object == b.object &&
           a.function == b.function && a.dynptr_kind == b.dynptr_kind &&
           a.first_slot == b.first_slot && a.iterator == b.iterator && a.drained == b.drained &&
           ids.match(a.id, b.id) && ids.match(a.ref, b.ref) && ids.match(a.dynptr, b.dynptr) &&
           ids.match(a.map_uid, b.map_uid);
}

bool same_held(const Held& a, const Held& b, IdMap& ids) {
    return a.rcu == b.rcu && a.preempt_off == b.preempt_off &&
           a.references.size() == b.references.size() && a.lock.is_held == b.lock.is_held &&
           a.lock.map == b.lock.map && ids.match(a.lock.id, b.lock.id) &&
           std::equal(
               a.references.begin(), a.references.end(), b.references.begin(),
               [&](const Reference& x, const Reference& y) { return ids.match(x.id, y.id); });
}

/// How a scalar of the old state counts: not at all (it decided nothing), as it decided something,
/// or in full, like everything else, as what it decides is not known yet.
enum class Weight : std::uint8_t { none, precise, all };

bool reg_covers(const Reg& old, Weight weight, const Reg& cur, IdMap& ids) {
    if (old.type == RegType::not_init && (weight != Weight::all || cur.type == old.type)) {
        return true;  // no proved continuation read it
    }
    if (old.type != cur.type || old.or_null != cur.or_null) {
        return false;
    }
    switch (old.type) {
        case RegType::scalar:
            if (weight == Weight::none) {
                return true;
            }
            if (old.id != 0 && (old.linked_sum != cur.linked_sum ||
                                old.narrow_sum != cur.narrow_sum || old.off != cur.off)) {
                return false;
            }
            return ids.match_scalar(old.id, cur.id) && cur.s.within(old.s);
        case RegType::map_key:
        case RegType::map_value:
        case RegType::memory:
            return same_base(old, cur, ids) && old.off == cur.off && cur.s.within(old.s);
        case RegType::packet:
        case RegType::packet_meta:
            if (old.range < 0 || cur.range < 0 ? old.range != cur.range : old.range > cur.range) {
                return false;
            }
            return old.off == cur.off && cur.s.within(old.s) && ids.match(old.id, cur.id);
        default:
            return same_base(old, cur, ids) && old.off == cur.off && old.s == cur.s;
    }
}

/// What a full read of the slot yields when that is a scalar.
bool as_scalar(const Slot& slot, Reg& out) {
    if (slot.is_spill()) {
        out = slot.spill();
        return slot.spill().is_scalar() && slot.spill_bytes() == kSlotBytes;
    }
    const bool zero =
        std::all_of(slot.bytes.begin(), slot.bytes.end(), [](Byte b) { return b == Byte::zero; });
    out = Reg::scalar(zero ? Scalar::constant(0) : Scalar::unknown());
    return true;
}

bool slot_covers(const Slot& old, Weight weight, const Slot& cur, IdMap& ids) {
    Reg old_value;
    Reg cur_value;
    if (cur.is_object() != old.is_object() || (weight == Weight::all && old.bytes != cur.bytes)) {
        return false;  // an object is no bytes that could be read
    }
    if (old.is_spill() && as_scalar(old, old_value) && as_scalar(cur, cur_value)) {
        return reg_covers(old_value, weight, cur_value, ids);
    }
    for (std::uint32_t i = 0; i < kSlotBytes; ++i) {
        switch (old.bytes[i]) {
            case Byte::unset:
            case Byte::misc:
                break;  // was read as unknown
            case Byte::zero:
            case Byte::spill:
            case Byte::dynptr:
            case Byte::iterator:
                if (cur.bytes[i] != old.bytes[i]) {
                    return false;
                }
                break;
        }
    }
    if (old.is_object()) {
        return same_base(old.object(), cur.object(), ids);
    }
    if (!old.is_spill()) {
        return true;
    }
    return old.spill_bytes() == cur.spill_bytes() &&
           reg_covers(old.spill(), weight, cur.spill(), ids);
}

bool reg_same(const Reg& a, const Reg& b, IdMap& ids) {
    return a.type == b.type && a.or_null == b.or_null && a.off == b.off && a.range == b.range &&
           a.linked_sum == b.linked_sum && a.narrow_sum == b.narrow_sum && a.s == b.s &&
           same_base(a, b, ids);
}

bool frame_covers(const Checkpoint& old,
                  std::uint32_t number,
                  const Frame& cur,
                  std::uint16_t live,
                  bool in_full,
                  IdMap& ids) {
    const Frame& was = old.state.frame_at(number);
    const Marks& precise = old.precise[number];
    const auto weight = [&](std::uint64_t marks, std::uint32_t i) {
        return in_full ? Weight::all : (marks >> i & 1U) != 0 ? Weight::precise : Weight::none;
    };
    if (was.callback_runs > cur.callback_runs) {
        return false;
    }
    for (std::uint32_t i = 0; i < kRegs; ++i) {
        if ((live >> i & 1U) != 0 &&
            !reg_covers(was.regs[i], weight(precise.regs, i), cur.regs[i], ids)) {
            return false;
        }
    }
    static const Slot empty{};
    for (std::uint32_t i = 0; i < was.stack.size(); ++i) {
        if (!in_full && (old.slots_read[number] >> i & 1U) == 0) {
            continue;
        }
        const Slot& now = i < cur.stack.size() ? cur.stack[i] : empty;
        if (!slot_covers(was.stack[i], weight(precise.slots, i), now, ids)) {
            return false;
        }
    }
    return true;
}

bool frame_same(const Frame& old, const Frame& cur, std::uint16_t live, IdMap& ids) {
    for (std::uint32_t i = 0; i < kRegs; ++i) {
        if ((live >> i & 1U) != 0 && !reg_same(old.regs[i], cur.regs[i], ids)) {
            return false;
        }
    }
    if (old.stack.size() != cur.stack.size()) {
        return false;
    }
    for (std::uint32_t i = 0; i < old.stack.size(); ++i) {
        const Slot& a = old.stack[i];
        const Slot& b = cur.stack[i];
        if (a.bytes != b.bytes || (a.is_spill() && !reg_same(a.spill(), b.spill(), ids)) ||
            (a.is_object() && !same_base(a.object(), b.object(), ids))) {
            return false;
        }
    }
    return true;
}

}  // namespace

bool iterator_turns_differ(const State& a, const State& b) {
    for (std::uint32_t n = 0; n <= std::min(a.depth(), b.depth()); ++n) {
        const Stack& x = a.frame_at(n).stack;
        const Stack& y = b.frame_at(n).stack;
        for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
            const bool both = x[i].bytes[0] == Byte::iterator && y[i].bytes[0] == Byte::iterator;
            if (both && x[i].object().turns != y[i].object().turns) {
                return true;
            }
        }
    }
    return false;
}

/// Both stand in the same functions, called from the same places.
bool same_calls(const State& a, const State& b) {
    if (a.depth() != b.depth()) {
        return false;
    }
    for (std::uint32_t n = 0; n <= a.depth(); ++n) {
        const Frame& x = a.frame_at(n);
        const Frame& y = b.frame_at(n);
        if (x.function != y.function || x.call_site != y.call_site ||
            x.is_callback != y.is_callback || x.is_async != y.is_async) {
            return false;
        }
    }
    return true;
}

bool covers(const Checkpoint& old, const State& cur, const LiveRegs& live, bool in_full) {
    if (!same_calls(old.state, cur)) {
        return false;
    }
    IdMap ids;
    if (!same_held(old.state.held, cur.held, ids)) {
        return false;
    }
    for (std::uint32_t n = 0; n <= cur.depth(); ++n) {
        if (!frame_covers(old, n, cur.frame_at(n), live[n], in_full, ids)) {
            return false;
        }
    }
    return true;
}

bool same_state(const State& old, const State& cur, const LiveRegs& live) {
    if (!same_calls(old, cur)) {
        return false;
    }
    IdMap ids;
    if (!same_held(old.held, cur.held, ids)) {
        return false;
    }
    for (std::uint32_t n = 0; n <= cur.depth(); ++n) {
        if (!frame_same(old.frame_at(n), cur.frame_at(n), live[n], ids)) {
            return false;
        }
    }
    return true;
}

}  // namespace crema::ebpf::verifier
