// SPDX-License-Identifier: BSD-3-Clause
//
// Calls: helpers, functions of the program, callbacks. Arguments are set in order, and what a
// register holds is noted as it is set, so that no later argument is taken from it by mistake.
#include "tests/fuzz/body.h"
#include "tests/fuzz/stage_maps.h"

namespace crema::test::fuzz {

void Body::clobber_caller_registers() {
    for (Reg reg = 0; reg <= 5; ++reg) {
        scope_.regs[index(reg)] = {};
    }
}

void Body::call_helper(std::int32_t id) {
    out_.add(call(id));
    clobber_caller_registers();
    set_number(0);
}

Code Body::map_constant(Reg into, int map) const {
    return ld_map(into, map);
}

/// Packet pointers that a loop relies on would not survive.
bool Body::may_move_packet() const {
    for (Reg reg = 0; reg < 10; ++reg) {
        if (locked(reg) && is(reg, Kind::packet)) {
            return false;
        }
    }
    return true;
}

void Body::helper() {
    const std::int32_t id = dice_.pick(features_.helpers);
    if (!features_.has_helper(id)) {
        return;
    }
    switch (id) {
        case kMapLookup:
        case kLookupPercpu:
            lookup();
            break;
        case kMapUpdate:
        case kMapDelete:
            update_or_delete();
            break;
        case kSmpProcessorId:
            call_helper(id);
            break;
        case kRedirect:
            out_.add(mov(1, number()));
            set_number(1);
            out_.add(dice_.one_in(2) ? mov_k(2, 0) : mov(2, number()));
            call_helper(id);
            break;
        case kCsumDiff:
            checksum();
            break;
        case kAdjustHead:
        case kAdjustMeta:
        case kAdjustTail:
            adjust();
            break;
        case kBuffLen:
            if (has_context()) {
                get_context(1);
                call_helper(id);
            }
            break;
        default:
            copy_bytes();
            break;
    }
}

void Body::adjust() {
    static constexpr std::int32_t kAll[] = {kAdjustHead, kAdjustMeta, kAdjustTail};
    static constexpr int kSteps[] = {-216, -64, -20, -14, -8, -4, -1, 0, 1, 4, 8, 14, 20, 64, 300};
    const std::int32_t id = dice_.pick(kAll);
    if (!features_.has_helper(id) || !has_context() || !may_move_packet()) {
        return;
    }
    if (dice_.one_in(2)) {
        out_.add(mov_k(2, dice_.pick(kSteps)));
    } else {
        const Reg step = small_number(63, 0);
        out_.add({mov(2, step), add_k(2, dice_.pick(kSteps))});
    }
    set_number(2);
    get_context(1);
    call_helper(id);
    forget_packet();
}

void Body::checksum() {
    const int from_bytes = 4 * dice_.between(0, 4);
    const int to_bytes = 4 * dice_.between(0, 4);
    const auto from = from_bytes == 0 ? std::optional(0) : filled_place(from_bytes, 4);
    const auto to = to_bytes == 0 ? std::optional(0) : filled_place(to_bytes, 4);
    if (!from || !to) {
        return;
    }
    out_.add(mov(5, number()));
    set_number(5);
    const auto argument = [this](Reg reg, int at, int bytes) {
        if (bytes == 0) {
            out_.add(mov_k(reg, 0));
        } else {
            frame_address(reg, at);
        }
        out_.add(mov_k(reg + 1, bytes));
    };
    argument(1, *from, from_bytes);
    argument(3, *to, to_bytes);
    call_helper(kCsumDiff);
}

void Body::copy_bytes() {
    const std::int32_t id = dice_.one_in(2) ? kLoadBytes : kStoreBytes;
    if (!features_.has_helper(id) || !has_context()) {
        return;
    }
    const int bytes = dice_.between(1, 20);
    // Also what a failed copy leaves must be numbers: the place is filled before.
    const auto at = filled_place((bytes + 3) / 4 * 4, 4);
    if (!at) {
        return;
    }
    const Reg from = small_number(127, 0);
    out_.add(mov(2, from));
    set_number(2);
    get_context(1);
    frame_address(3, *at);
    out_.add(mov_k(4, bytes));
    call_helper(id);
}

void Body::call_function() {
    if (!features_.functions || loops_ > 1) {
        return;
    }
    std::vector<std::size_t> callees;
    for (std::size_t i = plan_.callees_from; i < shop_.signatures.size(); ++i) {
        if (!is_callback(shop_.roles[i])) {
            callees.push_back(i);
        }
    }
    if (callees.empty()) {
        return;
    }
    const std::size_t callee = dice_.pick(callees);
    const Signature& signature = shop_.signatures[callee];
    std::vector<int> places;
    for (const Holding& argument : signature) {
        if (argument.kind == Kind::context && (!has_context() || !may_move_packet())) {
            return;
        }
        // A global function takes any memory of that size, a static one a map's value.
        const bool takes_frame = shop_.roles[callee] == Role::global &&
                                 argument.kind == Kind::map_value && dice_.one_in(2);
        const auto at = takes_frame || argument.kind == Kind::frame
                            ? filled_place(argument.bytes, 8)
                            : std::optional(-1);
        if (!at) {
            return;
        }
        places.push_back(*at);
    }
    bool moves_packet = false;
    std::uint32_t set = 0;  // arguments
    for (std::size_t i = 0; i < signature.size(); ++i) {
        const Reg reg = static_cast<Reg>(i) + 1;
        switch (signature[i].kind) {
            case Kind::number:
                out_.add(mov(reg, number(set)));
                break;
            case Kind::context:
                get_context(reg);
                moves_packet = true;
                break;
            default:
                if (places[i] >= 0) {
                    frame_address(reg, places[i]);
                } else {
                    out_.add(ld_map_value(reg, kGlobalMap,
                                          static_cast<int>(kGlobalBytes) - signature[i].bytes));
                }
                break;
        }
        scope_.regs[index(reg)] = signature[i];
        set |= bit(reg);
    }
    out_.name_function(insn(op::kJmp | op::kCall, 0, op::kPseudoCall, 0, 0), callee);
    shop_.used[callee] = true;
    clobber_caller_registers();
    set_number(0);
    if (moves_packet) {
        forget_packet();
    }
}

std::optional<std::size_t> Body::function_of(Role role) {
    for (std::size_t i = plan_.callees_from; i < shop_.signatures.size(); ++i) {
        if (shop_.roles[i] == role) {
            return i;
        }
    }
    return std::nullopt;
}

void Body::call_each() {
    static constexpr int kOrdered[] = {kArrayMap, kPercpuMap};
    static constexpr int kAny[] = {kHashMap, kPercpuHashMap, kLruMap, kArrayMap};
    if (!features_.each_element || loops_ > 0 || is_callback(plan_.role)) {
        return;
    }
    const bool ordered = dice_.one_in(2);
    const auto callback = function_of(ordered ? Role::each_callback : Role::adding_callback);
    const auto at = callback ? filled_place(16, 8) : std::nullopt;
    if (!at) {
        return;
    }
    out_.add(map_constant(1, ordered ? dice_.pick(kOrdered) : dice_.pick(kAny)));
    out_.name_function({insn(op::kLdImm64, 2, op::kPseudoFunc, 0, 0), insn(0, 0, 0, 0, 0)},
                       *callback);
    shop_.used[*callback] = true;
    frame_address(3, *at);
    out_.add(mov_k(4, dice_.one_in(8) ? 1 : 0));
    call_helper(kEachElement);
}

/// Where it succeeds nothing below runs; where it fails r1..r5 and packet pointers are lost.
void Body::tail_call() {
    if (!features_.tail_calls || !has_context() || holds_ || is_callback(plan_.role) ||
        !may_move_packet()) {
        return;
    }
    if (dice_.one_in(2)) {
        out_.add(mov_k(3, dice_.below(static_cast<int>(kProgramsEntries) + 1)));
    } else {
        const Reg slot = small_number(15, 0);
        out_.add(mov(3, slot));
    }
    set_number(3);
    out_.add(map_constant(2, kProgramsMap));
    scope_.regs[2] = {};
    get_context(1);
    out_.add(call(kTailCall));
    clobber_caller_registers();
    forget_packet();
}

void Body::call_loop() {
    if (!features_.loop_helper || loops_ > 0 || is_callback(plan_.role)) {
        return;
    }
    const auto callback = function_of(Role::loop_callback);
    const auto at = callback ? filled_place(16, 8) : std::nullopt;
    if (!at) {
        return;
    }
    if (dice_.one_in(2)) {
        out_.add(mov_k(1, dice_.below(6)));
    } else {
        const Reg rounds = small_number(7, 0);
        out_.add(mov(1, rounds));
    }
    set_number(1);
    out_.name_function({insn(op::kLdImm64, 2, op::kPseudoFunc, 0, 0), insn(0, 0, 0, 0, 0)},
                       *callback);
    shop_.used[*callback] = true;
    scope_.regs[2] = {};
    frame_address(3, *at);
    out_.add(dice_.one_in(8) ? mov_k(4, 1) : mov_k(4, 0));
    call_helper(kLoop);
}

}  // namespace crema::test::fuzz
