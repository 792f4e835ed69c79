// SPDX-License-Identifier: BSD-3-Clause
//
// Functions that helpers call. A synchronous one (bpf_loop, for_each_map_elem) is walked in a frame
// of its own and returns into the call, which is then judged again: one state without a further
// run goes on behind the call, one enters the callback once more, until loops.cpp finds that
// nothing new comes. An asynchronous one (timer) is walked on its own when the program is done.
#include <algorithm>
#include <cerrno>

#include "lib/ebpf/verifier/machine.h"

namespace crema::ebpf::verifier {

namespace {

using helpers::CallbackRule;

/// Whether programs may go through the elements of such a map.
bool has_elements_in_turn(maps::MapType type) {
    using enum maps::MapType;
    return type == array || type == percpu_array || type == hash || type == percpu_hash ||
           type == lru_hash || type == lru_percpu_hash;
}

/// What a callback may return: whether to stop, or nothing.
std::int32_t returns_max(CallbackRule rule) {
    return rule == CallbackRule::timer ? 0 : 1;
}

}  // namespace

/// The register in which a callback finds the caller's R3 (its context), or 0.
std::uint32_t callback_context_reg(CallbackRule rule) {
    switch (rule) {
        case CallbackRule::loop:
        case CallbackRule::user_ringbuf:
            return 2;
        case CallbackRule::each_element:
            return 4;
        default:
            return 0;
    }
}

/// R1..R5 of the callback that the call at hand starts.
Result<std::array<Reg, 5>> Machine::callback_arguments(const Call& call) {
    const helpers::Prototype& helper = *call.helper;
    std::array<Reg, 5> args;
    const auto of_map = [&](RegType type) {
        Reg reg = call.map_reg;
        reg.type = type;
        return reg;
    };
    switch (helper.callback) {
        case CallbackRule::loop:
            args[0] = Reg::scalar(Scalar::unknown());
            args[1] = cur_.regs[3];
            return args;
        case CallbackRule::each_element:
            if (!has_elements_in_turn(spec_of(call.map_reg).type)) {
                return fail(maps::kNotSupported, "callback function not allowed for map");
            }
            args = {of_map(RegType::map_ptr), of_map(RegType::map_key), of_map(RegType::map_value),
                    cur_.regs[3], Reg{}};
            // Not the element that an outer callback got: its lock is another.
            args[2].id = has_lock(spec_of(args[2])) ? ++ids_ : 0;
            return args;
        case CallbackRule::user_ringbuf:
            args[0] = Reg::pointer(RegType::dynptr);
            args[0].dynptr_kind = helpers::DynptrKind::local;
            args[0].id = ++ids_;
            args[1] = cur_.regs[3];
            return args;
        case CallbackRule::timer:
            // Of the element that it was set in; map_reg points at the timer there.
            args = {Reg::pointer(RegType::map_ptr), Reg::pointer(RegType::map_key),
                    Reg::pointer(RegType::map_value), Reg{}, Reg{}};
            for (std::size_t i = 0; i < 3; ++i) {
                args[i].map = call.map_reg.map;
                args[i].inner = call.map_reg.inner;
            }
            args[2].id = has_lock(spec_of(args[2])) ? ++ids_ : 0;
            return args;
        default:
            return fail(ENOTSUP, "callbacks of bpf_{}#{} are not served yet",
                        helpers::name_of(helper.id), helper.id);
    }
}

/// The call at hand may run its callback (once more). Leaves the state that goes on without.
Status Machine::do_callback(const Call& call) {
    const helpers::Prototype& helper = *call.helper;
    if (helper.callback == CallbackRule::loop) {
        // How often it runs decides whether it runs once more.
        mark_reg_precise(1);
        if (cur_.callback_runs >= cur_.regs[1].s.wide.umax) {
            cur_.callback_runs = 0;
            return {};
        }
    }
    const std::uint32_t function = call.callback;
    const auto args = callback_arguments(call);
    if (!args) {
        return forward_error(args);
    }
    if (helper.callback == CallbackRule::timer) {
        proof_.functions[function].async_callback = true;
        add_async_root(function, *args);
        return {};
    }
    proof_.functions[function].callback = true;
    const State here = cur_;
    const std::uint32_t after = next_;
    ++cur_.callback_runs;
    ++cur_.callback_depth;
    if (auto ok = enter(function, *args, Flow::enters_callback); !ok) {
        return ok;
    }
    cur_.returns_min = 0;
    cur_.returns_max = returns_max(helper.callback);
    if (auto ok = fork(std::move(cur_), functions_[function].first); !ok) {
        return ok;
    }
    cur_ = here;
    cur_.callback_runs = 0;
    next_ = after;
    step_recorded_ = false;
    return {};
}

/// R0 of a callback that ends.
Status Machine::check_callback_result(const char* when) {
    const Reg& result = cur_.regs[0];
    mark_reg_precise(0);
    const Range64& range = result.s.wide;
    if (range.smin >= cur_.returns_min && range.smax <= cur_.returns_max) {
        return {};
    }
    std::string has;
    const Range64 any;
    if (range.smin != any.smin) {
        has += fmt::format(" smin={}", range.smin);
    }
    if (range.smax != any.smax) {
        has += fmt::format(" smax={}", range.smax);
    }
    return fail(EINVAL, "{} the register R0 has{} should have been in [{}, {}]", when,
                has.empty() ? " unknown scalar value" : has, cur_.returns_min, cur_.returns_max);
}

/// Whatever a callback registered here does, it does later: each (function, arguments) is walked
/// once, after the program.
void Machine::add_async_root(std::uint32_t function, const std::array<Reg, 5>& args) {
    const auto same = [&](const Root& root) {
        return root.is_async && root.function == function && root.args[0].map == args[0].map;
    };
    if (std::none_of(roots_.begin(), roots_.end(), same)) {
        roots_.push_back({.function = function, .args = args, .is_async = true});
    }
}

}  // namespace crema::ebpf::verifier
