// SPDX-License-Identifier: BSD-3-Clause
//
// The fixed set of C functions, and who holds which.
#include "lib/ebpf/interpreter/callbacks.h"

#include <cerrno>
#include <mutex>

#include "lib/ebpf/abi/native.h"
#include "lib/ebpf/interpreter/interpreter.h"

namespace crema::ebpf::interpreter {
namespace {

struct Place {
    const Image* image = nullptr;  // null: free
    std::uint32_t first_slot = 0;
};

std::mutex g_mutex;  // taking and releasing; a place that is held does not change
constinit std::array<Place, kCallbacksMax> g_places{};

constinit thread_local CallbackHost t_host{};

std::uint64_t enter(std::size_t place, const Arguments& arguments) {
    const Place& callee = g_places[place];
    if (t_host.activation != nullptr) {
        return t_host.call(t_host.activation, *callee.image, callee.first_slot, arguments);
    }
    return run_callback(*callee.image, callee.first_slot, arguments);
}

template <std::size_t Index>
std::uint64_t function_of(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    return enter(Index, {r1, r2, r3, r4, r5});
}

template <std::size_t... Index>
constexpr std::array<Native, sizeof...(Index)> make_functions(std::index_sequence<Index...>) {
    return {function_of<Index>...};
}

constexpr auto kFunctions = make_functions(std::make_index_sequence<kCallbacksMax>());

}  // namespace

Result<Callback> Callback::take(const Image& image, std::uint32_t first_slot) {
    const std::scoped_lock guard(g_mutex);
    for (std::uint32_t i = 0; i < kCallbacksMax; ++i) {
        if (g_places[i].image == nullptr) {
            g_places[i] = {.image = &image, .first_slot = first_slot};
            return Callback(i);
        }
    }
    return fail(ENOSPC, "{} functions of interpreted programs are callbacks already",
                kCallbacksMax);
}

Callback& Callback::operator=(Callback&& other) noexcept {
    std::swap(place_, other.place_);
    return *this;
}

Callback::~Callback() {
    if (place_ != kCallbacksMax) {
        const std::scoped_lock guard(g_mutex);
        g_places[place_] = {};
    }
}

std::uint64_t Callback::address() const {
    return reinterpret_cast<std::uintptr_t>(kFunctions[place_]);
}

std::uint32_t Callback::first_slot() const {
    return g_places[place_].first_slot;
}

CallbackScope::CallbackScope(const CallbackHost& host) : outer_(std::exchange(t_host, host)) {}

CallbackScope::~CallbackScope() {
    t_host = outer_;
}

}  // namespace crema::ebpf::interpreter
