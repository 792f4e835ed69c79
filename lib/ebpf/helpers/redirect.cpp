// SPDX-License-Identifier: BSD-3-Clause
//
// bpf_redirect and bpf_redirect_map: they note the target in the context; the caller of the program
// acts on it when the verdict is REDIRECT. The last call wins. A call with flags that the map type
// does not know changes nothing; a map slot that is empty forgets an earlier map.
#include "lib/base/check.h"
#include "lib/ebpf/abi/verdict.h"
#include "lib/ebpf/helpers/map_natives.h"
#include "lib/ebpf/maps/cpumap.h"
#include "lib/ebpf/maps/devmap.h"

namespace crema::ebpf::helpers {

namespace {

constexpr std::uint32_t kRedirectMap = 51;
constexpr std::uint64_t kActionMask = 3;  // verdict for an empty slot
constexpr std::uint64_t kBroadcast = 8;
constexpr std::uint64_t kExcludeIngress = 16;

constexpr std::uint64_t result_of(Verdict verdict) {
    return static_cast<std::uint64_t>(verdict);
}

/// After an empty slot. A program that returns REDIRECT all the same goes, as in the kernel, to the
/// interface with the number that an earlier call of this run has named, be it a key; without such
/// a call to none.
void forget_map(RedirectTarget& target) {
    target.index = target.kind == RedirectTarget::Kind::none ? 0 : target.index;
    target.kind = RedirectTarget::Kind::ifindex;
    target.map = nullptr;
    target.slot = nullptr;
    target.flags = 0;
}

// The body of all map types. find(map, key) gives the slot's entry or null.
template <typename Concrete, std::uint64_t kTypeFlags, typename Find>
std::uint64_t redirect_to_slot(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t flags, std::uint64_t r5, Find find) {
    if ((flags & ~(kActionMask | kTypeFlags)) != 0) [[unlikely]] {
        return result_of(Verdict::aborted);
    }
    const auto& map = map_of<Concrete>(r1);
    const auto key = static_cast<std::uint32_t>(r2);
    RedirectTarget& target = context_of(r5).redirect;
    const bool broadcast = (flags & kTypeFlags & kBroadcast) != 0;
    void* slot = nullptr;
    if (!broadcast) [[likely]] {
        const auto* entry = find(map, key);
        if (entry == nullptr) [[unlikely]] {
            forget_map(target);
            return flags & kActionMask;
        }
        slot = entry->target;
    }
    target.map = &map;
    target.slot = slot;
    target.index = key;
    target.kind = RedirectTarget::Kind::map;
    target.flags = broadcast ? flags & kTypeFlags : 0;
    return result_of(Verdict::redirect);
}

}  // namespace

std::uint64_t redirect(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t, std::uint64_t, std::uint64_t r5) {
    if (r2 != 0) [[unlikely]] {
        return result_of(Verdict::aborted);
    }
    RedirectTarget& target = context_of(r5).redirect;
    target.map = nullptr;
    target.slot = nullptr;
    target.index = static_cast<std::uint32_t>(r1);
    target.kind = RedirectTarget::Kind::ifindex;
    target.flags = 0;
    return result_of(Verdict::redirect);
}

std::uint64_t redirect_map_devmap(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t r5) {
    return redirect_to_slot<maps::Devmap, kBroadcast | kExcludeIngress>(
        r1, r2, r3, r5,
        [](const maps::Devmap& map, std::uint32_t key) { return map.find_direct(key); });
}

std::uint64_t redirect_map_devmap_hash(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t r5) {
    return redirect_to_slot<maps::Devmap, kBroadcast | kExcludeIngress>(
        r1, r2, r3, r5,
        [](const maps::Devmap& map, std::uint32_t key) { return map.find_hashed(key); });
}

std::uint64_t redirect_map_cpumap(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t, std::uint64_t r5) {
    return redirect_to_slot<maps::Cpumap, 0>(
        r1, r2, r3, r5, [](const maps::Cpumap& map, std::uint32_t key) { return map.find(key); });
}

std::uint64_t redirect_map_xskmap(
    std::uint64_t, std::uint64_t, std::uint64_t r3, std::uint64_t, std::uint64_t r5) {
    if ((r3 & ~kActionMask) != 0) [[unlikely]] {
        return result_of(Verdict::aborted);
    }
    forget_map(context_of(r5).redirect);  // every slot is empty
    return r3 & kActionMask;
}

std::uint64_t redirect_map_any(
    std::uint64_t r1, std::uint64_t r2, std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    const Native native = map_native(kRedirectMap, map_of(r1).spec().type);
    CREMA_CHECK(native != nullptr);  // the verifier admits no other map type
    return native(r1, r2, r3, r4, r5);
}

}  // namespace crema::ebpf::helpers
