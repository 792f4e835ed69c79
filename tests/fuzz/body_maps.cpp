// SPDX-License-Identifier: BSD-3-Clause
//
// Statements on maps: elements, maps in maps, queues, ring buffer records, and memory seen through
// a dynptr.
#include "tests/fuzz/body.h"
#include "tests/fuzz/stage_maps.h"

namespace crema::test::fuzz {

namespace {

/// What the statements below know of a map; by its index.
struct Shape {
    std::uint32_t entries;
    std::uint32_t bytes;  // of a value
};

constexpr Shape kShapes[kMaps] = {
    {kArrayEntries, kArrayBytes},
    {kPercpuEntries, kPercpuBytes},
    {1, kGlobalBytes},
    {1, kConstantBytes},
    {1, kSinkBytes},
    {kHashEntries, kHashBytes},
    {kPercpuHashEntries, kPercpuHashBytes},
    {kHashEntries, kLruBytes},
    {kTrieEntries, kTrieBytes},
    {kQueueEntries, kQueueBytes},
    {kQueueEntries, kQueueBytes},
    {0, 0},
    {kProgramsEntries, 0},
    {kOuterEntries, 0},
    {kOuterEntries, 0},
};

constexpr int kPlain[] = {kArrayMap,      kArrayMap, kPercpuMap, kHashMap,
                          kPercpuHashMap, kLruMap,   kTrieMap};

}  // namespace

/// A key on the stack: constant or a number, sometimes out of range.
std::optional<int> Body::put_key(int map) {
    const bool trie = map == kTrieMap;
    const int bytes = trie ? static_cast<int>(kTrieKeyBytes) : 4;
    const auto at = free_place(bytes, 4);
    if (!at) {
        return at;
    }
    int place = *at;
    if (trie) {
        // Bits of the prefix, sometimes more than the key has.
        out_.add(store_k(op::kW, 10, offset(place), dice_.below(40)));
        place += 4;
    }
    if (dice_.one_in(2)) {
        const int entries = static_cast<int>(kShapes[map].entries);
        out_.add(
            store_k(op::kW, 10, offset(place), trie ? dice_.constant() : dice_.below(entries + 2)));
    } else {
        const Reg key = small_number(15, 0);
        out_.add(store(op::kW, 10, offset(place), key));
    }
    if (dice_.one_in(6)) {
        // A later store changes one byte of the key.
        out_.add(store_k(op::kB, 10, offset(place) + dice_.below(4), dice_.below(2)));
    }
    mark(*at, bytes, true);
    return at;
}

/// Goes to `null` when r0 is.
void Body::null_check(Emitter::Label null) {
    if (dice_.one_in(2)) {
        out_.jump_to(jump_k(op::kJeq, 0, 0, 0), null);
    } else {
        out_.add(jump_k(op::kJne, 0, 0, 1));
        out_.jump_to(go(0), null);
    }
}

/// What is done with the memory that r0 points to; `null` leads behind it.
void Body::block_with_value(int bytes, Kind kind, Emitter::Label null) {
    const Scope outside = scope_;
    const Holding value{kind, bytes};
    scope_.regs[0] = value;
    if (dice_.one_in(2)) {
        const Reg keeper = target();
        out_.add(mov(keeper, 0));
        scope_.regs[index(keeper)] = value;
    }
    ++depth_;
    pointer_access();
    statements(dice_.between(0, 3));
    --depth_;
    out_.bind(null);
    merge(outside);
}

void Body::lookup() {
    if (depth_ > 3) {
        return;
    }
    const int map = dice_.pick(kPlain);
    const bool percpu = map == kPercpuMap || map == kPercpuHashMap;
    const auto key = put_key(map);
    if (!key) {
        return;
    }
    const bool names_cpu = percpu && features_.has_helper(kLookupPercpu) && dice_.one_in(3);
    if (names_cpu) {
        out_.add(dice_.one_in(4) ? mov(3, number()) : mov_k(3, dice_.below(4)));
        set_number(3);
    }
    out_.add(map_constant(1, map));
    frame_address(2, *key);
    out_.add(call(names_cpu ? kLookupPercpu : kMapLookup));
    clobber_caller_registers();
    const Emitter::Label null = out_.new_label();
    null_check(null);
    block_with_value(static_cast<int>(kShapes[map].bytes), Kind::map_value, null);
}

void Body::inner_lookup() {
    if (depth_ > 3) {
        return;
    }
    const int map = dice_.one_in(2) ? kArrayOfMaps : kHashOfMaps;
    const auto outer = put_key(map);
    if (!outer) {
        return;
    }
    set_busy(*outer, 4, true);
    const auto inner = put_key(kQueueMap);
    set_busy(*outer, 4, false);
    if (!inner) {
        return;
    }
    const Emitter::Label null = out_.new_label();
    out_.add(map_constant(1, map));
    frame_address(2, *outer);
    out_.add(call(kMapLookup));
    clobber_caller_registers();
    null_check(null);
    out_.add(mov(1, 0));
    frame_address(2, *inner);
    out_.add(call(kMapLookup));
    null_check(null);
    block_with_value(static_cast<int>(kInnerBytes), Kind::map_value, null);
}

void Body::update_or_delete() {
    const int map = dice_.pick(kPlain);
    const bool erase = features_.has_helper(kMapDelete) && dice_.one_in(3);
    if (!erase && !features_.has_helper(kMapUpdate)) {
        return;
    }
    const auto value =
        erase ? std::optional(0) : filled_place(static_cast<int>(kShapes[map].bytes), 8);
    const auto key = value ? put_key(map) : std::nullopt;
    if (!key) {
        return;
    }
    if (!erase) {
        const Reg flags = 4;
        out_.add(dice_.one_in(3) ? mov(flags, number()) : mov_k(flags, dice_.below(4)));
        set_number(flags);
        frame_address(3, *value);
    }
    out_.add(map_constant(1, map));
    frame_address(2, *key);
    call_helper(erase ? kMapDelete : kMapUpdate);
}

void Body::queue_access() {
    if (!features_.queues) {
        return;
    }
    static constexpr int kFlags[] = {0, 0, 2, 1};
    static constexpr std::int32_t kAccesses[] = {kPush, kPop, kPeek};
    const std::int32_t id = dice_.pick(kAccesses);
    // Also what a pop leaves that fails is a number: the place is filled before.
    const auto value = filled_place(static_cast<int>(kQueueBytes), 8);
    if (!value) {
        return;
    }
    if (id == kPush) {
        out_.add(mov_k(3, dice_.pick(kFlags)));
    }
    out_.add(map_constant(1, dice_.one_in(2) ? kQueueMap : kStackMap));
    frame_address(2, *value);
    call_helper(id);
}

Body::Reg Body::free_callee_saved() {
    for (Reg reg = 6; reg < 10; ++reg) {
        if (!locked(reg)) {
            return reg;
        }
    }
    return -1;
}

/// Reserved, filled, looked at, and handed on or thrown away, all within the statement.
void Body::ring_record() {
    const Reg keeper = free_callee_saved();
    if (!features_.ring_buffer || holds_ || depth_ > 3 || keeper < 0) {
        return;
    }
    const int bytes = 8 * dice_.between(1, 5);
    out_.add({mov_k(2, bytes), mov_k(3, dice_.one_in(8) ? 1 : 0)});
    out_.add(map_constant(1, kRingMap));
    out_.add(call(kRingReserve));
    clobber_caller_registers();
    const Emitter::Label null = out_.new_label();
    null_check(null);
    const Scope outside = scope_;
    out_.add(mov(keeper, 0));
    scope_.regs[index(keeper)] = {Kind::record, bytes};
    locked_ |= bit(keeper);
    for (int at = 0; at < bytes; at += 8) {
        out_.add(store_k(op::kDw, keeper, at, dice_.constant()));
    }
    holds_ = true;
    ++depth_;
    access(keeper, scope_.regs[index(keeper)]);
    statements(dice_.between(0, 2));
    --depth_;
    holds_ = false;
    locked_ &= ~bit(keeper);
    forget(Kind::record);
    out_.add({mov(1, keeper), mov_k(2, dice_.below(3)),
              call(dice_.one_in(3) ? kRingDiscard : kRingSubmit)});
    clobber_caller_registers();
    out_.bind(null);
    merge(outside);
}

void Body::ring_output() {
    if (!features_.ring_buffer) {
        return;
    }
    if (dice_.one_in(4)) {
        static constexpr int kQuestions[] = {0, 1, 4, 9};  // positions differ from run to run
        out_.add(mov_k(2, dice_.pick(kQuestions)));
        out_.add(map_constant(1, kRingMap));
        call_helper(kRingQuery);
        return;
    }
    const int bytes = 4 * dice_.between(1, 6);
    const auto at = filled_place(bytes, 4);
    if (!at) {
        return;
    }
    out_.add({mov_k(3, bytes - dice_.below(4)), mov_k(4, dice_.below(4))});
    out_.add(map_constant(1, kRingMap));
    frame_address(2, *at);
    call_helper(kRingOutput);
}

/// A part of the global map's value as a dynptr, which lives in the frame for the statement.
void Body::dynptr_block() {
    if (!features_.dynptrs || holds_ || depth_ > 3) {
        return;
    }
    const auto place = free_place(16, 8);
    if (!place) {
        return;
    }
    const int bytes = dice_.between(1, 40);
    const int at = 8 * dice_.below((static_cast<int>(kGlobalBytes) - bytes) / 8 + 1);
    out_.add(ld_map_value(1, kGlobalMap, at));
    out_.add({mov_k(2, bytes), mov_k(3, dice_.one_in(8) ? 1 : 0)});
    frame_address(4, *place);
    call_helper(kDynptrFromMem);
    mark(*place, 16, false);
    set_busy(*place, 16, true);
    ++depth_;
    for (int uses = dice_.between(1, 3); uses > 0; --uses) {
        dynptr_use(*place, bytes);
        statements(dice_.below(2));
    }
    --depth_;
    set_busy(*place, 16, false);
}

void Body::dynptr_use(int place, int bytes) {
    const int length = dice_.between(1, 16);
    const int use = dice_.below(3);
    const auto buffer = use == 2 ? std::optional(0) : filled_place(16, 8);
    if (!buffer) {
        return;
    }
    const Reg at = use == 0 ? 4 : 2;
    if (dice_.one_in(2)) {
        out_.add(mov_k(at, dice_.below(bytes + 2)));
    } else {
        const Reg number = small_number(31, 0);
        out_.add(mov(at, number));
    }
    set_number(at);
    switch (use) {
        case 0:
            frame_address(1, *buffer);
            out_.add(mov_k(2, length));
            frame_address(3, place);
            out_.add(mov_k(5, 0));
            call_helper(kDynptrRead);
            break;
        case 1:
            frame_address(1, place);
            frame_address(3, *buffer);
            out_.add({mov_k(4, length), mov_k(5, 0)});
            call_helper(kDynptrWrite);
            break;
        default: {
            frame_address(1, place);
            out_.add({mov_k(3, length), call(kDynptrData)});
            clobber_caller_registers();
            const Emitter::Label null = out_.new_label();
            null_check(null);
            holds_ = true;
            block_with_value(length, Kind::slice, null);
            holds_ = false;
            break;
        }
    }
}

}  // namespace crema::test::fuzz
