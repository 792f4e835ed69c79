// SPDX-License-Identifier: BSD-3-Clause
//
// Playing a case: frames that carry orders are made, what becomes of them is put into words.
#include <cstring>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/conformance/redirect/cases.h"

namespace crema::test::redirect {
namespace {

constexpr std::uint32_t kEthernet = 14;
constexpr std::uint32_t kKeys = 8;

const char* name_of(Maps map) {
    return map == Maps::devices ? "devices" : "hashed_devices";
}

std::string error_name(int rc) {
    return rc == 0 ? "ok" : strerrorname_np(-rc);
}

Bytes make_frame(const Wish& wish, std::uint32_t number) {
    Bytes frame(wish.len);
    for (std::size_t i = 0; i < frame.size(); ++i) {
        frame[i] = static_cast<std::uint8_t>(i * 7 + number);
    }
    std::memset(frame.data(), 0xff, 6);
    frame[6] = 2;
    frame[12] = ORDER_ETHERTYPE >> 8;
    frame[13] = ORDER_ETHERTYPE & 0xff;
    Order order{};
    order.number = number;
    order.what = static_cast<std::uint8_t>(wish.what);
    order.slot = static_cast<std::uint8_t>(wish.slot);
    order.on_cpu = static_cast<std::uint8_t>(wish.on_cpu);
    order.key = wish.key;
    order.flags = wish.flags;
    order.second = wish.second;
    std::memcpy(&frame[kEthernet], &order, sizeof order);
    return frame;
}

/// FNV-1a.
std::uint32_t digest(const std::uint8_t* bytes, std::size_t n) {
    std::uint32_t hash = 2166136261U;
    for (std::size_t i = 0; i < n; ++i) {
        hash = (hash ^ bytes[i]) * 16777619U;
    }
    return hash;
}

}  // namespace

std::string Stage::name_of(std::uint32_t ifindex) const {
    const std::uint32_t port = ifindex - side_.first_ifindex();
    return ifindex == 0 ? "-" : port < kPorts ? fmt::format("{}", port) : "?";
}

std::string Stage::describe(const Bytes& frame) const {
    if (frame.size() < kEthernet + sizeof(Order)) {
        return fmt::format("{} bytes, no order", frame.size());
    }
    Order order{};
    std::memcpy(&order, &frame[kEthernet], sizeof order);
    Bytes others = frame;
    std::memset(&others[kEthernet], 0, sizeof order);
    std::string text = fmt::format("#{} {} bytes {:08x}, main {} q{}", order.number, frame.size(),
                                   digest(others.data(), others.size()),
                                   name_of(order.main_ingress), order.main_queue);
    if (order.slot_queue != 0) {
        text += fmt::format(", slot {}>{} q{}", name_of(order.slot_ingress),
                            name_of(order.slot_egress), order.slot_queue - 1);
    }
    if (order.cpu_queue != 0) {
        text += fmt::format(", cpu {} q{}", name_of(order.cpu_ingress), order.cpu_queue - 1);
    }
    return text;
}

void Stage::describe(const char* where, std::uint32_t port, const std::vector<Bytes>& frames) {
    for (const Bytes& frame : frames) {
        note(fmt::format("{} {}: {}", where, port, describe(frame)));
    }
}

void Stage::ifindex(Maps map,
                    std::uint32_t key,
                    std::uint32_t ifindex,
                    const std::string& program) {
    note(fmt::format("{}[{}] = {} {}: {}", redirect::name_of(map), key, name_of(ifindex), program,
                     error_name(side_.set_device(map, key, ifindex, program))));
}

void Stage::device(Maps map, std::uint32_t key, std::uint32_t port, const std::string& program) {
    ifindex(map, key, of_port(port), program);
}

void Stage::cpu(std::uint32_t cpu, std::uint32_t frames, const std::string& program) {
    note(fmt::format("cpus[{}] = {} {}: {}", cpu, frames, program,
                     error_name(side_.set_cpu(cpu, frames, program))));
}

void Stage::erase_device(Maps map, std::uint32_t key) {
    note(fmt::format("erase {}[{}]: {}", redirect::name_of(map), key,
                     error_name(side_.erase_device(map, key))));
}

void Stage::erase_cpu(std::uint32_t cpu) {
    note(fmt::format("erase cpus[{}]: {}", cpu, error_name(side_.erase_cpu(cpu))));
}

void Stage::ask(Maps map, std::uint32_t key) {
    note(fmt::format("{}[{}] is {}", redirect::name_of(map), key,
                     side_.has_device(map, key) ? "filled" : "empty"));
}

void Stage::burst(const std::vector<Wish>& wishes) {
    std::vector<Bytes> frames;
    frames.reserve(wishes.size());
    for (const Wish& wish : wishes) {
        frames.push_back(make_frame(wish, next_number_++));
    }
    side_.send(frames);
    const Sight sight = side_.look();
    for (std::uint32_t port = 0; port < kPorts; ++port) {
        describe("arrived at", port, sight.arrived[port]);
    }
    for (std::uint32_t port = 0; port < kPorts; ++port) {
        describe("passed from", port, sight.passed[port]);
    }
    std::string counts;
    for (const auto& [name, count] : sight.counts) {
        counts += fmt::format("{}{} {}", counts.empty() ? "" : "; ", name, count);
    }
    note("counted: " + counts);
}

std::string Stage::finish() {
    for (std::uint32_t key = 0; key < kKeys; ++key) {
        (void)side_.erase_device(Maps::devices, key);
    }
    for (std::uint32_t key = 0; key < 64; ++key) {
        (void)side_.erase_device(Maps::hashed_devices, key);
    }
    for (std::uint32_t cpu = 0; cpu < kCpus; ++cpu) {
        (void)side_.erase_cpu(cpu);
    }
    (void)side_.look();
    std::string text;
    text.swap(text_);
    next_number_ = 1;
    return text;
}

}  // namespace crema::test::redirect
