// SPDX-License-Identifier: BSD-3-Clause
//
// One table of all addresses, under one lock that is held for a few instructions.
#include "lib/ebpf/maps/callback_owner.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "lib/ebpf/maps/spin_lock.h"

namespace crema::ebpf::maps {

namespace {

struct Known {
    std::uint64_t address;
    CallbackOwner* owner;
};

struct Registry {
    std::uint32_t locked = 0;    // HeldLock
    std::vector<Known> known{};  // by address
    CallbackOwner* idle = nullptr;
};

/// Lives to the end of the process: programs may have static lifetime.
Registry& registry() {
    static auto& the_registry = *new Registry;
    return the_registry;
}

bool is_before(const Known& one, std::uint64_t address) {
    return one.address < address;
}

/// One control thread at a time changes the table.
std::mutex& change_mutex() {
    static auto& the_mutex = *new std::mutex;
    return the_mutex;
}

}  // namespace

CallbackOwner::CallbackOwner(std::weak_ptr<const LoadedProgram> program,
                             const std::vector<std::uint64_t>& addresses)
    : program_(std::move(program)) {
    Registry& all = registry();
    const std::lock_guard turn(change_mutex());
    // Memory comes and goes outside of the lock that programs take.
    std::vector<Known> table;
    table.reserve(all.known.size() + addresses.size());
    table = all.known;
    for (const std::uint64_t address : addresses) {
        table.push_back({.address = address, .owner = this});
    }
    std::sort(table.begin(), table.end(),
              [](const Known& one, const Known& other) { return one.address < other.address; });
    const HeldLock held(all.locked);
    std::swap(all.known, table);
}

CallbackOwner::~CallbackOwner() {
    Registry& all = registry();
    const std::lock_guard turn(change_mutex());
    const HeldLock held(all.locked);
    std::erase_if(all.known, [this](const Known& one) { return one.owner == this; });
}

CallbackOwner* CallbackOwner::share(Native callback) {
    const auto address = reinterpret_cast<std::uintptr_t>(callback);
    Registry& all = registry();
    const HeldLock held(all.locked);
    const auto found = std::lower_bound(all.known.begin(), all.known.end(), address, is_before);
    if (found == all.known.end() || found->address != address) {
        return nullptr;
    }
    CallbackOwner* const owner = found->owner;
    if (owner->kept_ == nullptr) {
        owner->kept_ = owner->program_.lock();
        if (owner->kept_ == nullptr) {
            return nullptr;
        }
    }
    owner->shares_++;
    return owner;
}

bool CallbackOwner::unshare() {
    Registry& all = registry();
    const HeldLock held(all.locked);
    if (--shares_ != 0) {
        return false;
    }
    if (!is_idle_) {
        is_idle_ = true;
        next_idle_ = std::exchange(all.idle, this);
    }
    return true;
}

void CallbackOwner::collect() {
    Registry& all = registry();
    for (;;) {
        std::shared_ptr<const LoadedProgram> gone;  // freed outside of the lock, perhaps with us
        const HeldLock held(all.locked);
        CallbackOwner* const owner = all.idle;
        if (owner == nullptr) {
            return;
        }
        all.idle = std::exchange(owner->next_idle_, nullptr);
        owner->is_idle_ = false;
        if (owner->shares_ == 0) {
            gone = std::move(owner->kept_);
        }
    }
}

}  // namespace crema::ebpf::maps
