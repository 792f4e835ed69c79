// SPDX-License-Identifier: BSD-3-Clause
#include "tests/conformance/redirect/cases.h"

namespace crema::test::redirect {
namespace {

constexpr std::uint32_t kBroadcast = 8;
constexpr std::uint32_t kExcludeIngress = 16;
constexpr std::uint32_t kNoPort = 0x7ffffff0;  // an ifindex that nobody has
constexpr std::uint32_t kUnknownVerdict = 77;
constexpr std::uint32_t kToDevmap = ORDER_DEVMAP;
constexpr std::uint32_t kToDevmapHash = ORDER_DEVMAP_HASH;
constexpr std::uint32_t kMtu = 1500;
constexpr std::uint32_t kLongest = kMtu + 14 + 4;

constexpr auto kDevices = Maps::devices;
constexpr auto kHashed = Maps::hashed_devices;

// Verdicts.

void every_verdict(Stage& stage) {
    for (const std::uint32_t verdict : {0U, 1U, 2U, 3U}) {
        stage.send({.key = verdict});
    }
}

void unknown_verdicts(Stage& stage) {
    for (const std::uint32_t verdict : {5U, 77U, 0x80000000U, 0xffffffffU}) {
        stage.send({.key = verdict});
    }
}

void redirect_without_a_helper(Stage& stage) {
    stage.send({.key = 4});
    stage.send({.key = 4});
}

// bpf_redirect.

void to_an_ifindex(Stage& stage) {
    for (const std::uint32_t port : {1U, 2U, 3U, 0U}) {
        stage.send({.what = ORDER_IFINDEX, .key = stage.of_port(port)});
    }
}

void to_no_ifindex(Stage& stage) {
    for (const std::uint32_t ifindex : {0U, kNoPort, 0xffffffffU}) {
        stage.send({.what = ORDER_IFINDEX, .key = ifindex});
    }
}

void to_an_ifindex_with_flags(Stage& stage) {
    for (const std::uint32_t flags : {1U, 2U, 8U, 0x80000000U}) {
        stage.send({.what = ORDER_IFINDEX, .key = stage.of_port(1), .flags = flags});
    }
}

void to_an_ifindex_that_is_down(Stage& stage) {
    stage.side().set_up(2, false);
    stage.send({.what = ORDER_IFINDEX, .key = stage.of_port(2)});
    stage.side().set_up(2, true);
    stage.send({.what = ORDER_IFINDEX, .key = stage.of_port(2)});
}

void to_an_ifindex_by_length(Stage& stage) {
    for (const std::uint32_t len : {kLongest, kLongest + 1, 2000U}) {
        stage.send({.what = ORDER_IFINDEX, .key = stage.of_port(1), .len = len});
    }
    stage.side().set_mtu(1, 1000);
    stage.send({.what = ORDER_IFINDEX, .key = stage.of_port(1), .len = 1018});
    stage.send({.what = ORDER_IFINDEX, .key = stage.of_port(1), .len = 1019});
    stage.side().set_mtu(1, kMtu);
    stage.send({.what = ORDER_IFINDEX, .key = stage.of_port(0), .len = 2000});
}

// Maps of devices.

void fill(Stage& stage, const std::string& program = "") {
    for (const std::uint32_t port : {0U, 1U, 2U, 3U}) {
        stage.device(kDevices, port, port, program);
        stage.device(kHashed, 10 * port + 5, port, program);
    }
}

void to_devices(Stage& stage) {
    fill(stage);
    for (const std::uint32_t port : {3U, 0U, 1U, 2U}) {
        stage.send({.what = ORDER_DEVMAP, .key = port});
        stage.send({.what = ORDER_DEVMAP_HASH, .key = 10 * port + 5});
    }
}

void to_missing_entries(Stage& stage) {
    stage.device(kDevices, 1, 1);
    stage.device(kHashed, 1, 1);
    for (const std::uint32_t what : {kToDevmap, kToDevmapHash}) {
        for (std::uint32_t verdict = 0; verdict < 4; ++verdict) {
            stage.send({.what = what, .key = 3, .flags = verdict});
        }
        stage.send({.what = what, .key = 8, .flags = 2});
        stage.send({.what = what, .key = 0xffffffff, .flags = 2});
        stage.send({.what = what, .key = 1, .flags = 2});
    }
}

void to_devices_with_unknown_flags(Stage& stage) {
    fill(stage);
    for (const std::uint32_t flags : {4U, 32U, 0x80000000U, kExcludeIngress, kExcludeIngress | 2}) {
        stage.send({.what = ORDER_DEVMAP, .key = 1, .flags = flags});
        stage.send({.what = ORDER_DEVMAP_HASH, .key = 15, .flags = flags});
    }
}

void to_devices_that_cannot(Stage& stage) {
    fill(stage);
    stage.side().set_up(1, false);
    stage.send({.what = ORDER_DEVMAP, .key = 1});
    stage.send({.what = ORDER_DEVMAP_HASH, .key = 15});
    stage.side().set_up(1, true);
    stage.send({.what = ORDER_DEVMAP, .key = 1});
    stage.send({.what = ORDER_DEVMAP, .key = 2, .len = kLongest});
    stage.send({.what = ORDER_DEVMAP, .key = 2, .len = kLongest + 1});
    stage.send({.what = ORDER_DEVMAP_HASH, .key = 25, .len = kLongest + 1});
}

void entries_come_and_go(Stage& stage) {
    for (const Maps map : {kDevices, kHashed}) {
        const std::uint32_t what = map == kDevices ? ORDER_DEVMAP : ORDER_DEVMAP_HASH;
        stage.device(map, 2, 1);
        stage.send({.what = what, .key = 2, .flags = 1});
        stage.device(map, 2, 3, "in_slot");
        stage.send({.what = what, .key = 2, .flags = 1});
        stage.erase_device(map, 2);
        stage.send({.what = what, .key = 2, .flags = 1});
        stage.erase_device(map, 2);
        stage.device(map, 2, 1);
        stage.ifindex(map, 2, 0);
        stage.ask(map, 2);
    }
}

void entries_that_are_refused(Stage& stage) {
    for (const Maps map : {kDevices, kHashed}) {
        stage.ifindex(map, 1, kNoPort);
        stage.device(map, 1, 1, "on_port");
        stage.device(map, 1, 1, "on_cpu");
        stage.ifindex(map, 1, 0, "in_slot");
        stage.ask(map, 1);
        stage.device(map, 9, 1);
    }
}

void a_device_goes(Stage& stage) {
    stage.device(kDevices, 3, 3);
    stage.device(kDevices, 2, 2);
    stage.device(kHashed, 3, 3, "in_slot");
    stage.device(kHashed, 30, 3);
    stage.side().unplug(3);
    for (const Maps map : {kDevices, kHashed}) {
        stage.ask(map, 2);
        stage.ask(map, 3);
        stage.ask(map, 30);
    }
    stage.send({.what = ORDER_DEVMAP, .key = 3, .flags = 2});
    stage.send({.what = ORDER_DEVMAP, .key = 2, .flags = 2});
    stage.send({.what = ORDER_DEVMAP_HASH, .key = 30, .flags = 1});
    stage.send({.what = ORDER_IFINDEX, .key = stage.of_port(3)});
    stage.device(kDevices, 3, 3);
    stage.side().plug(3);
    stage.ask(kDevices, 3);
    stage.send({.what = ORDER_DEVMAP, .key = 3, .flags = 2});
    stage.device(kDevices, 3, 3);
    stage.send({.what = ORDER_DEVMAP, .key = 3, .flags = 2});
}

// Programs of entries.

void slot_programs_decide(Stage& stage) {
    fill(stage, "in_slot");
    for (const std::uint32_t verdict : {0U, 1U, 2U, 3U, 4U, 5U, kUnknownVerdict}) {
        stage.send({.what = ORDER_DEVMAP, .key = 1, .slot = verdict});
        stage.send({.what = ORDER_DEVMAP_HASH, .key = 5, .slot = verdict});
    }
}

void slot_programs_redirect(Stage& stage) {
    fill(stage, "in_slot");
    stage.send(
        {.what = ORDER_DEVMAP, .key = 1, .second = stage.of_port(2), .slot = ORDER_ON_IFINDEX});
    stage.send({.what = ORDER_DEVMAP, .key = 1, .second = 3, .slot = ORDER_ON_DEVMAP});
    stage.send({.what = ORDER_DEVMAP, .key = 1, .second = 7, .slot = ORDER_ON_DEVMAP});
}

void slot_programs_resize(Stage& stage) {
    fill(stage, "in_slot");
    for (const std::uint32_t by : {10U, 0xfffffffcU, 0U}) {
        stage.send(
            {.what = ORDER_DEVMAP, .key = 2, .second = by, .slot = ORDER_RESIZE, .len = 200});
    }
}

void bursts_through_slot_programs(Stage& stage) {
    fill(stage, "in_slot");
    std::vector<Wish> wishes;
    for (std::uint32_t i = 0; i < 60; ++i) {
        wishes.push_back({.what = ORDER_DEVMAP, .key = i % 4, .slot = i % 7, .len = 64 + i});
    }
    stage.burst(wishes);
}

// Broadcast.

void broadcast(Stage& stage) {
    fill(stage);
    for (const std::uint32_t flags : {kBroadcast, kBroadcast | kExcludeIngress, kBroadcast | 3}) {
        stage.send({.what = ORDER_DEVMAP, .key = 99, .flags = flags});
        stage.send({.what = ORDER_DEVMAP_HASH, .key = 99, .flags = flags, .len = 700});
    }
}

void broadcast_to_nobody(Stage& stage) {
    stage.send({.what = ORDER_DEVMAP, .flags = kBroadcast});
    stage.send({.what = ORDER_DEVMAP_HASH, .flags = kBroadcast});
    stage.device(kDevices, 4, 0);
    stage.device(kHashed, 44, 0);
    stage.send({.what = ORDER_DEVMAP, .flags = kBroadcast | kExcludeIngress});
    stage.send({.what = ORDER_DEVMAP_HASH, .flags = kBroadcast | kExcludeIngress});
}

void broadcast_past_some(Stage& stage) {
    fill(stage);
    stage.erase_device(kDevices, 1);
    stage.erase_device(kHashed, 15);
    stage.side().set_up(2, false);
    stage.send({.what = ORDER_DEVMAP, .flags = kBroadcast});
    stage.send({.what = ORDER_DEVMAP_HASH, .flags = kBroadcast | kExcludeIngress});
    stage.side().set_up(2, true);
    stage.send({.what = ORDER_DEVMAP, .flags = kBroadcast, .len = kLongest + 1});
    stage.send({.what = ORDER_DEVMAP, .flags = kBroadcast | kExcludeIngress, .len = kLongest + 1});
    stage.send({.what = ORDER_DEVMAP, .flags = kBroadcast, .len = kLongest});
}

void broadcast_through_slot_programs(Stage& stage) {
    fill(stage, "in_slot");
    stage.device(kDevices, 2, 2);  // has none
    stage.send({.what = ORDER_DEVMAP, .flags = kBroadcast});
    stage.send({.what = ORDER_DEVMAP, .flags = kBroadcast | kExcludeIngress, .slot = 1});
    stage.send({.what = ORDER_DEVMAP_HASH, .flags = kBroadcast, .slot = 3});
    stage.send({.what = ORDER_DEVMAP,
                .flags = kBroadcast,
                .second = 20,
                .slot = ORDER_RESIZE,
                .len = 100});
    std::vector<Wish> wishes;
    for (std::uint32_t i = 0; i < 40; ++i) {
        wishes.push_back({.what = ORDER_DEVMAP + i % 2,
                          .flags = kBroadcast | (i % 3 == 0 ? kExcludeIngress : 0),
                          .slot = i % 5 == 0 ? 1U : 2U,
                          .len = 64 + i});
    }
    stage.burst(wishes);
}

void broadcast_to_one_port_twice(Stage& stage) {
    stage.device(kDevices, 1, 1);
    stage.device(kDevices, 5, 1);
    stage.send({.what = ORDER_DEVMAP, .flags = kBroadcast});
}

// Several requests in one run.

void the_last_request_counts(Stage& stage) {
    fill(stage);
    stage.send({.what = ORDER_TWICE, .key = 2, .second = stage.of_port(1)});
    stage.erase_device(kDevices, 2);
    for (std::uint32_t verdict = 0; verdict < 4; ++verdict) {
        stage.send({.what = ORDER_TWICE, .key = 2, .flags = verdict, .second = stage.of_port(1)});
    }
}

void redirect_all_the_same(Stage& stage) {
    stage.device(kDevices, 1, 1);
    stage.send({.what = ORDER_INSIST, .key = 1});
    stage.send({.what = ORDER_INSIST, .key = 2});
    stage.send({.what = ORDER_INSIST, .key = 1, .flags = 32});
    stage.send({.what = ORDER_STALE, .key = 2, .second = stage.of_port(1)});
    stage.send({.what = ORDER_STALE, .key = 1, .flags = 32, .second = stage.of_port(2)});
    stage.send({.what = ORDER_REFUSED, .key = 1, .second = stage.of_port(2)});
    stage.send({.what = ORDER_REFUSED, .key = 3, .second = stage.of_port(2)});
}

// CPUs.

void to_cpus(Stage& stage) {
    stage.cpu(0, 64);
    stage.cpu(1, 64);
    for (const std::uint32_t cpu : {0U, 1U}) {
        std::vector<Wish> wishes(10, Wish{.what = ORDER_CPUMAP, .key = cpu, .len = 90});
        stage.burst(wishes);
    }
    stage.send({.what = ORDER_CPUMAP, .key = 0, .len = 2500});
}

void to_missing_cpus(Stage& stage) {
    stage.cpu(1, 64);
    for (std::uint32_t verdict = 0; verdict < 4; ++verdict) {
        stage.send({.what = ORDER_CPUMAP, .key = 0, .flags = verdict});
    }
    stage.send({.what = ORDER_CPUMAP, .key = 2, .flags = 2});
    for (const std::uint32_t flags : {4U, kBroadcast, kExcludeIngress, 0x80000000U}) {
        stage.send({.what = ORDER_CPUMAP, .key = 1, .flags = flags});
    }
    stage.erase_cpu(1);
    stage.erase_cpu(1);
    stage.send({.what = ORDER_CPUMAP, .key = 1, .flags = 2});
}

void cpus_that_are_refused(Stage& stage) {
    stage.cpu(0, 16385);
    stage.cpu(0, 16384);
    stage.cpu(0, 0);
    stage.cpu(2, 64);
    stage.cpu(0, 64, "in_slot");
    stage.cpu(0, 64, "on_port");
    stage.send({.what = ORDER_CPUMAP, .key = 0, .flags = 2});
}

void second_programs_decide(Stage& stage) {
    stage.cpu(0, 64, "on_cpu");
    stage.cpu(1, 64, "on_cpu");
    for (const std::uint32_t cpu : {0U, 1U}) {
        for (const std::uint32_t verdict : {0U, 1U, 2U, 3U, 4U, 5U, kUnknownVerdict}) {
            stage.send({.what = ORDER_CPUMAP, .key = cpu, .on_cpu = verdict});
        }
    }
}

void second_programs_redirect(Stage& stage) {
    fill(stage, "in_slot");
    stage.cpu(0, 64, "on_cpu");
    const auto onward = [&stage](std::uint32_t how, std::uint32_t second) {
        stage.send({.what = ORDER_CPUMAP, .key = 0, .second = second, .on_cpu = how});
    };
    onward(ORDER_ON_IFINDEX, stage.of_port(2));
    onward(ORDER_ON_IFINDEX, stage.of_port(0));
    onward(ORDER_ON_IFINDEX, kNoPort);
    onward(ORDER_ON_DEVMAP, 3);
    onward(ORDER_ON_DEVMAP, 7);
    onward(ORDER_ON_BROADCAST, 0);
    stage.side().set_up(3, false);
    onward(ORDER_ON_DEVMAP, 3);
    onward(ORDER_ON_IFINDEX, stage.of_port(3));
    stage.side().set_up(3, true);
}

void from_cpu_to_cpu(Stage& stage) {
    stage.cpu(0, 64, "on_cpu");
    stage.cpu(1, 64);
    stage.send({.what = ORDER_CPUMAP, .key = 0, .second = 1, .on_cpu = ORDER_ON_CPUMAP});
    stage.send({.what = ORDER_CPUMAP, .key = 0, .second = 5, .on_cpu = ORDER_ON_CPUMAP});
    stage.erase_cpu(1);
    stage.send({.what = ORDER_CPUMAP, .key = 0, .second = 1, .on_cpu = ORDER_ON_CPUMAP});
}

void second_programs_resize(Stage& stage) {
    stage.cpu(1, 64, "on_cpu");
    for (const std::uint32_t by : {10U, 0xfffffffcU, 0U}) {
        stage.send(
            {.what = ORDER_CPUMAP, .key = 1, .second = by, .on_cpu = ORDER_RESIZE, .len = 200});
    }
}

void queues_that_are_full(Stage& stage) {
    for (const std::uint32_t room : {1U, 2U, 7U, 64U}) {
        // The sender's own CPU: nobody takes anything before the last is in.
        stage.cpu(0, room, "on_cpu");
        std::vector<Wish> wishes(30, Wish{.what = ORDER_CPUMAP, .key = 0});
        stage.burst(wishes);
    }
}

void everything_at_once(Stage& stage) {
    fill(stage, "in_slot");
    stage.cpu(0, 256, "on_cpu");
    std::vector<Wish> wishes;
    for (std::uint32_t i = 0; i < 120; ++i) {
        Wish wish{.what = i % 5, .key = i % 4, .len = 64 + i};
        wish.slot = i % 9 == 0 ? 1 : 2;
        switch (wish.what) {
            case ORDER_VERDICT:
                // Not XDP_TX: which of it and of a redirect to the same port leaves first is no
                // promise, neither in the kernel.
                wish.key = i % 3;
                break;
            case ORDER_IFINDEX:
                wish.key = stage.of_port(i % 4);
                break;
            case ORDER_DEVMAP_HASH:
                wish.key = 10 * (i % 4) + 5;
                break;
            case ORDER_CPUMAP:
                // One way onward at a time: what two of them do to each other's order is no
                // promise.
                wish.key = 0;
                wish.on_cpu = i % 3;
                break;
            default:
                break;
        }
        wishes.push_back(wish);
    }
    stage.burst(wishes);
}

}  // namespace

const std::vector<Case>& cases() {
#define CREMA_CASE(name) \
    { #name, name }
    static const std::vector<Case> all = {
        CREMA_CASE(every_verdict),
        CREMA_CASE(unknown_verdicts),
        CREMA_CASE(redirect_without_a_helper),
        CREMA_CASE(to_an_ifindex),
        CREMA_CASE(to_no_ifindex),
        CREMA_CASE(to_an_ifindex_with_flags),
        CREMA_CASE(to_an_ifindex_that_is_down),
        CREMA_CASE(to_an_ifindex_by_length),
        CREMA_CASE(to_devices),
        CREMA_CASE(to_missing_entries),
        CREMA_CASE(to_devices_with_unknown_flags),
        CREMA_CASE(to_devices_that_cannot),
        CREMA_CASE(entries_come_and_go),
        CREMA_CASE(entries_that_are_refused),
        CREMA_CASE(a_device_goes),
        CREMA_CASE(slot_programs_decide),
        CREMA_CASE(slot_programs_redirect),
        CREMA_CASE(slot_programs_resize),
        CREMA_CASE(bursts_through_slot_programs),
        CREMA_CASE(broadcast),
        CREMA_CASE(broadcast_to_nobody),
        CREMA_CASE(broadcast_past_some),
        CREMA_CASE(broadcast_through_slot_programs),
        CREMA_CASE(broadcast_to_one_port_twice),
        CREMA_CASE(the_last_request_counts),
        CREMA_CASE(redirect_all_the_same),
        CREMA_CASE(to_cpus),
        CREMA_CASE(to_missing_cpus),
        CREMA_CASE(cpus_that_are_refused),
        CREMA_CASE(second_programs_decide),
        CREMA_CASE(second_programs_redirect),
        CREMA_CASE(from_cpu_to_cpu),
        CREMA_CASE(second_programs_resize),
        CREMA_CASE(queues_that_are_full),
        CREMA_CASE(everything_at_once),
    };
#undef CREMA_CASE
    return all;
}

}  // namespace crema::test::redirect
