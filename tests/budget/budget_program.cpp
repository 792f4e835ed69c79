// SPDX-License-Identifier: BSD-3-Clause
//
// The packet path in lock-step, for counter.cpp to count what a burst costs: one thread, one port
// (two for redirect) on a device of plain memory, and marks around the driver's calls only.
//
//   budget_program CASE BURST BURSTS coherent|maintained
//
// CASE: drop, tx and redirect run the shipped programs of that verdict (drop, ssh_mirror, l2fwd);
// receive frees each mbuf, forward swaps the addresses of each and sends it; empty polls and finds
// nothing. 64-byte frames (60 without FCS), TCP to port 22. Whole pools go round before anything is
// counted.
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include <rte_bus_vdev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "lib/ebpf/loader/object.h"
#include "lib/xdp/attach.h"
#include "tests/budget/marks.h"
#include "tests/budget/memory_device.h"

namespace crema::budget {
namespace {

constexpr std::uint16_t kRing = 512;
constexpr std::uint32_t kWarmUpFrames = 8192;

[[noreturn]] void give_up(const std::string& why) {
    (void)std::fprintf(stderr, "budget_program: %s\n", why.c_str());
    std::exit(1);
}

void must(bool holds, const char* what) {
    if (!holds) {
        give_up(what);
    }
}

enum class Case : std::uint8_t { drop, tx, redirect, receive, forward, empty };

struct Options {
    Case what = Case::drop;
    std::uint16_t burst = 32;
    std::uint32_t bursts = 0;
};

std::uint32_t number(std::string_view word) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    must(error == std::errc{} && end == word.data() + word.size() && value != 0, "not a number");
    return value;
}

Options read_options(std::span<char*> words) {
    must(words.size() == 5, "usage: budget_program CASE BURST BURSTS coherent|maintained");
    constexpr std::array kNames = {"drop", "tx", "redirect", "receive", "forward", "empty"};
    Options options{.burst = static_cast<std::uint16_t>(number(words[2])),
                    .bursts = number(words[3])};
    for (std::size_t i = 0; i < kNames.size(); ++i) {
        if (std::string_view(kNames.at(i)) == words[1]) {
            options.what = static_cast<Case>(i);
        }
    }
    const std::string_view memory = words[4];
    must(options.burst <= xdp::kBurstMax && (memory == "coherent" || memory == "maintained"),
         "burst of at most 64, coherent or maintained");
    MemoryDevice::needs_sync = memory == "maintained";
    return options;
}

void start_eal() {
    std::vector<std::string> words = {"budget",
                                      "--no-huge",
                                      "-m",
                                      "128",
                                      "--no-pci",
                                      "--no-shconf",
                                      "--lcores",
                                      "0@0",
                                      "--log-level",
                                      "lib.*:error",
                                      "--no-telemetry",
                                      "--file-prefix=budget" + std::to_string(getpid())};
    std::vector<char*> argv;
    argv.reserve(words.size());
    for (std::string& word : words) {
        argv.push_back(word.data());
    }
    must(rte_eal_init(static_cast<int>(argv.size()), argv.data()) >= 0, "EAL does not start");
}

/// Ports have no numbers of their own here: the order in which they start.
void start_port(std::uint16_t id) {
    const std::string name = "net_neta" + std::to_string(id);
    static rte_mempool* const unused =
        rte_pktmbuf_pool_create("unused", 63, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    rte_eth_conf conf{};
    must(rte_vdev_init(name.c_str(), "device=model,mac=02:00:00:00:00:10") == 0 &&
             rte_eth_dev_configure(id, 1, 1, &conf) == 0 &&
             rte_eth_rx_queue_setup(id, 0, kRing, SOCKET_ID_ANY, nullptr, unused) == 0 &&
             rte_eth_tx_queue_setup(id, 0, kRing, SOCKET_ID_ANY, nullptr) == 0 &&
             rte_eth_dev_start(id) == 0,
         "a port does not start");
    MemoryDevice::all.at(id)->settle();
    MemoryDevice::all.at(id)->adopt_ring(kRing);
}

void attach(std::uint16_t id, const std::string& program) {
    const auto object = ebpf::loader::Object::load(CREMA_BPF_DIR "/" + program + ".bpf.o");
    must(object.has_value(), "the object does not load");
    if (program == "l2fwd") {
        const std::uint32_t from = xdp::ifindex_of(0);
        const std::uint32_t to = xdp::ifindex_of(1);
        must((*object->map("tx_port"))->update(&from, &to, 0) == 0, "no target");
    }
    must(xdp::attach(id, *object->program(program)).has_value(), "the program is not attached");
}

std::vector<std::uint8_t> tcp_frame() {
    std::vector<std::uint8_t> frame(60);
    constexpr std::array<std::uint8_t, 40> kHeaders = {
        2,    0, 0, 0,  0,  0x10, 2, 0, 0,    0,    0, 0x20, 8, 0,   // Ethernet, to the port
        0x45, 0, 0, 46, 0,  0,    0, 0, 64,   6,    0, 0,            // IPv4, TCP
        10,   0, 0, 1,  10, 0,    0, 2, 0x30, 0x39, 0, 22,   0, 0};  // to port 22
    std::memcpy(frame.data(), kHeaders.data(), kHeaders.size());
    frame[46] = 0x50;  // data offset of TCP
    return frame;
}

/// What the driver and, where there is no program, the application do with a burst.
[[gnu::noinline]] std::uint16_t poll(Case what, std::uint16_t burst) {
    std::array<rte_mbuf*, xdp::kBurstMax> mbufs;  // NOLINT(*-member-init): [0, n) is set
    const std::uint16_t n = rte_eth_rx_burst(0, 0, mbufs.data(), burst);
    if (what == Case::receive) {
        for (std::uint16_t i = 0; i < n; ++i) {
            rte_pktmbuf_free(mbufs[i]);
        }
    } else if (what == Case::forward) {
        for (std::uint16_t i = 0; i < n; ++i) {
            auto* ethernet = rte_pktmbuf_mtod(mbufs[i], rte_ether_hdr*);
            std::swap(ethernet->src_addr, ethernet->dst_addr);
        }
        must(rte_eth_tx_burst(0, 0, mbufs.data(), n) == n, "not all sent");
    }
    return n;
}

void begin_counting() {
#if defined(__aarch64__)
    mark<kBeginMark>();
#endif
}

void end_counting() {
#if defined(__aarch64__)
    mark<kEndMark>();
#endif
}

void show_registers(MemoryDevice& device) {
#if defined(__aarch64__)
    mark_registers(device.words());
#else
    (void)device;
#endif
}

void report() {
#if defined(__aarch64__)
    mark<kReportMark>();
#endif
}

void run(const Options& options) {
    const std::vector<std::uint8_t> frame = tcp_frame();
    const bool is_empty = options.what == Case::empty;
    MemoryDevice& in = *MemoryDevice::all[0];
    MemoryDevice& out = *MemoryDevice::all[options.what == Case::redirect ? 1 : 0];
    const bool sends =
        options.what == Case::tx || options.what == Case::redirect || options.what == Case::forward;
    const std::uint32_t warm_up = kWarmUpFrames / options.burst;
    std::uint64_t sent = 0;
    for (std::uint32_t i = 0; i < warm_up + options.bursts; ++i) {
        must(is_empty ||
                 in.receive(options.burst, frame.data(), static_cast<std::uint32_t>(frame.size())),
             "the driver gave too few buffers");
        const bool counts = i >= warm_up;
        if (counts) {
            begin_counting();
        }
        poll(options.what, options.burst);
        if (counts) {
            end_counting();
        }
        sent += out.settle();
        if (&in != &out) {
            in.settle();
        }
    }
    report();
    const auto frames = std::uint64_t{warm_up + options.bursts} * options.burst;
    must(sent == (sends ? frames : 0), "not every frame was sent");
    const xdp::VerdictCounters seen = xdp::verdicts(0);
    must(seen.drop == (options.what == Case::drop ? frames : 0) &&
             seen.tx == (options.what == Case::tx ? frames : 0) &&
             seen.redirect == (options.what == Case::redirect ? frames : 0),
         "the program did not get every frame");
    std::printf("%llu\n", static_cast<unsigned long long>(options.bursts) * options.burst);
}

}  // namespace
}  // namespace crema::budget

int main(int argc, char** argv) {
    using namespace crema::budget;
    const Options options = read_options({argv, static_cast<std::size_t>(argc)});
    start_eal();
    crema::vfio::register_model("neta", MemoryDevice::make);
    start_port(0);
    switch (options.what) {
        case Case::drop:
            attach(0, "drop");
            break;
        case Case::tx:
            attach(0, "ssh_mirror");
            break;
        case Case::redirect:
            start_port(1);
            attach(0, "l2fwd");
            break;
        default:
            break;
    }
    for (std::size_t i = 0; i < MemoryDevice::made; ++i) {
        show_registers(*MemoryDevice::all.at(i));
    }
    run(options);
    return 0;
}
